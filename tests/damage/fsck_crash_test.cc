// A repair that is interrupted anywhere is done again, or taken back by its undo file.
#include <sys/wait.h>

#include "tests/damage/patient.h"

namespace tuff::test {
namespace {

// Which pages are written between which fences.
class TurnRecorder : public StepObserver {
 public:
  void OnStore(const std::byte*, uint64_t offset, std::span<const std::byte> bytes) override {
    const char* const from = reinterpret_cast<const char*>(bytes.data());
    stores_.push_back({offset, turns_, {from, bytes.size()}});
  }
  bool OnFence(const Step&, const std::byte*) override {
    turns_++;
    return true;
  }
  size_t turns() const { return turns_; }
  struct Stored {
    uint64_t offset;
    size_t turn;
    std::string bytes;
  };
  const std::vector<Stored>& stores() const { return stores_; }

 private:
  std::vector<Stored> stores_;
  size_t turns_ = 0;
};

// Damage of all sorts, and the file as a repair makes it.
class Interrupted : public testing::Test {
 protected:
  void Damage(Patient* patient) {
    for (const FsckCase& one : FsckCases()) {
      if (one.code == ProblemCode::kNodeDamaged || one.code == ProblemCode::kOwnerWrong ||
          one.code == ProblemCode::kLogDamaged || one.code == ProblemCode::kWrongRange) {
        one.damage(*patient);
      }
    }
    patient->LetGo();
    before_ = ReadWholeFile(patient->path());
    SetStepObserver(&recorder_);
    (void)RunFsckOn(patient->path(), FsckMode::kRepair, patient->undo());
    SetStepObserver(nullptr);
    after_ = ReadWholeFile(patient->path());
    contents_ = ContentsOf(patient->path());
  }
  static Contents ContentsOf(const std::string& path) {
    Contents contents;
    auto pool = Pool::Open(path, SmallPool().open);
    EXPECT_OK(pool.status());
    auto stores = (*pool)->ListStores();
    for (const StoreInfo& info : *stores) {
      auto store = (*pool)->OpenStore(info.name);
      for (auto& [key, value] : Read(**store)) contents[info.name + "/" + key] = value;
    }
    EXPECT_OK((*pool)->Close());
    return contents;
  }

  TurnRecorder recorder_;
  std::string before_;
  std::string after_;
  Contents contents_;
};

class Killer : public StepObserver {
 public:
  explicit Killer(int at) : left_(at) {}
  void OnPoint(const Step& step) override {
    if (std::string_view(step.id).starts_with("patch.") && left_-- == 0) _exit(9);
  }

 private:
  int left_;
};

TEST_F(Interrupted, AtAnyPointARepairIsDoneAgainOrTakenBack) {
  Patient patient;
  Damage(&patient);
  int points = 0;
  for (bool killed = true; killed; points += kSanitized ? 5 : 1) {
    WriteAt(patient.path(), 0, before_);
    unlink(patient.undo().c_str());
    const pid_t child = fork();
    if (child == 0) {
      Killer killer(points);
      SetStepObserver(&killer);
      (void)RunFsckOn(patient.path(), FsckMode::kRepair, patient.undo());
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    killed = status == 9 << 8;
    ASSERT_TRUE(killed || status == 0);
    if (points % 2 == 0) {
      ASSERT_OK(RevertRepair(patient.path(), patient.undo()).status());
      EXPECT_TRUE(ReadWholeFile(patient.path()) == before_) << "killed at point " << points;
    } else {
      EXPECT_EQ(RunFsckOn(patient.path(), FsckMode::kRepair).unrepaired, 0u);
      EXPECT_TRUE(RunFsckOn(patient.path(), FsckMode::kCheck).sound);
      EXPECT_EQ(Difference(contents_, ContentsOf(patient.path())), "");
    }
  }
  EXPECT_GT(points, 10);
}

// What a power failure may leave: words of the pages that were not synced yet, old or new.
TEST_F(Interrupted, ByAPowerFailure) {
  Patient patient;
  Damage(&patient);
  const std::string& path = patient.path();
  Random random(5);
  for (int turn = 0; turn < (kSanitized ? 4 : 60); turn++) {
    const size_t now = random.Below(recorder_.turns());
    std::string mixed = before_;
    for (const auto& [offset, turn_of_store, bytes] : recorder_.stores()) {
      if (turn_of_store > now) break;
      for (size_t at = 0; at < bytes.size(); at += 8) {
        if (turn_of_store == now && random.OneIn(2)) continue;
        std::memcpy(&mixed[offset + at], &bytes[at], 8);
      }
    }
    WriteAt(path, 0, mixed);
    ASSERT_EQ(RunFsckOn(path, FsckMode::kRepair).unrepaired, 0u);
    ASSERT_TRUE(RunFsckOn(path, FsckMode::kCheck).sound);
    ASSERT_EQ(Difference(contents_, ContentsOf(path)), "") << "step " << now;
    WriteAt(path, 0, mixed);
    ASSERT_OK(RevertRepair(path, patient.undo()).status());
    ASSERT_TRUE(ReadWholeFile(path) == before_);
  }
}

TEST(UndoFile, IsCheckedBeforeItIsUsed) {
  Patient patient;
  patient.Flip(OffsetOf(kMirrorPfn) + 40);
  patient.LetGo();
  (void)RunFsckOn(patient.path(), FsckMode::kRepair, patient.undo());
  const std::string repaired = ReadWholeFile(patient.path());
  FlipByte(patient.undo(), 100);
  EXPECT_EQ(RevertRepair(patient.path(), patient.undo()).status().code(), Code::kCorruption);
  FlipByte(patient.undo(), 100);
  EXPECT_TRUE(ReadWholeFile(patient.path()) == repaired);
  // Not once the pool has been used again.
  {
    auto pool = Pool::Open(patient.path(), SmallPool().open);
    ASSERT_OK(pool.status());
    EXPECT_OK((*pool)->Close());
  }
  EXPECT_EQ(RevertRepair(patient.path(), patient.undo()).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace tuff::test
