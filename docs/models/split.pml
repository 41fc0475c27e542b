/* Splits over several levels, beside a reader without latches and a second writer that splits, too.

   The tree: root word -> inner nodes -> leaves. A leaf has a base of at most two keys and a log of
   one; an inner node has at most two children. At the start the root is a full inner node over two
   full leaves, so the first split of a leaf splits its parent and grows the root: two leaves, two
   inner nodes and a root are born, and one word decides. Later changes swing words of inner nodes.
   Steps as in engine/restructure*.cc: latches from the leaf upwards, new nodes born latched, word,
   old nodes obsolete, own record, latches released, old nodes to limbo. Whatever waits for a latch
   is in no read section, and checks afterwards that the node is live and covers its key.

   A frame leaves limbo when every read section has ended that existed when it came in, and no pin
   is held on it; the lowest such frame is handed out at once. Not modelled: crashes, merges,
   damage.

   Shown: a reader finds every key that was acknowledged before it began, and reads no frame that
   was reused under it; no put is lost; no deadlock.
   Must fail: -DNOGRACE    a frame is reused without a grace period
              -DNOBORN     new nodes are not born latched
              -DNOLIVE     no check that a node is live once its latch is held
              -DNOCOVER    no check that a leaf covers the key once its latch is held
              -DNOLATCH    the old leaf is not latched while it is replaced
              -DREACHED    all is done, and some frame has been used twice */
#define NF 20       /* frames; 0 stands for the anchor, whose latch guards the root word */
#define KEYS 10
#define NONE 15
#define READER 0    /* who may be in a read section: the reader and the writers 1 and 2 */
#define FREE 0
#define USED 1
#define LIMBO 2

byte root;
/* On the medium. */
byte level[NF], lo[NF], hi[NF];
byte c0[NF], c1[NF], sep[NF];     /* inner: child words; c1 = 0 is a node with one child */
short base[NF];                   /* leaf: set of keys */
byte log_[NF];                    /* leaf: the one key in the log, shown if count is 1 */
/* In descriptors. */
byte latch[NF], pins[NF];
bool live[NF], count[NF];
/* Allocator, limbo, read sections. */
byte state[NF], grace[NF];        /* grace: set of read sections that are waited for */
bool inside[3];
byte at[3];                       /* the node that a read section looks at */
bool reused[3];                   /* at[] was handed out under it */
/* What is asserted. */
short acked;
byte done;
bool twice;

inline enter(me) { atomic { inside[me] = 1; reused[me] = 0; at[me] = root } }

inline leave(me) {
  inside[me] = 0; at[me] = 0; reused[me] = 0;
  i = 0; do :: i < NF -> grace[i] = grace[i] & ~(1 << me); i++ :: else -> break od; i = 0
}

#define CHILD(n, key) ((c1[n] != 0 && (key) >= sep[n]) -> c1[n] : c0[n])
#ifdef NOLIVE
#define IS_LIVE(n) true
#else
#define IS_LIVE(n) live[n]
#endif
#ifdef NOCOVER
#define COVERS(n, key) true
#else
#define COVERS(n, key) (lo[n] <= (key) && (key) < hi[n])
#endif
#define HAS(n, key) ((base[n] & (1 << (key))) || (count[n] && log_[n] == (key)))

/* One step down, or `stop` is reached: then break. */
#define DESCEND(me, key, stop) \
  atomic { level[at[me]] > (stop) -> assert(!reused[me]); at[me] = CHILD(at[me], key) }

proctype Reader(byte key) {
  byte i;
  atomic { acked & (1 << key); enter(READER) }
  do
  :: DESCEND(READER, key, 0)
  :: atomic { level[at[READER]] == 0 -> assert(!reused[READER]); break }
  od;
  atomic { assert(!reused[READER]); assert(HAS(at[READER], key)); leave(READER); done++ }
}

/* A new node in the lowest free frame; waits for its latch, since a thread that still wants the
   former node may hold it for a moment. */
inline add_node(me, x, lv, l, h) {
  atomic {
    x = 1;
    do
    :: state[x] == FREE || (state[x] == LIMBO && grace[x] == 0 && pins[x] == 0) -> break
    :: else -> x++; assert(x < NF)
    od;
    if :: state[x] == LIMBO -> twice = 1 :: else fi;
    state[x] = USED;
    i = 0;
    do :: i < 3 -> reused[i] = reused[i] || (inside[i] && at[i] == x); i++ :: else -> break od;
    i = 0
  }
  atomic {
#ifndef NOBORN
    latch[x] == 0 -> latch[x] = me;
#endif
    live[x] = 1; level[x] = lv; lo[x] = l; hi[x] = h;
    base[x] = 0; count[x] = 0; log_[x] = NONE; c0[x] = 0; c1[x] = 0; sep[x] = 0
  }
}

/* The latched parent of `cur`, or 0 if that is the root: then the anchor is latched. */
inline latch_parent(me, cur, lv, par) {
  do
  :: enter(me);
     if
     :: atomic { level[at[me]] <= lv -> assert(!reused[me]); leave(me); par = 0 };
        atomic { latch[0] == 0 -> latch[0] = me };
        if
        :: atomic { root == cur -> break }
        :: atomic { else -> latch[0] = 0 }
        fi
     :: atomic { level[at[me]] > lv -> assert(!reused[me]) };
        do
        :: DESCEND(me, lo[cur], lv + 1)
        :: atomic { level[at[me]] <= lv + 1 ->
             assert(!reused[me]); par = at[me]; pins[par]++; leave(me); break }
        od;
        atomic { latch[par] == 0 -> latch[par] = me };
        if
        :: atomic { live[par] && level[par] == lv + 1 && COVERS(par, lo[cur]) ->
             assert(CHILD(par, lo[cur]) == cur); pins[par]--; break }
        :: atomic { else -> pins[par]--; latch[par] = 0 }
        fi
     fi
  od
}

/* Leaf `f` is latched and full: replaces it, and what must follow above it; appends key k. */
inline rewrite(me, f, k) {
  atomic {
    keys = base[f] | (count[f] -> 1 << log_[f] : 0);
    i = 0; n = 0; s = hi[f];
    do
    :: i < KEYS ->
       if :: keys & (1 << i) -> n++; if :: n == 3 -> s = i :: else fi :: else fi; i++
    :: else -> break
    od;
    i = 0; old = 1 << f; cur = f; lv = 0
  }
#ifdef NOLATCH
  latch[f] = 0;
#endif
  add_node(me, x, 0, lo[f], s);
  atomic { base[x] = keys & ((1 << s) - 1); f0 = x; f1 = 0; leaf0 = x; leaf1 = 0; x = 0 };
  if
  :: n >= 3 ->
     add_node(me, x, 0, s, hi[f]);
     atomic { base[x] = keys & ~((1 << s) - 1); f1 = x; leaf1 = x; x = 0 }
  :: else
  fi;
  atomic { n = 0; keys = 0; leaf_sep = s };
  do
  :: latch_parent(me, cur, lv, par);
     if
     :: par == 0 && f1 != 0 ->                                       /* the root grows */
        add_node(me, x, lv + 1, 0, KEYS);
        atomic { c0[x] = f0; c1[x] = f1; sep[x] = s; f0 = x; f1 = 0; x = 0 };
        break
     :: f1 == 0 -> break
     :: else ->                                                      /* a new parent, or two */
        atomic {
          old = old | (1 << par);
          if
          :: c1[par] == 0 -> e0 = f0; e1 = f1; s1 = s; e2 = 0; s2 = hi[par]
          :: c1[par] != 0 && c0[par] == cur -> e0 = f0; e1 = f1; s1 = s; e2 = c1[par]; s2 = sep[par]
          :: else -> e0 = c0[par]; e1 = f0; s1 = sep[par]; e2 = f1; s2 = s
          fi
        };
        add_node(me, x, lv + 1, lo[par], s2);
        atomic { c0[x] = e0; c1[x] = e1; sep[x] = s1; f0 = x; f1 = 0; x = 0 };
        if
        :: e2 != 0 ->
           add_node(me, x, lv + 1, s2, hi[par]);
           atomic { c0[x] = e2; sep[x] = hi[par]; f1 = x; x = 0; s = s2 }
        :: else
        fi;
        atomic { cur = par; lv++; par = 0; e0 = 0; e1 = 0; e2 = 0; s1 = 0; s2 = 0 }
     fi
  od;
  atomic {                                                           /* the word that decides */
    if
    :: par == 0 -> root = f0
    :: par != 0 && c0[par] == cur -> c0[par] = f0
    :: else -> c1[par] = f0
    fi
  }
  atomic {
    i = 1; do :: i < NF -> if :: old & (1 << i) -> live[i] = 0 :: else fi; i++ :: else -> break od;
    i = 0; x = ((leaf1 && k >= leaf_sep) -> leaf1 : leaf0)
  }
  append(x, k);
  atomic {
    x = 0; par = 0; f0 = 0; f1 = 0; leaf0 = 0; leaf1 = 0; leaf_sep = 0; cur = 0; lv = 0; s = 0
  }
  do
  :: atomic { i < NF && latch[i] != me -> i++ }
  :: atomic { i < NF && latch[i] == me -> latch[i] = 0; i++ }
  :: atomic { i == NF -> i = 0; break }
  od;
  atomic {
    i = 1;
    do
    :: i < NF ->
       if
       :: old & (1 << i) ->
          state[i] = LIMBO;
#ifndef NOGRACE
          grace[i] = inside[0] | (inside[1] << 1) | (inside[2] << 2);
#endif
       :: else
       fi; i++
    :: else -> break
    od;
    i = 0; old = 0
  }
}

/* A put counts as acknowledged as soon as it is shown. */
inline append(leaf, k) {
  log_[leaf] = k;
  atomic { count[leaf] = 1; acked = acked | (1 << k) }
}

inline put(me, k) {
  do
  :: enter(me);
     do
     :: DESCEND(me, k, 0)
     :: atomic { level[at[me]] == 0 -> assert(!reused[me]); f = at[me]; leave(me); break }
     od;
     atomic { latch[f] == 0 -> latch[f] = me };
     if
     :: atomic { level[f] == 0 && IS_LIVE(f) && COVERS(f, k) -> skip };
        if
        :: atomic { count[f] == 0 -> skip }; append(f, k); latch[f] = 0
        :: atomic { else -> skip }; rewrite(me, f, k)
        fi;
        break
     :: atomic { else -> latch[f] = 0 }
     fi
  od;
  f = 0
}

proctype Writer(byte me; byte k1; byte k2) {
  byte f, x, i, n, s, cur, lv, par, f0, f1, leaf0, leaf1, leaf_sep, e0, e1, e2, s1, s2;
  short keys, old;
  do
  :: k1 != NONE -> put(me, k1); k1 = k2; k2 = NONE
  :: else -> break
  od;
  atomic { done++ }
}

/* All that was acknowledged is there. */
proctype Check() {
  byte k, n;
  atomic {
    done == 3;
    do
    :: k < KEYS ->
       n = root;
       do :: level[n] > 0 -> n = CHILD(n, k) :: else -> break od;
       assert(state[n] == USED && live[n] && lo[n] <= k && k < hi[n]);
       assert(!(acked & (1 << k)) || HAS(n, k));
       k++
    :: else -> break
    od;
    n = 1; do :: n < NF -> assert(latch[n] == 0 && pins[n] == 0); n++ :: else -> break od;
#ifdef REACHED
    assert(!twice)
#endif
  }
}

init {
  atomic {
    root = 3;
    state[3] = USED; live[3] = 1; level[3] = 1; hi[3] = KEYS; c0[3] = 1; c1[3] = 2; sep[3] = 5;
    state[1] = USED; live[1] = 1; hi[1] = 5; base[1] = 5; log_[1] = 1; count[1] = 1;
    state[2] = USED; live[2] = 1; lo[2] = 5; hi[2] = KEYS; base[2] = 160; log_[2] = 9; count[2] = 1;
    acked = 1 | 2 | 4 | 32 | 128 | 512;
    run Check();
    if
    :: run Reader(3); run Writer(1, 4, NONE); run Writer(2, 3, 6)     /* both want one leaf */
    :: run Reader(7); run Writer(1, 3, NONE); run Writer(2, 8, NONE)  /* both split, one parent */
    :: count[2] = 0; log_[2] = NONE; acked = acked & ~512;            /* one only appends */
       run Reader(7); run Writer(1, 3, NONE); run Writer(2, 8, NONE)
    fi
  }
}
