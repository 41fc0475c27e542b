/* A batch over two leaves, its redo list in a lane, and crashes: what is there afterwards.

   Word-granular persistency: each word has a volatile (v_) and a persistent (p_) value; Evict
   copies any one at any instant; a fence copies what was flushed. A power failure loses what is
   only volatile; a kill loses nothing, but a power failure may follow it at any step of the
   recovery, or later. A record counts as one word here (its checksum makes it whole or absent), a
   lane entry as three: a state word and two places, believed only if all are of one entry (its
   checksum).

   The batch: lane; latches in key order, making room first; entry, fence: committed; records,
   fence; lane emptied, fence; records shown; unlatched. Beside it a writer puts into one of the
   leaves. A leaf's log has room for one record, so that every second write replaces the leaf; that
   is one step here (the lane protocol makes it one), and the old frame is reused at once. Recovery:
   an entry that is whole is made durable, redone, fenced, retired, fenced. First touch of a leaf:
   its log is made durable before it is believed. After the recovery the writer may live a second
   life, which ends with a power failure.

   Shown: after recovery a batch is there whole or not at all, whole if acknowledged; an
   acknowledged put is there; what was read after one recovery is there after the next.
   Must fail: -DEARLY      leaves unlatched before the lane is durably empty
              -DSHARED     emptying the lane shares the fence with the records
              -DNOCOMMIT   no fence between entry and records
              -DNOFLUSH    replay without first making the entry durable
              -DNOEMPTY    recovery does not make durable that a lane is empty
              -DNOREDO     replay's stores are not fenced before the lane is emptied
              -DREACHED    a replay after acknowledged writes, a second life, the last check */
#define FRAMES 4
#define BATCHES 2
#define PUTS 3
/* Records are bits: batches 1 and 2, puts 4 to 16 of the first life, 32 and 64 of the second. */

byte where[2];                             /* the frame of each leaf, durable */
byte base[FRAMES];                         /* durable */
byte v_log[FRAMES], p_log[FRAMES];
byte v_e[3], p_e[3];                       /* state; places: 8 * batch + frame */
bool used[FRAMES], latch[2], shown[FRAMES];
bool down;
byte acked, replays;

#define UP(x) atomic { if :: down -> goto out :: else -> x fi }
#define WHOLE (v_e[0] != 0 && v_e[1] / 8 == v_e[0] && v_e[2] / 8 == v_e[0])

/* Makes room in a latched leaf: a new leaf with an empty log, in the lowest free frame. */
inline make_room(l) {
  f = where[l];
  if
  :: shown[f] ->
     g = 0; do :: used[g] -> g++ :: else -> break od;
     used[g] = 1; base[g] = base[f] | v_log[f]; v_log[g] = 0; p_log[g] = 0; shown[g] = 0;
     where[l] = g; used[f] = 0; f = g; g = 0
  :: else
  fi
}

proctype Batch() {
  byte r, f, g, f0, f1;
  do
  :: r < BATCHES ->
     r++;
     atomic { !latch[0] || down -> latch[0] = 1 };
     UP(make_room(0); f0 = f; f = 0);
     atomic { !latch[1] || down -> latch[1] = 1 };
     UP(make_room(1); f1 = f; f = 0);
     UP(v_e[1] = 8 * r + f0);
     UP(v_e[2] = 8 * r + f1);
     UP(v_e[0] = r);
#ifndef NOCOMMIT
     UP(p_e[0] = v_e[0]; p_e[1] = v_e[1]; p_e[2] = v_e[2]);                      /* committed */
#endif
     UP(v_log[f0] = r);
     UP(v_log[f1] = r);
#ifdef SHARED
     UP(v_e[0] = 0);
     UP(p_log[f0] = v_log[f0]; p_log[f1] = v_log[f1]; p_e[0] = v_e[0]);
#else
     UP(p_log[f0] = v_log[f0]; p_log[f1] = v_log[f1]);
#ifdef EARLY
     UP(shown[f0] = 1; shown[f1] = 1; latch[0] = 0; latch[1] = 0);
#endif
     UP(v_e[0] = 0);
     UP(p_e[0] = v_e[0]);
#endif
#ifdef EARLY
     UP(acked = acked | r);
#else
     UP(shown[f0] = 1; shown[f1] = 1; acked = acked | r);
     UP(latch[1] = 0);
     UP(latch[0] = 0);
#endif
     f0 = 0; f1 = 0
  :: else -> break
  od;
out: skip
}

proctype Put() {
  byte r, f, g;
  do
  :: r < PUTS ->
     r++;
     atomic { !latch[0] || down -> latch[0] = 1 };
     UP(make_room(0));
     UP(v_log[f] = 2 << r);
     UP(p_log[f] = v_log[f]);
     UP(shown[f] = 1; acked = acked | (2 << r); latch[0] = 0; f = 0)
  :: else -> break
  od;
out: skip
}

/* The choice of a word is one step with its eviction. */
active proctype Evict() {
end:
  do
  :: atomic { v_e[0] != p_e[0] -> p_e[0] = v_e[0] }
  :: atomic { v_e[1] != p_e[1] -> p_e[1] = v_e[1] }
  :: atomic { v_e[2] != p_e[2] -> p_e[2] = v_e[2] }
  :: atomic { v_log[0] != p_log[0] -> p_log[0] = v_log[0] }
  :: atomic { v_log[1] != p_log[1] -> p_log[1] = v_log[1] }
  :: atomic { v_log[2] != p_log[2] -> p_log[2] = v_log[2] }
  :: atomic { v_log[3] != p_log[3] -> p_log[3] = v_log[3] }
  od
}

inline power_fails() {
  atomic {
    v_e[0] = p_e[0]; v_e[1] = p_e[1]; v_e[2] = p_e[2];
    v_log[0] = p_log[0]; v_log[1] = p_log[1]; v_log[2] = p_log[2]; v_log[3] = p_log[3]
  }
}

#define PERHAPS_POWER_FAILS \
  if :: failures > 0 -> failures--; power_fails(); goto recover :: true fi

proctype Crash() {
  byte f, g, failures = 1, seen, all;
  bool lived;
  atomic { down = 1 };
  if :: power_fails() :: true /* killed */ fi;
recover:
#ifndef NOEMPTY
  atomic { p_e[0] = v_e[0] };
#endif
  if
  :: v_e[0] != 0 && WHOLE ->
#ifndef NOFLUSH
     PERHAPS_POWER_FAILS;
     atomic { p_e[0] = v_e[0]; p_e[1] = v_e[1]; p_e[2] = v_e[2] };
#endif
     PERHAPS_POWER_FAILS;
     v_log[v_e[1] % 8] = v_e[0];
     PERHAPS_POWER_FAILS;
     v_log[v_e[2] % 8] = v_e[0];
     PERHAPS_POWER_FAILS;
#ifndef NOREDO
     atomic { p_log[v_e[1] % 8] = v_log[v_e[1] % 8]; p_log[v_e[2] % 8] = v_log[v_e[2] % 8] };
     PERHAPS_POWER_FAILS;
#endif
     v_e[0] = 0;
     PERHAPS_POWER_FAILS;
     atomic { p_e[0] = v_e[0]; replays++ };
     PERHAPS_POWER_FAILS
  :: v_e[0] != 0 && !WHOLE ->
     v_e[0] = 0;
     PERHAPS_POWER_FAILS;
     atomic { p_e[0] = v_e[0] }
  :: else
  fi;
  /* First touch of the leaves, and what a reader finds. */
  atomic {
    f = where[0]; g = where[1];
    p_log[f] = v_log[f]; p_log[g] = v_log[g]; shown[f] = v_log[f] != 0; shown[g] = v_log[g] != 0;
    all = base[f] | v_log[f];
    assert((all & 3) == (base[g] | v_log[g]));      /* a batch is whole or absent */
    assert((all & acked) == acked);                 /* what was acknowledged is there */
    assert((all & seen) == seen);                   /* what was read is there */
    seen = all; f = 0; g = 0; all = 0
  };
  if
  :: !lived && failures > 0 ->
     lived = 1;
     atomic { make_room(0) };
     v_log[f] = 32;
     atomic { p_log[f] = 32; shown[f] = 1; acked = acked | 32 };
     atomic { make_room(0) };
     v_log[f] = 64;
     atomic { p_log[f] = 64; shown[f] = 1; acked = acked | 64 };
     failures--; f = 0; power_fails(); goto recover
  :: true
  fi;
#ifdef REACHED
  assert(!(lived && replays > 0 && (acked & 3) && (acked & 4)))
#endif
}

init {
  atomic {
    where[1] = 1; used[0] = 1; used[1] = 1;
    run Batch(); run Put(); run Crash()
  }
}
