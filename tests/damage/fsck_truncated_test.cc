// fsck of a pool whose file has lost its end: it is left alone but for who wants all repaired, who
// keeps what lies in front of the cut.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <set>

#include "tests/damage/patient.h"

namespace tuff::test {
namespace {

std::string Key(uint64_t i) { return fmt::format("key{:06}", i * 7919 % 1000003); }
std::string Value(uint64_t i) { return Key(i) + std::string(i % 900, 'v'); }

constexpr uint64_t kRecords = 20000;

class FsckTruncatedTest : public testing::TestWithParam<std::pair<uint64_t, uint64_t>> {
 protected:
  std::string path() const { return dir_.File("pool"); }
  std::string undo() const { return dir_.File("undo"); }

  void MakePool() {
    auto pool = Pool::Create(path(), SmallPool(32 << 20));
    ASSERT_OK(pool);
    auto store = (*pool)->CreateStore("store");
    ASSERT_OK(store);
    for (uint64_t i = 0; i < kRecords; i++) ASSERT_OK((*store)->Put(Key(i), Value(i)));
    ASSERT_OK((*pool)->WaitForBackgroundWork());
    ASSERT_OK((*pool)->Close());
  }
  using Leaves = std::map<Pfn, std::vector<std::string>>;  // the keys of each
  Leaves ReadLeaves() {
    Leaves leaves;
    auto image = PoolImage::Open(path(), {});
    EXPECT_OK(image.status());
    for (uint64_t section = 0; section < SectionsOf((*image)->frames()); section++) {
      (*image)->ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) {
        const OwnerWord owner = UnpackOwner(word);
        if (owner.object_id < kFirstObjectId) return;
        if (owner.kind != static_cast<uint8_t>(FrameKind::kTreeNode)) return;
        const NodeView node = (*image)->NodeAt(pfn, owner.order);
        if (!node.is_leaf()) return;
        std::optional<std::string> high;
        if (node.has_high()) high = node.high();
        auto records = ReadLeaf(node, (*image)->hash_seed(), false).records;
        for (const RecordView& record : NewestOf(std::move(records), node.low(), high)) {
          leaves[pfn + (1ull << owner.order)].emplace_back(record.key);
        }
      });
    }
    return leaves;
  }
  // Makes a pool, and cuts its file off behind so many of every hundred leaves, and some bytes.
  void MakeAndCut() {
    MakePool();
    if (HasFatalFailure()) return;
    const Leaves leaves = ReadLeaves();  // by their ends
    ASSERT_GT(leaves.size(), 100u);
    const auto [percent, bytes] = GetParam();
    const auto last = std::next(leaves.begin(), static_cast<long>(leaves.size() * percent / 100));
    for (auto leaf = leaves.begin(); leaf != std::next(last); leaf++) {
      there_.insert(leaf->second.begin(), leaf->second.end());
    }
    whole_ = ReadWholeFile(path());
    cut_ = OffsetOf(last->first) + bytes;
    ASSERT_EQ(truncate(path().c_str(), static_cast<off_t>(cut_)), 0);
  }

  // A child does it, and is killed at a crash point.
  static void DieAt(std::string_view point, const std::function<void()>& act) {
    const pid_t child = fork();
    if (child == 0) {
      struct Killer : StepObserver {
        void OnPoint(const Step& step) override {
          if (step.id == at) _exit(9);
        }
        std::string_view at;
      } killer;
      killer.at = point;
      SetStepObserver(&killer);
      act();
      _exit(1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 9 << 8);
  }

  TempDir dir_;
  std::set<std::string> there_;
  std::string whole_;
  uint64_t cut_ = 0;
};

TEST_P(FsckTruncatedTest, KeepsWhatIsInFrontOfTheCut) {
  MakeAndCut();
  if (HasFatalFailure()) return;
  const std::string before = ReadWholeFile(path());

  const FsckOutcome check = RunFsckOn(path(), FsckMode::kCheck);
  EXPECT_TRUE(check.codes.contains(ProblemCode::kTruncated));
  const FsckOutcome preen = RunFsckOn(path(), FsckMode::kPreen);
  EXPECT_TRUE(preen.codes.contains(ProblemCode::kTruncated));
  EXPECT_GT(preen.unrepaired, 0u);
  EXPECT_TRUE(ReadWholeFile(path()) == before) << "a preen has changed the file";

  EXPECT_EQ(RunFsckOn(path(), FsckMode::kRepair, undo()).unrepaired, 0u);
  EXPECT_TRUE(RunFsckOn(path(), FsckMode::kCheck).sound);
  auto pool = Pool::Open(path(), SmallPool().open);
  ASSERT_OK(pool);
  EXPECT_EQ(Problems(**pool), "");
  auto store = (*pool)->OpenStore("store");
  ASSERT_OK(store);
  uint64_t found = 0;
  for (uint64_t i = 0; i < kRecords; i++) {
    std::string value;
    const Status s = (*store)->Get(Key(i), &value);
    ASSERT_EQ(s.ok(), there_.contains(Key(i))) << Key(i) << ": " << s.ToString();
    if (!s.ok()) continue;
    found++;
    ASSERT_EQ(value, Value(i));
  }
  EXPECT_EQ(found, there_.size());
  ASSERT_OK((*pool)->Close());
}

TEST_P(FsckTruncatedTest, CanBeTakenBack) {
  MakeAndCut();
  if (HasFatalFailure()) return;
  EXPECT_EQ(RunFsckOn(path(), FsckMode::kRepair, undo()).unrepaired, 0u);
  EXPECT_OK(RevertRepair(path(), undo()));
  EXPECT_TRUE(ReadWholeFile(path()) == whole_.substr(0, cut_));
}

// Grown, and not repaired yet.
TEST_P(FsckTruncatedTest, InterruptedWhereTheFileHasGrown) {
  MakeAndCut();
  if (HasFatalFailure()) return;
  const std::string before = ReadWholeFile(path());
  DieAt("patch.5", [&] { (void)RunFsckOn(path(), FsckMode::kRepair, undo()); });
  EXPECT_EQ(ReadWholeFile(path()).size(), uint64_t{32} << 20);
  EXPECT_OK(RevertRepair(path(), undo()));
  EXPECT_TRUE(ReadWholeFile(path()) == before);
  EXPECT_OK(RevertRepair(path(), undo()));  // once more
  EXPECT_TRUE(ReadWholeFile(path()) == before);
  ASSERT_EQ(truncate(path().c_str(), 32 << 20), 0);
  EXPECT_EQ(RunFsckOn(path(), FsckMode::kRepair).unrepaired, 0u);
  EXPECT_TRUE(RunFsckOn(path(), FsckMode::kCheck).sound);
}

TEST_P(FsckTruncatedTest, TakingBackIsInterrupted) {
  MakeAndCut();
  if (HasFatalFailure()) return;
  EXPECT_EQ(RunFsckOn(path(), FsckMode::kRepair, undo()).unrepaired, 0u);
  DieAt("patch.6", [&] { (void)RevertRepair(path(), undo()); });
  EXPECT_EQ(ReadWholeFile(path()).size(), uint64_t{32} << 20);
  EXPECT_OK(RevertRepair(path(), undo()));
  EXPECT_TRUE(ReadWholeFile(path()) == whole_.substr(0, cut_));
}

// The file may not grow: all is as before, and there is no undo file.
TEST_P(FsckTruncatedTest, NoRoomToGrow) {
  MakeAndCut();
  if (HasFatalFailure()) return;
  const int failed = RunInChild([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{24 << 20, 24 << 20};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    PoolImage::Options how;
    how.for_repair = how.padded = true;
    auto image = PoolImage::Open(path(), how);
    ASSERT_OK(image);
    FsckOptions options;
    options.mode = FsckMode::kRepair;
    ASSERT_OK(RunFsck(**image, options));
    EXPECT_EQ(CommitRepair(**image, undo()).status().code(), Code::kNoSpace);
  });
  EXPECT_EQ(failed, 0);
  EXPECT_NE(access(undo().c_str(), F_OK), 0);
  EXPECT_TRUE(ReadWholeFile(path()) == whole_.substr(0, cut_));
}

INSTANTIATE_TEST_SUITE_P(Cuts, FsckTruncatedTest,
                         testing::Values(std::pair<uint64_t, uint64_t>{20, 0},
                                         std::pair<uint64_t, uint64_t>{70, 5}));

// Then it is rather the superblock that is wrong.
TEST(FsckTooShortTest, IsLeftAlone) {
  TempDir dir;
  const std::string path = dir.File("pool");
  CreateOptions options = SmallPool(1 << 30);
  options.sparse = true;
  ASSERT_OK(Pool::Create(path, options));
  ASSERT_EQ(truncate(path.c_str(), (16 << 20) - 1), 0);
  const std::string before = ReadWholeFile(path);
  for (const FsckMode mode : {FsckMode::kCheck, FsckMode::kPreen, FsckMode::kRepair}) {
    const FsckOutcome outcome = RunFsckOn(path, mode);
    EXPECT_TRUE(outcome.codes.contains(ProblemCode::kTruncated));
    EXPECT_GT(outcome.unrepaired, 0u);
    EXPECT_TRUE(ReadWholeFile(path) == before);
  }
  ASSERT_EQ(truncate(path.c_str(), 16 << 20), 0);
  EXPECT_EQ(RunFsckOn(path, FsckMode::kRepair).unrepaired, 0u);
  EXPECT_OK(Pool::Open(path, SmallPool().open));
}

}  // namespace
}  // namespace tuff::test
