// Forced interleavings of three threads, and those that need a state of their own.
#include <gtest/gtest.h>

#include "tests/concurrency/judge.h"

namespace tuff::test {
namespace {

struct Three {
  What a, b, c;
};

class Threes : public testing::TestWithParam<Three> {};

// A stops; B and C go as far as they can; C is what B is in a duel, one leaf further.
TEST_P(Threes, EveryStepOfA) {
  const auto [a, b, c] = GetParam();
  bool has_effect = false;
  size_t turn = 0;
  Graveyard graveyard;
  for (const At& stop : StopsOf(a, b, Where::kNextLeaf, &graveyard, &has_effect)) {
    if (turn++ % (kSanitized ? 3 : 1) != 0) continue;
    SCOPED_TRACE(stop.id + ", passing " + std::to_string(stop.nth));
    auto owned = std::make_unique<Duel>(a, b, Where::kNextLeaf);
    Duel& duel = *owned;
    Client client_a(duel.arena().store(), duel.arena().clock(), "A");
    Client client_b(duel.arena().store(), duel.arena().clock(), "B");
    Client client_c(duel.arena().store(), duel.arena().clock(), "C");
    const Duel::Act act_c = duel.MakeThird(c);
    {
      Scheduler scheduler;
      Actor& actor_a = scheduler.Add("A", [&] { duel.ActA(client_a); });
      Actor& actor_b = scheduler.Add("B", [&] { duel.ActB(client_b); });
      Actor& actor_c = scheduler.Add("C", [&] { act_c(client_c); });
      EXPECT_EQ(scheduler.MustRunTo(actor_a, stop), Outcome::kParked);
      scheduler.RunOn(actor_b);
      // Gets wait for nobody, but for a first touch. An iterator waits for writers that have shown
      // a number and not finished.
      if (c == What::kGet) {
        EXPECT_EQ(scheduler.MustFinish(actor_c), Outcome::kFinished);
      } else {
        scheduler.RunOn(actor_c);
      }
      scheduler.JoinAll();
    }
    Judge(duel, {&client_a, &client_b, &client_c});
    graveyard.Bury(std::move(owned));
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Threes,
                         testing::Values(Three{What::kSplit, What::kMerge, What::kForward},
                                         Three{What::kMerge, What::kSplit, What::kBackward},
                                         Three{What::kConsolidate, What::kConsolidate, What::kGet},
                                         Three{What::kConsolidate, What::kReuse, What::kOverwrite},
                                         Three{What::kForward, What::kMerge, What::kReuse},
                                         Three{What::kGetPinned, What::kReuse, What::kReuse},
                                         Three{What::kRootShrink, What::kSplit, What::kForward},
                                         Three{What::kRootGrowth, What::kSplit, What::kBackward},
                                         Three{What::kFirstTouch, What::kFirstTouch,
                                               What::kConsolidate}));

// A reader has seen that a node is not verified yet, and is about to compare it with its owner
// word; then another thread verifies, replaces and frees the node.
TEST(FirstTouch, OwnerWordMayGoWhileANodeIsVerified) {
  for (size_t nth = 1; nth <= 2; nth++) {  // the root, the leaf
    SCOPED_TRACE(nth);
    Duel duel(What::kSplit, What::kFirstTouch, Where::kSameLeaf);
    Client reader(duel.arena().store(), duel.arena().clock(), "reader");
    Client writer(duel.arena().store(), duel.arena().clock(), "writer");
    {
      Scheduler scheduler;
      Actor& reads = scheduler.Add("reader", [&] { duel.ActB(reader); });
      Actor& splits = scheduler.Add("writer", [&] { duel.ActA(writer); });
      ASSERT_EQ(scheduler.MustRunTo(reads, At("verify.1", nth)), Outcome::kParked);
      EXPECT_EQ(scheduler.MustFinish(splits), Outcome::kFinished);
      EXPECT_GT(duel.arena().Count(Counter::kSplits), 0u);
      scheduler.JoinAll();
    }
    Judge(duel, {&reader, &writer});
  }
}

// Keys so long that an inner node holds few: a tree of three levels stays small.
std::string LongKey(size_t i) {
  std::string number = std::to_string(i);
  number.insert(0, 8 - number.size(), '0');
  return std::string(900, 'x') + number;
}

// A tree of three levels, in which three threads can each be one write before something: T1 before
// a split of the left inner node, T2 before the consolidation of the leftmost leaf (under the same
// inner node), T3 before a split of the right inner node, which replaces the root.
class ThreeLevels {
 public:
  struct Counts {
    size_t left = 0;
    size_t right = 0;
    size_t log = 0;
  };

  ThreeLevels() {
    ThreeLevels(&counts_, 0);
    ThreeLevels(&counts_, 1);
    ThreeLevels(&counts_, 2);
    Build(&counts_, 3);
  }

  Status ActLeft() { return PutLeft(counts_.left); }
  Status ActRight() { return PutRight(counts_.right); }
  Status ActLog() { return PutLog(); }
  Arena& arena() { return *arena_; }

 private:
  ThreeLevels(Counts* counts, int stage) { Build(counts, stage); }

  // Between the base's keys, which are multiples of 10; all below the left inner node.
  Status PutLeft(size_t i) {
    return arena_->store().Put(LongKey(1001 + 10 * (i / 9) + i % 9), "left");
  }
  Status PutRight(size_t i) { return arena_->store().Put(LongKey(1000000 + i), "right"); }
  Status PutLog() { return arena_->store().Put(LongKey(2000), "log"); }

  void Build(Counts* counts, int stage) {
    arena_ = std::make_unique<Arena>();
    for (size_t i = 0; arena_->Count(Counter::kInnerSplits) == 0; i++) {
      ASSERT_OK(arena_->store().Put(LongKey(10 * i), "base"));
    }
    Play(stage == 0, Counter::kInnerSplits, &counts->left, [&](size_t i) { return PutLeft(i); });
    if (stage < 1) return;
    Play(stage == 1, Counter::kInnerSplits, &counts->right, [&](size_t i) { return PutRight(i); });
    if (stage < 2) return;
    Play(stage == 2, Counter::kConsolidations, &counts->log, [&](size_t) { return PutLog(); });
  }

  // Either finds out how many writes come before the one that counts, or makes as many.
  template <typename Put>
  void Play(bool find_out, Counter counter, size_t* count, const Put& put) {
    const uint64_t before = arena_->Count(counter);
    for (size_t i = 0; find_out || i < *count; i++) {
      ASSERT_OK(put(i));
      if (arena_->Count(counter) == before) continue;
      ASSERT_TRUE(find_out);
      *count = i;
      return;
    }
  }

  std::unique_ptr<Arena> arena_;
  Counts counts_;
};

// T1 holds an inner node and waits for the latch of its parent, which it has found without a
// latch. Meanwhile the parent is replaced and freed, and T2's new leaf is born in its frame: T2
// holds that latch and waits for T1's inner node. Neither may wait for the other.
TEST(FrameReuse, WaitersForAParentDoNotMeetANewNodeInItsFrame) {
  ThreeLevels tree;
  if (HasFatalFailure()) return;
  Arena& arena = tree.arena();
  PageMap& map = arena.map();
  const auto root = [&] {
    const auto object = PoolTestPeer::GetCatalogue(arena.pool()).Find("store");
    const Tree reader(map, object->id, object->anchor);
    return ChildPfn(reader.root_word());
  };
  const Pfn old_root = root();
  const unsigned order = NodeView(map.base() + OffsetOf(old_root), old_root).order();
  ASSERT_EQ(NodeView(map.base() + OffsetOf(old_root), old_root).level(), 2u);
  {
    Scheduler scheduler;
    Actor& t1 = scheduler.Add("T1", [&] { EXPECT_OK(tree.ActLeft()); });
    Actor& t2 = scheduler.Add("T2", [&] { EXPECT_OK(tree.ActLog()); });
    Actor& t3 = scheduler.Add("T3", [&] { EXPECT_OK(tree.ActRight()); });
    ASSERT_EQ(scheduler.MustRunTo(t1, At("smo.latch", 2)), Outcome::kParked);
    ASSERT_EQ(scheduler.MustFinish(t3), Outcome::kFinished);
    ASSERT_NE(root(), old_root);
    map.limbo().Reclaim();
    // Nothing is free but the old root's frames; where those still are waited for, others.
    std::vector<Pfn> taken;
    const uint64_t frames = 1ull << order;
    Pfn free_run = 0;
    while (const Pfn pfn = map.allocator().Allocate(0, AllocFor::kGrowth)) {
      if ((pfn & (frames - 1)) == 0 && free_run != old_root) free_run = pfn;
      taken.push_back(pfn);
    }
    const auto in_run = [&](Pfn pfn) { return (pfn & ~(frames - 1)) == free_run; };
    for (const Pfn pfn : taken) {
      if (in_run(pfn)) map.allocator().Free(pfn, 0);
    }
    EXPECT_EQ(scheduler.RunOn(t2), Outcome::kBlocked);
    for (const Pfn pfn : taken) {
      if (!in_run(pfn)) map.allocator().Free(pfn, 0);
    }
    scheduler.JoinAll();
  }
  EXPECT_EQ(arena.Problems(), "");
}

}  // namespace
}  // namespace tuff::test
