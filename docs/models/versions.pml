/* Snapshots over a volatile table of versions: what they read is right and stays so.

   A leaf with two keys: W0 puts, deletes and puts key A, W1 puts key B. A record is a sequence
   number; a leaf is the set of A's numbers that it shows and `ever`, the highest number that it or
   the leaf before it ever held. A writer latches the leaf, shows a lower bound of its number, takes
   the number, appends, shows the record, clears the bound, unlatches. The consolidator latches the
   leaf, reads the registry under the registry's lock, copies into the table each version of A that
   is the newest at or below some registered number but not the newest of all, then swings the word
   to a new leaf that has only the newest version. The newest one is dropped as well if it is a
   tombstone that nobody needs: nothing registered is below it and the table has no version of its
   key. A snapshot: registered under the lock as S = counter; waits until no bound that is shown is
   at or below S; then loads the word, the leaf, and finds the newest record at or below S in it;
   else there is none if S >= ever; else it looks into the table for the newest at or below S. When
   a snapshot is released, table entries that no registered number needs are thrown away, or stay. A
   reader without a snapshot takes the newest of the leaf.

   -DINTERVALS: another way for tombstones, also right: a table entry bears the number that
   superseded it, and is for the numbers between; then a tombstone is always dropped, and never
   copied.

   Must fail: -DREGISTRY_FIRST  the registry is read before the leaf is latched
              -DNOLOCK          the registry is read without its lock
              -DTABLE_LAST      the table is filled after the word is swung
              -DNOWAIT          no wait for numbers that are shown
              -DLATE_BOUND      a number is shown after it was taken
              -DDROP_TOMBSTONE  the newest is dropped if it is a tombstone with nothing registered
                                below it, whatever the table holds
              -DDROP_ALL        the same, whatever is registered
              -DINTERVALS -DNOEVER  a reader takes the highest number in the leaf now for `ever`
              -DREACHED=hit     a version is found in the table
              -DREACHED=none_   a reader knows by S >= ever that there is none */
#define INF 15
#define ROUNDS 2

byte counter = 2;                  /* numbers 1 and 2 are puts of A and B */
byte leaf;                         /* the child word */
byte has[3], ever[3];              /* each leaf: set of A's numbers; highest number ever held */
byte top[3];                       /* highest number in the leaf now, for NOEVER */
byte table, until[8];              /* set of A's numbers; what superseded each */
byte registry[2], bound[2];
byte right, dead;                  /* all of A's numbers as they are taken; tombstones among them */
byte newest_a = 1;                 /* highest that is shown */
bool latch, lock, hit, none_;

/* The newest of some numbers that is at most `most`, or 0. */
inline newest(numbers, most, n_) {
  n_ = most; do :: n_ == 0 || (numbers & (1 << n_)) -> break :: else -> n_-- od
}

/* kind: 0 a put of A, 1 a delete of A, 2 a put of B */
inline write(me, kind) {
  atomic { !latch -> latch = 1 };
#ifndef LATE_BOUND
  bound[me] = counter;
#endif
  atomic {
    counter++; n = counter;
    if :: kind < 2 -> right = right | (1 << n) :: else fi;
    if :: kind == 1 -> dead = dead | (1 << n) :: else fi
  };
#ifdef LATE_BOUND
  bound[me] = n;
#endif
  atomic {
    if :: kind < 2 -> has[leaf] = has[leaf] | (1 << n); newest_a = n :: else fi;
    ever[leaf] = n; top[leaf] = n
  };
  bound[me] = INF;
  latch = 0
}

proctype W0() { byte n; write(0, 0); write(0, 1); write(0, 0) }
proctype W1() { byte n; write(1, 2) }

inline read_registry() {
#ifdef NOLOCK
  atomic { g[0] = registry[0]; g[1] = registry[1] }
#else
  atomic { !lock -> g[0] = registry[0]; g[1] = registry[1] }
#endif
}

inline fill_table() {
  atomic {
    newest(has[old], 7, a);
    i = 0;
    do
    :: i < 2 ->
       newest(has[old], g[i], b);
#ifdef INTERVALS
       if
       :: b != 0 && b != a && !(dead & (1 << b)) ->
          u = b + 1; do :: has[old] & (1 << u) -> break :: else -> u++ od;
          table = table | (1 << b); until[b] = u; u = 0
#else
       if
       :: b != 0 && b != a -> table = table | (1 << b)
#endif
       :: else
       fi;
       i++
    :: else -> break
    od;
    i = 0; b = 0
  }
}

proctype Consolidate() {
  byte r, i, a, b, u, old, g[2];
  bool drop;
  do
  :: r < ROUNDS ->
     r++;
#ifdef REGISTRY_FIRST
     read_registry();
     atomic { !latch -> latch = 1; old = leaf };
#else
     atomic { !latch -> latch = 1; old = leaf };
     read_registry();
#endif
#ifndef TABLE_LAST
     fill_table();
#endif
     atomic {
       newest(has[old], 7, a);
       drop = (dead & (1 << a)) != 0;
#if !defined(INTERVALS) && !defined(DROP_ALL)
       drop = drop && (g[0] == 0 || g[0] >= a) && (g[1] == 0 || g[1] >= a);
#ifndef DROP_TOMBSTONE
       drop = drop && table == 0;
#endif
#endif
       has[r] = (drop || a == 0 -> 0 : 1 << a); ever[r] = ever[old];
       top[r] = (drop -> 0 : a);
       leaf = r; drop = 0
     };
#ifdef TABLE_LAST
     fill_table();
#endif
     atomic { a = 0; old = 0; g[0] = 0; g[1] = 0; latch = 0 }
  :: else -> break
  od
}

#ifdef NOEVER
#define EVER(l) top[l]
#else
#define EVER(l) ever[l]
#endif

#ifdef INTERVALS
#define NEEDS(s, n) (s >= n && s < until[n])
#else
#define NEEDS(s, n) (s >= n)
#endif

/* What a snapshot reads: the number of a put, or 0. */
inline look(out) {
  l = leaf;
  atomic { newest(has[l], s, out); e = EVER(l) };
  if
  :: out != 0 -> skip
  :: out == 0 && s >= e -> none_ = 1
  :: else ->
     atomic {
       newest(table, s, out);
#ifdef INTERVALS
       do :: out != 0 && until[out] <= s -> out--; newest(table, out, out) :: else -> break od;
#endif
       hit = hit || out != 0
     }
  fi;
  atomic { out = ((dead & (1 << out)) -> 0 : out); l = 0; e = 0 }
}

/* What no registered number needs is thrown away, or stays for ever. */
inline release(me) {
  atomic {
    !lock -> registry[me] = 0;
    if
    :: i = 1;
       do
       :: i < 8 && NEEDS(registry[1 - me], i) -> i++
       :: i < 8 && !NEEDS(registry[1 - me], i) -> table = table & ~(1 << i); until[i] = 0; i++
       :: else -> break
       od;
       i = 0
    :: true
    fi
  }
}

inline register(me) {
  atomic { !lock -> lock = 1 };
  s = counter;
  registry[me] = s;
  lock = 0
}

proctype Snapshot() {
  byte i, s, l, e, a, b;
  register(0);
#ifndef NOWAIT
  atomic { bound[0] > s };
  atomic { bound[1] > s };
#endif
  atomic { newest(right, s, b); b = ((dead & (1 << b)) -> 0 : b) };
  look(a);
  assert(a == b);
  look(a);
  atomic { assert(a == b); a = 0; b = 0; s = 0 };
  release(0)
}

/* Another snapshot, for whose sake versions are kept. What it would read is checked above. */
proctype Other() {
  byte i, s;
  register(1);
  s = 0;
  release(1)
}

proctype Reader() {
  byte l, a, least;
  atomic { least = newest_a; l = leaf };
  atomic {
    newest(has[l], 7, a);
    /* None: then a tombstone has been written that is no older. */
    assert(a != 0 -> a >= least : dead >= (1 << least))
  }
}

init {
  atomic {
    has[0] = 2; right = 2; ever[0] = 2; top[0] = 2; bound[0] = INF; bound[1] = INF;
    run W0(); run W1(); run Consolidate();
    if :: run Snapshot(); run Other() :: run Other(); run Reader() fi
  }
  atomic { _nr_pr == 1;
#ifdef REACHED
    assert(!(REACHED))
#endif
  }
}
