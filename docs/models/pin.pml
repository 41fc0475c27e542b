/* Who waits for a latch while holding another must have pinned the node.

   Frames are reused; a waiter is in no read section, so a grace period does not keep the node it
   waits for. If its frame is reused, the waiter waits for another node's latch, which breaks the
   order of latches. Three leaves C < A < B under an inner node P, whose parent is R.

   Shown: no deadlock between two batches (leaves in key order, making room on the way), a
   consolidation, a change that replaces P and one that replaces R.
   Must fail: -DNOPIN_LEAF   batches wait for further leaves without a pin
              -DNOPIN_INNER  changes wait for inner nodes without a pin
              -DREACHED      all is done, and somebody waited for a former node */
#define C 0
#define A 1
#define B 2
#define P 3
#define R 4
#define NODES 5
#define FRAMES 9

byte where[NODES];              /* the frame of each node: what child words say */
byte owner[FRAMES];             /* the node in each frame; NODES is free */
byte pins[FRAMES], done;
bool latch[FRAMES], retried;

#define IS_INNER(n) ((n) >= P)
#ifdef NOPIN_LEAF
#define PINS_LEAF 0
#else
#define PINS_LEAF 1
#endif
#ifdef NOPIN_INNER
#define PINS_INNER 0
#else
#define PINS_INNER 1
#endif
#define PINS(n) (IS_INNER(n) -> PINS_INNER : PINS_LEAF)

/* The read section in which the node is found is one step: find it, pin it. */
inline lock(node, at) {
  do
  :: atomic { at = where[node]; pins[at] = pins[at] + PINS(node) };
     atomic { !latch[at] -> latch[at] = 1; pins[at] = pins[at] - PINS(node) };
     if
     :: atomic { owner[at] == node -> break }
     :: atomic { else -> latch[at] = 0; retried = 1 }
     fi
  od
}
inline unlock(at) { latch[at] = 0 }

/* A frame for a new version of the node, which is born latched. */
inline bear(node, at) {
  atomic {
    at = 0;
    do :: owner[at] == NODES && pins[at] == 0 -> break :: else -> at++; assert(at < FRAMES) od;
    owner[at] = node
  }
  atomic { !latch[at] -> latch[at] = 1 }
}
/* The word is swung; the old frame is free once the grace period is over, here: at once. */
inline replace(node, old, new) {
  atomic { where[node] = new; owner[old] = NODES };
  unlock(old)
}

/* First makes room in n (a new n, a word of P is swung), keeps it latched, then latches m. */
proctype Batch(byte n; byte m) {
  byte f, g, p;
  lock(n, f);
  bear(n, g);
  lock(P, p); replace(n, f, g); unlock(p);
  lock(m, f);
  unlock(g); unlock(f);
  atomic { done++ }
}
/* Replaces a leaf and perhaps P; swings a word of the node above. */
proctype Change(byte leaf; bool parent) {
  byte l, p, r, nl, np;
  lock(leaf, l);
  bear(leaf, nl);
  lock(P, p);
  if
  :: parent -> bear(P, np); lock(R, r); unlock(r); replace(P, p, np); unlock(np)
  :: else -> unlock(p)
  fi;
  replace(leaf, l, nl); unlock(nl);
  atomic { done++ }
}
/* A change of another part of the tree replaces R, then its frame is anybody's. */
proctype ChangeOfRoot() {
  byte r, n;
  lock(R, r); bear(R, n); replace(R, r, n); unlock(n);
  atomic { done++ }
}

init {
  byte i;
  atomic {
    do
    :: i < FRAMES -> owner[i] = NODES; if :: i < NODES -> owner[i] = i; where[i] = i :: else fi; i++
    :: else -> break
    od;
    i = 0;
    if
    :: run Batch(C, A); run Batch(A, B); run Change(B, 0)
    :: run Change(A, 1); run ChangeOfRoot(); run Change(C, 0)
    :: run Change(A, 1); run ChangeOfRoot(); run Batch(C, B)
    fi
  }
  atomic { done == 3;
#ifdef REACHED
    assert(!retried)
#endif
  }
}
