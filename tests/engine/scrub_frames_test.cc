// Pool::Scrub, where it looks at the frame table and at lanes: leaks, owner words where none should
// be, lanes that are not empty.
#include <gtest/gtest.h>

#include <thread>

#include "tests/engine/pool_bytes.h"
#include "tests/engine/scrub_fixture.h"

namespace tuff::test {
namespace {

class ScrubFramesTest : public ScrubTest {
 protected:
  // One that nobody has used.
  Pfn FreeFrame(unsigned order = 0) {
    const Pfn pfn = map().frames() - (1ull << order);
    EXPECT_EQ(map().memmap().OwnerWordAt(pfn), 0u);
    return pfn;
  }
  void ExpectNothing() { ExpectProblems({}); }
  // Exactly this problem while the frame has this owner word, and nothing afterwards.
  void ExpectWhile(Pfn pfn, uint64_t word, ProblemCode code, std::string_view store_name = "") {
    const uint64_t before = map().memmap().OwnerWordAt(pfn);
    Store64(OwnerWordOffset(pfn), word);
    ExpectProblem(code, pfn, store_name);
    Store64(OwnerWordOffset(pfn), before);
    ExpectNothing();
  }
  uint64_t NodeWord(Pfn pfn, unsigned order, uint32_t object_id) {
    return PackOwner(pfn, FrameKind::kTreeNode, order, object_id);
  }
  // A node of several frames.
  NodeView LargeLeaf() {
    for (size_t i = 0; i < Root().count(); i++) {
      if (LeafAt(i).order() > 0) return LeafAt(i);
    }
    ADD_FAILURE() << "no leaf is large";
    return FirstLeaf();
  }
  void ExpectLaneWhileEntered(const LaneChange& change, ProblemCode code) {
    const unsigned lane = 9;
    ASSERT_TRUE(map().lanes().TryAcquire(lane));
    {
      WriteWindow window(map().domain());
      map().lanes().Enter(window, lane, change);
    }
    EXPECT_EQ(Describe(Scrub(pool())), Describe(sound_));  // somebody holds it
    map().lanes().Release(lane);
    ExpectProblem(code, kLanesPfn + lane, "");
    Store64(OffsetOf(kLanesPfn + lane), 0);
    ExpectNothing();
  }

  const ScrubResult sound_ = Scrub(pool());
};

TEST_F(ScrubFramesTest, AFrameThatNobodyHasWritten) {
  const Pfn pfn = FreeFrame();
  ExpectWhile(pfn, NodeWord(pfn, 0, info().id), ProblemCode::kLeaked, "store");
  ExpectWhile(pfn, NodeWord(pfn, 0, 9999), ProblemCode::kLeaked);
  ExpectWhile(pfn, NodeWord(pfn, 0, kCatalogueObjectId), ProblemCode::kLeaked);
  for (const FrameKind kind : {FrameKind::kExtent, FrameKind::kBatchLog, FrameKind::kRaw}) {
    ExpectWhile(pfn, PackOwner(pfn, kind, 0, info().id), ProblemCode::kLeaked, "store");
  }
  const Pfn run = FreeFrame(3);
  ExpectWhile(run, NodeWord(run, 3, info().id), ProblemCode::kLeaked, "store");
  Store64(OwnerWordOffset(pfn), PackOwner(pfn, FrameKind::kQuarantined, 0, 0));
  ExpectNothing();
}

// Whole, and of a tree that is in use; which no longer leads to it.
TEST_F(ScrubFramesTest, AFormerNode) {
  const NodeView leaf = FirstLeaf();
  const NodeView root = Root();
  const uint64_t words[] = {map().memmap().OwnerWordAt(leaf.pfn()),
                            map().memmap().OwnerWordAt(root.pfn())};
  for (int i = 0; FirstLeaf().pfn() == leaf.pfn() || Root().pfn() == root.pfn(); i++) {
    ASSERT_OK(store().Put(std::string(leaf.low()) + "a" + std::to_string(i), "another"));
  }
  ExpectNothing();
  ExpectWhile(leaf.pfn(), words[0], ProblemCode::kLeaked, "store");
  ExpectWhile(root.pfn(), words[1], ProblemCode::kLeaked, "store");
}

// A node's bytes somewhere else are another node.
TEST_F(ScrubFramesTest, ACopyOfANode) {
  const Pfn pfn = FreeFrame();
  StoreBytes(OffsetOf(pfn), Root().data(), kFrameSize);
  ExpectWhile(pfn, NodeWord(pfn, 0, info().id), ProblemCode::kLeaked, "store");
  StoreBytes(OffsetOf(pfn), map().base() + OffsetOf(info().anchor), kFrameSize);
  ExpectWhile(pfn, PackOwner(pfn, FrameKind::kMetadata, 0, info().id), ProblemCode::kLeaked,
              "store");
}

TEST_F(ScrubFramesTest, AnAnchor) {
  auto other = pool().CreateStore("other");
  ASSERT_OK(other);
  for (int i = 0; i < 100; i++) ASSERT_OK((*other)->Put(std::to_string(i), std::string(200, 'v')));
  const ObjectInfo info = Find("other");
  const uint64_t word = map().memmap().OwnerWordAt(info.anchor);
  const Tree tree(map(), info.id, info.anchor);
  const Pfn root = ChildPfn(tree.root_word());
  const uint64_t root_owner = map().memmap().OwnerWordAt(root);
  ExpectNothing();
  ASSERT_OK(pool().DropStore("other"));
  ASSERT_OK(pool().WaitForBackgroundWork());
  ExpectNothing();
  ExpectWhile(info.anchor, word, ProblemCode::kLeaked);
  ExpectWhile(root, root_owner, ProblemCode::kLeaked);
  ExpectWhile(FreeFrame(), PackOwner(FreeFrame(), FrameKind::kMetadata, 0, info.id),
              ProblemCode::kLeaked);
}

TEST_F(ScrubFramesTest, AFrameOfTheTables) {
  for (const Pfn pfn : {kSuperblockPfn, kCatalogueAnchorPfn, kLanesPfn, FrameTablePfn(0),
                        MemmapPfn(0), MemmapPfn(0) + kMemmapFrames - 1}) {
    ExpectWhile(pfn, NodeWord(pfn, 0, info().id), ProblemCode::kOwnerOfTable);
    ExpectWhile(pfn, 12345, ProblemCode::kOwnerOfTable);
  }
}

TEST_F(ScrubFramesTest, InsideARun) {
  const NodeView leaf = LargeLeaf();
  for (const Pfn pfn : {leaf.pfn() + 1, leaf.pfn() + (Pfn{1} << leaf.order()) - 1}) {
    ExpectWhile(pfn, NodeWord(pfn, 0, info().id), ProblemCode::kOwnerInside, "store");
    ExpectWhile(pfn, 12345, ProblemCode::kOwnerInside);
  }
}

TEST_F(ScrubFramesTest, ADamagedWordOfAFreeFrame) {
  const Pfn pfn = FreeFrame();
  ExpectWhile(pfn, 12345, ProblemCode::kOwnerDamaged);
  ExpectWhile(pfn, NodeWord(pfn, 0, info().id) ^ 1ull << 40, ProblemCode::kOwnerDamaged);
}

TEST_F(ScrubFramesTest, ALane) {
  const uint64_t place = OffsetOf(kLanesPfn + 5);
  Store64(place, 12345);
  ExpectProblem(ProblemCode::kLaneNotEmpty, kLanesPfn + 5, "");
  Store64(place, 0);
  ExpectNothing();
  LaneChange change;
  change.place = tree().root_place();
  change.old_value = tree().root_word();
  change.new_value = 1;
  ExpectLaneWhileEntered(change, ProblemCode::kLaneNotEmpty);
  change.old_value = 2;  // the word is neither of these
  ExpectLaneWhileEntered(change, ProblemCode::kLaneDamaged);
  change.place = 12345;
  ExpectLaneWhileEntered(change, ProblemCode::kLaneDamaged);
}

// It shows where the second word is; which frame has lost its own cannot be said of a damaged tree.
TEST_F(ScrubFramesTest, TwoWordsToOneNode) {
  const NodeView root = Root();
  const uint64_t word = root.ChildWord(1);
  Store64(root.ChildPlace(1), root.ChildWord(0));
  ExpectProblem(ProblemCode::kWrongRange, ChildPfn(root.ChildWord(0)));
  Store64(root.ChildPlace(1), word);
  ExpectNothing();
}

TEST_F(ScrubFramesTest, NothingOfADamagedTreeIsCalledALeak) {
  const Pfn pfn = FreeFrame();
  const Pfn other = pfn - 1;
  Flip(OffsetOf(FirstLeaf().pfn()) + 40);
  Store64(OwnerWordOffset(pfn), NodeWord(pfn, 0, info().id));
  ExpectProblem(ProblemCode::kNodeDamaged, FirstLeaf().pfn());
  Store64(OwnerWordOffset(pfn), 12345);  // whose it was is not known
  ExpectProblem(ProblemCode::kNodeDamaged, FirstLeaf().pfn());
  Store64(OwnerWordOffset(pfn), NodeWord(pfn, 0, 9999));
  Store64(OwnerWordOffset(other), NodeWord(other, 0, 9999));
  for (const ScrubResult& found : {Scrub(pool()), ScrubByQuestions(pool(), 1)}) {
    EXPECT_EQ(found.problems.size(), 3u) << Describe(found);
  }
  const Pfn catalogue = ChildPfn(this->catalogue().tree().root_word());
  Flip(OffsetOf(FirstLeaf().pfn()) + 40);
  Flip(OffsetOf(catalogue) + 40);
  ExpectProblem(ProblemCode::kNodeDamaged, catalogue, "");
  Flip(OffsetOf(catalogue) + 40);
  Store64(OwnerWordOffset(other), 0);
  ExpectProblem(ProblemCode::kLeaked, pfn, "");
}

// Damage since the tree was looked at.
TEST_F(ScrubFramesTest, NorOfOneThatIsDamagedMeanwhile) {
  ScrubOptions options;
  bool done = false;
  options.progress = [&](const ScrubProgress& progress) {
    done = progress.nodes == sound_.nodes;
    return !done;
  };
  options.resume_from = Scrub(pool(), options).resume_token;
  ASSERT_TRUE(done);
  options.progress = nullptr;
  const uint64_t words[] = {Root().ChildWord(0), Root().ChildWord(1)};
  for (const uint64_t word : {words[1], words[0] ^ uint64_t{1} << 50, uint64_t{0}, ~uint64_t{0}}) {
    Store64(Root().ChildPlace(0), word);
    const ScrubResult result = Scrub(pool(), options);
    EXPECT_TRUE(result.problems.empty()) << Describe(result);
    EXPECT_TRUE(result.finished);
  }
  Store64(Root().ChildPlace(0), words[0]);
  Flip(OffsetOf(Root().pfn()) + 100);
  EXPECT_EQ(Scrub(pool(), options).problems.size(), 0u);
  Flip(OffsetOf(Root().pfn()) + 100);
}

TEST_F(ScrubFramesTest, NothingWhileABulkLoadIsOpen) {
  auto filled = pool().CreateStore("filled");
  ASSERT_OK(filled);
  auto loader = (*filled)->NewBulkLoader();
  ASSERT_OK(loader);
  for (int i = 100000; i < 140000; i++) {
    ASSERT_OK((*loader)->Add(std::to_string(i), std::string(50, 'v')));
    if (i % 5000 == 0) {
      ExpectNothing();
    }
  }
  const Pfn pfn = FreeFrame();
  ExpectWhile(pfn, NodeWord(pfn, 0, Find("filled").id), ProblemCode::kLeaked, "filled");
  ASSERT_OK((*loader)->Finish());
  ExpectNothing();
  loader = Status(Code::kNotFound, "");
  ASSERT_OK(pool().WaitForBackgroundWork());
  ExpectNothing();
}

TEST_F(ScrubFramesTest, NothingWhileOldNodesArePinned) {
  auto it = store().NewIterator();
  it->SeekToFirst();
  auto value = store().GetPinned("key100");
  ASSERT_OK(value);
  for (int i = 0; i < 200; i++) {
    ASSERT_OK(store().Put("key" + std::to_string(i), std::string(150, 'w')));
    ASSERT_OK(store().Delete("key" + std::to_string(199 - i)));
    if (i % 20 == 0) {
      ExpectNothing();
    }
  }
  EXPECT_EQ(value->view(), std::string(100, 'v'));
}

// The worker is stopped between two steps: a tree is gone in part.
TEST_F(ScrubFramesTest, NothingOfWhatIsBeingDismantled) {
  auto filled = pool().CreateStore("filled");
  ASSERT_OK(filled);
  auto loader = (*filled)->NewBulkLoader();
  ASSERT_OK(loader);
  for (int i = 100000; i < 140000; i++) {
    ASSERT_OK((*loader)->Add(std::to_string(i), std::string(50, 'v')));
  }
  ASSERT_OK((*loader)->Finish());
  loader = Status(Code::kNotFound, "");
  ASSERT_OK(pool().WaitForBackgroundWork());
  const uint64_t before = pool().GetStatistics().nodes_dismantled;
  {
    Holder worker("verify.1", 3);  // the root, its first child, and its second
    ASSERT_OK(pool().DropStore("filled"));
    while (!worker.held()) std::this_thread::yield();
    EXPECT_EQ(Check(pool()).buried, 1u);
    EXPECT_GT(pool().GetStatistics().nodes_dismantled, before);
    ExpectNothing();
    worker.LetGo();
    ASSERT_OK(pool().WaitForBackgroundWork());
  }
  EXPECT_EQ(Check(pool()).buried, 0u);
  ExpectNothing();
}

TEST_F(ScrubFramesTest, AReadOnlyPool) {
  TempDir dir;
  const CreateOptions options = SmallPool();
  const std::string path = dir.File("pool");
  Pfn pfn = 0;
  {
    auto other = Pool::Create(path, options);
    ASSERT_OK(other);
    pfn = PoolTestPeer::Map(**other).frames() - 1;
  }
  const auto scrub = [&] {
    auto other = Pool::Open(path, ReadOnly());
    EXPECT_OK(other);
    return Scrub(**other);
  };
  EXPECT_EQ(scrub().problems.size(), 0u);
  WriteStruct(path, OwnerWordOffset(pfn), NodeWord(pfn, 0, 9999));
  WriteStruct(path, OffsetOf(kLanesPfn + 3), uint64_t{7});
  const ScrubResult result = scrub();
  ASSERT_EQ(result.problems.size(), 2u) << Describe(result);
  EXPECT_EQ(result.problems[0].pfn, pfn);
  EXPECT_EQ(result.problems[1].pfn, kLanesPfn + 3);
}

TEST_F(ScrubFramesTest, WhatWasNeverWrittenOfASparseFileStaysSo) {
  TempDir dir;
  const std::string path = dir.File("pool");
  auto large = Pool::Create(path, SmallPool(1ull << 36));
  ASSERT_OK(large);
  ASSERT_OK(Scrub(**large).finished ? Status() : Status(Code::kBusy, ""));
  const auto blocks = [&] {
    struct stat st {};
    EXPECT_EQ(stat(path.c_str(), &st), 0);
    return st.st_blocks;
  };
  const auto before = blocks();
  const ScrubResult result = Scrub(**large);
  EXPECT_TRUE(result.problems.empty()) << Describe(result);
  EXPECT_EQ(blocks(), before);
  // Behind holes, too.
  PageMap& map = PoolTestPeer::Map(**large);
  const Pfn pfn = map.frames() - 5;
  WriteStruct(path, OwnerWordOffset(pfn), NodeWord(pfn, 0, 9999));
  const ScrubResult leak = Scrub(**large);
  ASSERT_EQ(leak.problems.size(), 1u) << Describe(leak);
  EXPECT_EQ(leak.problems[0].pfn, pfn);
}

}  // namespace
}  // namespace tuff::test
