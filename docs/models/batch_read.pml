/* Who sees a batch when: two keys in two leaves, a batch over both, a put into each, readers.

   A record is a sequence number; a leaf is the set of the numbers that its tail count shows. A
   writer shows a lower bound of its number, then takes the number. A batch shows its number as
   pending before its first record is shown, and no longer once its last one is. A reader without a
   snapshot loads the tail count of one leaf, then the pending number, and passes over a record that
   bears it; then the same with the other leaf. A reader with a snapshot S waits until no bound that
   is shown is at or below S; pending numbers do not concern it. Durability is in batch_crash.pml;
   versions that are dropped are in versions.pml.

   Shown: who has seen a batch, or what came after it, in one leaf, sees it in the other; what is
   acknowledged is seen; a snapshot reads the same newest records twice.
   Must fail: -DNOPENDING     no pending number
              -DPENDING_FIRST a reader loads the pending number before the tail count
              -DONE_SLOT      the bound lies where the pending number lies
              -DEARLY_NUMBER  the number is taken before all latches are held
              -DEARLY_UNLATCH leaf by leaf: shown and unlatched before the next leaf is latched
              -DNOBOUND       the batch shows no bound, so that snapshots do not wait for it
              -DREACHED       a reader passes over a pending record, a snapshot waits */
#define INF 15
#define BATCH 2                    /* slot of the batch; 0 and 1 are those of the puts */

byte counter = 1;                  /* number 1 is in both leaves from the start */
byte shown[2];                     /* sets of numbers */
byte taken[2];                     /* the same, from when the number is taken: what is right */
byte acked[2];                     /* highest acknowledged number */
byte bound[3], pending;
bool latch[2], passed, waited;
byte batch;                        /* its number, for what is asserted */

inline newest(numbers, most, n_) {
  n_ = most; do :: n_ == 0 || (numbers & (1 << n_)) -> break :: else -> n_-- od
}

proctype Batch() {
  byte n;
  atomic { !latch[0] -> latch[0] = 1 };
#if !defined(EARLY_NUMBER) && !defined(EARLY_UNLATCH)
  atomic { !latch[1] -> latch[1] = 1 };
#endif
#ifdef ONE_SLOT
  pending = counter;
#endif
#ifndef NOBOUND
  bound[BATCH] = counter;
#endif
  atomic { counter++; n = counter; batch = n; taken[0] = taken[0] | (1 << n);
           taken[1] = taken[1] | (1 << n) };
#ifndef NOPENDING
  pending = n;
#endif
#ifdef EARLY_NUMBER
  atomic { !latch[1] -> latch[1] = 1 };
#endif
  shown[0] = shown[0] | (1 << n);
#ifdef EARLY_UNLATCH
  latch[0] = 0;
  atomic { !latch[1] -> latch[1] = 1 };
#endif
  shown[1] = shown[1] | (1 << n);
  atomic {
    pending = 0;
    acked[0] = (n > acked[0] -> n : acked[0]); acked[1] = (n > acked[1] -> n : acked[1])
  };
  bound[BATCH] = INF;
#ifndef EARLY_UNLATCH
  latch[0] = 0;
#endif
  latch[1] = 0
}

proctype Put(byte l) {
  byte n;
  atomic { !latch[l] -> latch[l] = 1 };
  bound[l] = counter;
  atomic { counter++; n = counter; taken[l] = taken[l] | (1 << n) };
  atomic { shown[l] = shown[l] | (1 << n); acked[l] = (n > acked[l] -> n : acked[l]) };
  bound[l] = INF;
  latch[l] = 0
}

inline get(from, out) {
  least = acked[from];
#ifdef PENDING_FIRST
  skip_ = pending;
  set = shown[from];
#else
  set = shown[from];
  skip_ = pending;
#endif
  atomic {
    if :: skip_ != 0 && (set & (1 << skip_)) -> set = set & ~(1 << skip_); passed = 1 :: else fi;
    newest(set, 7, out);
    assert(out >= least);                       /* what was acknowledged is seen */
    skip_ = 0; set = 0; least = 0
  }
}

proctype Reader() {
  byte l, a, b, set, skip_, least;
  if :: l = 0 :: l = 1 fi;
  get(l, a);
  get(1 - l, b);
  atomic { assert(!(batch != 0 && a >= batch && b < batch)) }     /* the whole batch */
}

proctype Snapshot() {
  byte s, i, a, b;
  s = counter;
  do
  :: atomic { i < 3 && bound[i] > s -> i++ }
  :: atomic { i < 3 && bound[i] <= s -> waited = waited || i == BATCH; bound[i] > s -> i++ }
  :: atomic { i == 3 -> i = 0; break }
  od;
  do
  :: atomic { i < 4 ->
       newest(shown[i % 2], s, a); newest(taken[i % 2], s, b);
       assert(a == b); i++; a = 0; b = 0 }
  :: atomic { else -> break }
  od;
  i = 0
}

init {
  atomic {
    shown[0] = 2; shown[1] = 2; taken[0] = 2; taken[1] = 2; acked[0] = 1; acked[1] = 1;
    bound[0] = INF; bound[1] = INF; bound[2] = INF;
    run Batch(); run Put(0); run Put(1); run Reader(); run Snapshot()
  }
  atomic { _nr_pr == 1;
#ifdef REACHED
    assert(!(passed && waited))
#endif
  }
}
