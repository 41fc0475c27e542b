// Pool::Scrub: it sees all, says what is wrong and where, goes on where it was, and takes its time.
#include "tuff/scrub.h"

#include <chrono>

#include "tests/engine/pool_bytes.h"
#include "tests/engine/scrub_fixture.h"

namespace tuff::test {
namespace {

TEST_F(ScrubTest, FindsNothingWrongAndCountsAsTheCheckDoes) {
  for (int i = 0; i < 20; i++) {
    auto more = pool().CreateStore("store " + std::to_string(i));
    ASSERT_OK(more);
    for (int k = 0; k < 300 * (i % 3); k++) {
      ASSERT_OK((*more)->Put(std::to_string(k), std::string(static_cast<size_t>(k), 'v')));
    }
    for (int k = 0; k < 100 * (i % 3); k++) ASSERT_OK((*more)->Delete(std::to_string(k)));
  }
  const CheckReport report = Check(pool());
  const ScrubResult result = Scrub(pool());
  EXPECT_EQ(Describe(result), fmt::format("{} nodes, {} records\n", report.nodes, report.records));
  EXPECT_TRUE(result.finished);
  EXPECT_GE(result.bytes, report.nodes * kFrameSize);
  for (const uint64_t nodes : {1, 2, 3, 7, 50}) {
    EXPECT_EQ(Describe(ScrubInParts(pool(), nodes)), Describe(result)) << nodes;
  }
}

TEST_F(ScrubTest, AlsoOfAReadOnlyPool) {
  const std::string whole = Describe(Scrub(pool()));
  Remount();
  EXPECT_EQ(Describe(Scrub(pool())), whole);
  TempDir dir;
  CreateOptions options = SmallPool();
  ASSERT_OK(Pool::Create(dir.File("pool"), options));
  options.open.read_only = true;
  auto other = Pool::Open(dir.File("pool"), options.open);
  ASSERT_OK(other);
  EXPECT_EQ(Describe(Scrub(**other)), "2 nodes, 1 records\n");  // the catalogue; the graveyard
}

TEST_F(ScrubTest, WhatIsBuried) {
  auto filled = pool().CreateStore("filled");
  ASSERT_OK(filled);
  auto loader = (*filled)->NewBulkLoader();
  ASSERT_OK(loader);
  for (int i = 10000; i < 20000; i++) {
    ASSERT_OK((*loader)->Add(std::to_string(i), std::string(100, 'v')));
  }
  const CheckReport report = Check(pool());
  EXPECT_GT(report.buried, 0u);
  const ScrubResult result = Scrub(pool());
  EXPECT_EQ(Describe(result), fmt::format("{} nodes, {} records\n", report.nodes, report.records));
  EXPECT_EQ(Describe(ScrubInParts(pool(), 3)), Describe(result));
  loader = Status(Code::kNotFound, "");  // given up
  ASSERT_OK(pool().WaitForBackgroundWork());
}

TEST_F(ScrubTest, ANodesHeaderAndBase) {
  for (const NodeView& node : {FirstLeaf(), LastLeaf(), Root()}) {
    for (const size_t at : {size_t{1}, size_t{20}, size_t{40}, node.base_end() - 1}) {
      Flip(OffsetOf(node.pfn()) + at);
      ExpectProblem(ProblemCode::kNodeDamaged, node.pfn());
      Flip(OffsetOf(node.pfn()) + at);
    }
  }
  EXPECT_EQ(Scrub(pool()).problems.size(), 0u);
}

TEST_F(ScrubTest, ARecordOfTheBase) {
  const NodeView leaf = FirstLeaf();
  RecordView record;
  ASSERT_TRUE(leaf.BaseRecord(0, &record));
  EditNode(leaf, [&](std::byte* bytes, NodeHeader*) {
    bytes[record.offset + record.bytes - 9] ^= std::byte{1};
  });
  ExpectProblem(ProblemCode::kRecordDamaged, leaf.pfn());
}

TEST_F(ScrubTest, ALog) {
  const NodeView leaf = LoggedLeaf();
  Flip(OffsetOf(leaf.pfn()) + leaf.base_end() + sizeof(RecordHeader));  // its first record
  ExpectProblem(ProblemCode::kLogDamaged, leaf.pfn());
  Flip(OffsetOf(leaf.pfn()) + leaf.base_end() + sizeof(RecordHeader));
  Flip(OffsetOf(leaf.pfn()) + leaf.bytes() - 1);  // behind the last one
  ExpectProblem(ProblemCode::kLogDamaged, leaf.pfn());
  Flip(OffsetOf(leaf.pfn()) + leaf.bytes() - 1);
  // All of it as if it had never been: only who remembers it can tell.
  const std::vector<std::byte> zeros(leaf.bytes() - leaf.base_end());
  StoreBytes(OffsetOf(leaf.pfn()) + leaf.base_end(), zeros.data(), zeros.size());
  ExpectProblem(ProblemCode::kLogDamaged, leaf.pfn());
}

TEST_F(ScrubTest, ChildWords) {
  const NodeView root = Root();
  const uint64_t words[] = {root.ChildWord(0), root.ChildWord(1)};
  Store64(root.ChildPlace(0), words[1]);
  Store64(root.ChildPlace(1), words[0]);
  ExpectProblems({{ProblemCode::kWrongRange, ChildPfn(words[0])},
                  {ProblemCode::kWrongRange, ChildPfn(words[1])}});
  Store64(root.ChildPlace(1), words[1]);
  Store64(root.ChildPlace(0), words[0] ^ (1ull << 50));  // the tag
  ExpectProblem(ProblemCode::kChildWord, ChildPfn(words[0]));
  Store64(root.ChildPlace(0), map().frames() + 7);
  ExpectProblem(ProblemCode::kChildWord, map().frames() + 7);
  Store64(root.ChildPlace(0), tree().root_word());
  ExpectProblem(ProblemCode::kChildWord, root.pfn());  // the level
  Store64(root.ChildPlace(0), words[0]);
  const uint64_t old_root = tree().root_word();
  Store64(tree().root_place(), words[0]);
  ExpectProblem(ProblemCode::kWrongRange, ChildPfn(words[0]));
  Store64(tree().root_place(), old_root);
  EXPECT_EQ(Scrub(pool()).problems.size(), 0u);
}

TEST_F(ScrubTest, ARootThatIsAnotherStores) {
  ASSERT_OK(pool().CreateStore("other"));
  const ObjectInfo other = Find("other");
  const Tree others(map(), other.id, other.anchor);
  Store64(others.root_place(), tree().root_word());
  ExpectProblem(ProblemCode::kChildWord, ChildPfn(tree().root_word()), "other");
}

TEST_F(ScrubTest, OwnerWords) {
  for (const Pfn pfn : {FirstLeaf().pfn(), LastLeaf().pfn(), Root().pfn(), info().anchor}) {
    const uint64_t word = map().memmap().OwnerWordAt(pfn);
    Store64(OwnerWordOffset(pfn), 0);
    ExpectProblem(ProblemCode::kOwnerWrong, pfn);
    Store64(OwnerWordOffset(pfn), word ^ 0x4000);
    ExpectProblem(ProblemCode::kOwnerDamaged, pfn);
    Store64(OwnerWordOffset(pfn), word);
  }
  EXPECT_EQ(Scrub(pool()).problems.size(), 0u);
}

// Of nodes that nobody has looked at since the mount.
TEST_F(ScrubTest, AtTheFirstTouch) {
  const Pfn leaf = LastLeaf().pfn();
  const Pfn logged = LoggedLeaf().pfn();
  Remount();
  Flip(OffsetOf(leaf) + 40);
  Store64(OwnerWordOffset(logged), 0);
  ExpectProblems({{ProblemCode::kNodeDamaged, leaf}, {ProblemCode::kOwnerWrong, logged}});
}

TEST_F(ScrubTest, AnAnchor) {
  Flip(OffsetOf(info().anchor) + 16);
  ExpectProblem(ProblemCode::kAnchorDamaged, info().anchor);
  Flip(OffsetOf(info().anchor) + 16);
  const Pfn graveyard = Find("/graveyard").anchor;
  Flip(OffsetOf(graveyard) + 16);
  ExpectProblem(ProblemCode::kAnchorDamaged, graveyard, "");
  Flip(OffsetOf(graveyard) + 16);
  Flip(OffsetOf(kCatalogueAnchorPfn) + 16);
  ExpectProblem(ProblemCode::kAnchorDamaged, kCatalogueAnchorPfn, "");
}

TEST_F(ScrubTest, ARecordOfCatalogueOrGraveyard) {
  const Pfn catalogue = ChildPfn(this->catalogue().tree().root_word());
  ASSERT_OK(this->catalogue().tree().Put("no id", "no entry"));
  ExpectProblem(ProblemCode::kCatalogueRecord, catalogue, "");
  ASSERT_OK(this->catalogue().tree().Delete("no id"));
  const ObjectInfo graveyard = Find("/graveyard");
  Tree tree(map(), graveyard.id, graveyard.anchor);
  ASSERT_OK(tree.Put("no id", "no entry"));
  ExpectProblem(ProblemCode::kGraveyardRecord, ChildPfn(tree.root_word()), "");
}

TEST_F(ScrubTest, ASuperblock) {
  for (const Pfn pfn : {kSuperblockPfn, kMirrorPfn}) {
    Flip(OffsetOf(pfn) + 100);
    ExpectProblem(ProblemCode::kSuperblockCopy, pfn, "");
    Flip(OffsetOf(pfn) + 100);
  }
}

// It goes on behind what is damaged, in another mount too.
TEST_F(ScrubTest, TokensOutliveTheirMount) {
  const ScrubResult whole = Scrub(pool());
  ScrubOptions options;
  options.progress = [](const ScrubProgress& progress) { return progress.nodes < 5; };
  ScrubResult first = Scrub(pool(), options);
  ASSERT_FALSE(first.finished);
  Remount();
  options.progress = nullptr;
  options.resume_from = first.resume_token;
  const ScrubResult rest = Scrub(pool(), options);
  EXPECT_TRUE(rest.finished);
  EXPECT_EQ(first.nodes + rest.nodes, whole.nodes);
  EXPECT_EQ(first.records + rest.records, whole.records);
}

TEST_F(ScrubTest, RefusesTokensThatMakeNoSense) {
  ScrubOptions options;
  options.progress = [](const ScrubProgress& progress) { return progress.nodes < 5; };
  const std::string token = Scrub(pool(), options).resume_token;
  options.progress = nullptr;
  const auto expect_refused = [&](const std::string& text) {
    options.resume_from = text;
    EXPECT_EQ(pool().Scrub(options).status().code(), Code::kInvalidArgument) << text;
  };
  expect_refused("from there");
  expect_refused(":::::::");
  expect_refused(token + "0");
  for (size_t i = 0; i < token.size(); i++) {
    expect_refused(token.substr(0, i) + (token[i] == '1' ? '2' : '1') + token.substr(i + 1));
    if (i > 0) expect_refused(token.substr(0, i));
  }
  TempDir dir;
  auto other = Pool::Create(dir.File("pool"), SmallPool());
  ASSERT_OK(other);
  options.resume_from = token;
  EXPECT_CODE((*other)->Scrub(options), Code::kInvalidArgument);
  EXPECT_OK(pool().Scrub(options));
}

TEST_F(ScrubTest, OneAtATime) {
  ScrubOptions options;
  int asked = 0;
  options.progress = [&](const ScrubProgress&) {
    if (asked++ == 0) {
      EXPECT_CODE(pool().Scrub(), Code::kBusy);
    }
    return true;
  };
  EXPECT_OK(pool().Scrub(options));
  EXPECT_GT(asked, 5);
  EXPECT_OK(pool().Scrub());
}

TEST_F(ScrubTest, TakesItsTime) {
  const uint64_t bytes = Scrub(pool()).bytes;
  ScrubOptions options;
  options.bytes_per_second = bytes * 4;  // a quarter of a second
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(Scrub(pool(), options).finished);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(240));
  // It is asked while it sleeps, too.
  options.bytes_per_second = 1;
  int asked = 0;
  options.progress = [&](const ScrubProgress&) { return ++asked < 3; };
  EXPECT_FALSE(Scrub(pool(), options).finished);
}

// A pool whose process is killed with a torn record behind the log of one of its leaves.
class ScrubAfterCrashTest : public testing::Test {
 protected:
  ScrubAfterCrashTest() {
    for (int i = 0; i < 500; i++) {
      EXPECT_OK(fixture_.store().Put(std::to_string(i), std::string(100, 'v')));
    }
    auto pinned = fixture_.store().GetPinned("250");
    EXPECT_OK(pinned);
    const auto offset = static_cast<uint64_t>(
        reinterpret_cast<const std::byte*>(pinned->view().data()) - fixture_.map().base());
    pinned->Reset();
    const std::string path = fixture_.path();
    const Pfn pfn = offset / kFrameSize;
    fixture_.Close();
    EXPECT_EQ(RunInChild([&] {
                auto pool = Pool::Open(path, Writable());
                ASSERT_OK(pool);
                _exit(0);
              }),
              0);
    torn_at_ = OffsetOf(pfn) + kFrameSize - 8;
    WriteAt(path, torn_at_, "torn");
    fixture_.Reopen();
    EXPECT_TRUE(fixture_.pool().GetInfo().crashed_since_scrub);
  }
  bool IsTorn() { return fixture_.map().base()[torn_at_] != std::byte{0}; }
  bool Crashed() {
    const bool crashed = fixture_.pool().GetInfo().crashed_since_scrub;
    EXPECT_EQ(fixture_.map().crashed_since_scrub(), crashed);
    return crashed;
  }

  PoolFixture fixture_;
  uint64_t torn_at_ = 0;
};

TEST_F(ScrubAfterCrashTest, CutsOffWhatIsTornAndForgetsTheCrash) {
  ASSERT_TRUE(IsTorn());
  const ScrubResult result = Scrub(fixture_.pool());
  EXPECT_EQ(result.problems.size(), 0u) << Describe(result);
  EXPECT_FALSE(IsTorn());
  EXPECT_FALSE(Crashed());
  fixture_.Reopen();
  EXPECT_FALSE(Crashed());
  EXPECT_EQ(Problems(fixture_.pool()), "");
  // From now on the same bytes are damage.
  fixture_.Tamper([&](const std::string& path) { WriteAt(path, torn_at_, "torn"); });
  EXPECT_EQ(Scrub(fixture_.pool()).problems.size(), 1u);
}

TEST_F(ScrubAfterCrashTest, AlsoInPartsOfOneMount) {
  EXPECT_EQ(ScrubInParts(fixture_.pool(), 3).problems.size(), 0u);
  EXPECT_FALSE(IsTorn());
  EXPECT_FALSE(Crashed());
}

TEST_F(ScrubAfterCrashTest, NotInPartsOfSeveralMounts) {
  ScrubOptions options;
  options.progress = [](const ScrubProgress& progress) { return progress.nodes < 3; };
  options.resume_from = Scrub(fixture_.pool(), options).resume_token;
  fixture_.Reopen();
  options.progress = nullptr;
  EXPECT_TRUE(Scrub(fixture_.pool(), options).finished);
  EXPECT_TRUE(Crashed());
}

TEST_F(ScrubAfterCrashTest, NotIfSomethingIsWrong) {
  const uint64_t at = OffsetOf(kMirrorPfn) + 100;
  const std::byte old = fixture_.map().base()[at];
  {
    WriteWindow window(fixture_.map().domain());
    window.Store(at, "?", 1);
  }
  EXPECT_EQ(Scrub(fixture_.pool()).problems.size(), 1u);
  EXPECT_TRUE(Crashed());
  WriteWindow window(fixture_.map().domain());
  window.Store(at, &old, 1);
}

TEST_F(ScrubAfterCrashTest, ChangesNothingInAReadOnlyPool) {
  fixture_.Close();
  const std::string before = ReadWholeFile(fixture_.path());
  auto pool = Pool::Open(fixture_.path(), ReadOnly());
  ASSERT_OK(pool);
  EXPECT_EQ(Scrub(**pool).problems.size(), 0u);
  EXPECT_TRUE((*pool)->GetInfo().crashed_since_scrub);
  ASSERT_OK((*pool)->Close());
  EXPECT_TRUE(ReadWholeFile(fixture_.path()) == before);
  fixture_.Reopen();
}

}  // namespace
}  // namespace tuff::test
