// The recorder is complete: what it has seen of a workload is all that has changed in the pool, so
// that no crash image lacks a store (I1). And the tests that watch for this see a stray store.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "tests/crash/image_file.h"
#include "tests/crash/isolate.h"
#include "tests/crash/recording.h"

namespace tuff::test {
namespace {

std::string WithAllStores(const Recording& recording, Granularity granularity, SparseImage* image) {
  MemoryModel model(granularity, [base = *image](uint64_t offset) { return base.LineAt(offset); });
  for (const PersistEvent& event : recording.events) model.Apply(event);
  *image = WithLines(DurableImage(*image, model), EverythingStored(model));
  return recording.failure.ok() ? "" : recording.failure.ToString();
}

// The file, which may be open, as SparseImage has it.
SparseImage ReadImage(const std::string& path) {
  const std::string bytes = ReadWholeFile(path);
  return SparseImage::OfMapping(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
}

std::string FirstDifference(const SparseImage& expected, const SparseImage& found) {
  for (uint64_t at = 0; at < found.bytes(); at += MemoryModel::kLineSize) {
    if (expected.LineAt(at) != found.LineAt(at)) {
      return "a store that was not recorded at byte " + std::to_string(at);
    }
  }
  return "";
}

// Runs the workload and compares the file with what was recorded; what is wrong, empty if nothing.
std::string RunAndCompare(const Workload& workload, Granularity granularity,
                          const std::string& path) {
  Session session{path, granularity, nullptr};
  SparseImage image(kPoolSizeMin);
  Contents contents;
  if (workload.with_pool) {
    if (Status s = session.Create(); !s.ok()) return s.ToString();
    for (const Operation& operation : workload.prepare) {
      if (Status s = operation.run(session); !s.ok()) return s.ToString();
    }
    if (Status s = session.pool->WaitForBackgroundWork(); !s.ok()) return s.ToString();
    image = ReadImage(path);
  }
  const Recording recording = Record(session, workload.threads, {contents}, {});
  const SparseImage found = ReadImage(path);
  if (std::string wrong = WithAllStores(recording, granularity, &image); !wrong.empty()) {
    return wrong;
  }
  return FirstDifference(image, found);
}

using Parameter = std::pair<std::string, Granularity>;

class RecorderTest : public ::testing::TestWithParam<Parameter> {};

TEST_P(RecorderTest, HasSeenEveryStore) {
  const auto& [name, granularity] = GetParam();
  const Isolated result = RunIsolated([&name = name, granularity = granularity] {
    const TempDir dir;
    const Workload workload = MakeWorkload(name, {dir.File("dry"), granularity});
    return RunAndCompare(workload, granularity, dir.File("pool"));
  });
  EXPECT_EQ(result.death, "");
  EXPECT_EQ(result.output, "");
}

std::vector<Parameter> Parameters() {
  std::vector<Parameter> all;
  for (const std::string& name : WorkloadNames()) {
    for (const auto granularity : {Granularity::kCacheLine, Granularity::kPage}) {
      all.emplace_back(name, granularity);
    }
  }
  return all;
}

std::string NameOf(const ::testing::TestParamInfo<Parameter>& info) {
  std::string name = info.param.first + "_" + std::string(GranularityName(info.param.second));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Workloads, RecorderTest, ::testing::ValuesIn(Parameters()), NameOf);

// The tests tested.

// A frame that is free, and that no workload of one put comes to.
constexpr uint64_t kStrayOffset = kPoolSizeMin - kFrameSize;

// Through the mapping, as a wild pointer would.
Operation StrayStoreOp() {
  Operation operation;
  operation.name = "stray store";
  operation.run = [](Session& session) {
    const std::byte* const base = PoolTestPeer::Map(*session.pool).base();
    *const_cast<volatile std::byte*>(base + kStrayOffset) = std::byte{1};
    return Status();
  };
  return operation;
}

// As code would that writes to the file on its own; the guard cannot see it.
Operation StrayWriteOp() {
  Operation operation;
  operation.name = "stray write";
  operation.run = [](Session& session) {
    const int fd = open(session.path.c_str(), O_WRONLY | O_CLOEXEC);
    const bool written = pwrite(fd, "x", 1, static_cast<off_t>(kStrayOffset)) == 1;
    close(fd);
    return written ? Status() : Status(Code::kIo, "pwrite");
  };
  return operation;
}

Isolated RunWith(const Operation& stray, Granularity granularity, Guard guard) {
  return RunIsolated([&] {
    (void)setenv("TUFF_TEST_GUARD", std::string(GuardName(guard)).c_str(), 1);
    const TempDir dir;
    Workload workload;
    workload.prepare = {CreateStoreOp("s")};
    workload.threads = {{PutOp("s", "key", "value"), stray, PutOp("s", "key", "other")}};
    return RunAndCompare(workload, granularity, dir.File("pool"));
  });
}

class StrayTest : public ::testing::TestWithParam<Granularity> {};

TEST_P(StrayTest, WithoutAGuardTheRecordingLacksIt) {
  const std::string wanted =
      "a store that was not recorded at byte " + std::to_string(kStrayOffset);
  for (const Operation& stray : {StrayStoreOp(), StrayWriteOp()}) {
    const Isolated result = RunWith(stray, GetParam(), Guard::kNone);
    EXPECT_EQ(result.death, "") << stray.name;
    EXPECT_EQ(result.output, wanted) << stray.name;
  }
}

TEST_P(StrayTest, UnderMprotectItFaults) {
  const Isolated result = RunWith(StrayStoreOp(), GetParam(), Guard::kMprotect);
  EXPECT_NE(result.death, "");
  EXPECT_EQ(result.output, "");
  // Only a system call passes; then the recording lacks it, as without a guard.
  EXPECT_NE(RunWith(StrayWriteOp(), GetParam(), Guard::kMprotect).output, "");
}

TEST_P(StrayTest, UnderAProtectionKeyItFaults) {
  if (!HasProtectionKeys()) GTEST_SKIP() << "this machine has no memory protection keys";
  const Isolated result = RunWith(StrayStoreOp(), GetParam(), Guard::kPkey);
  EXPECT_NE(result.death, "");
  EXPECT_EQ(result.output, "");
}

INSTANTIATE_TEST_SUITE_P(Media, StrayTest,
                         ::testing::Values(Granularity::kCacheLine, Granularity::kPage),
                         [](const auto& info) {
                           return info.param == Granularity::kPage ? "page" : "cache_line";
                         });

TEST(ImageFileDeathTest, AStoreThatNobodyHasWatchedIsNoticed) {
  const TempDir dir;
  SparseImage image(kPoolSizeMin);
  image.SetLine(OffsetOf(kLanesPfn), SparseImage::Line{std::byte{1}});
  ImageFile file(dir.File("image"), kPoolSizeMin);
  const auto load_until_compared = [&] {
    for (uint64_t i = 0; i < ImageFile::kLoadsPerComparison; i++) file.Load(image);
  };
  load_until_compared();
  EXPECT_TRUE(file.Holds(image, true));
  const int fd = open(file.path().c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(pwrite(fd, "x", 1, static_cast<off_t>(kStrayOffset)), 1);
  close(fd);
  EXPECT_DEATH(load_until_compared(), "a store has gone unnoticed");
}

}  // namespace
}  // namespace tuff::test
