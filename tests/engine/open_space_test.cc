// Disks that are full: when a pool is made, and when a sparse one is written to.
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

TEST(OpenSpaceTest, CreateOnAFullDiskLeavesNothing) {
  SmallTmpfs disk(8 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not permitted";
  CreateOptions options = SmallPool();
  options.sparse = false;
  const Status s = Pool::Create(disk.File("pool"), options).status();
  EXPECT_CODE(s, Code::kNoSpace);
  EXPECT_NE(s.message().find("16777216 bytes, its file system has 8388608 free"), s.message().npos)
      << s.ToString();
  EXPECT_TRUE(std::filesystem::is_empty(disk.path()));
}

TEST(OpenSpaceTest, CreateOverTheFileSizeLimitLeavesNothing) {
  TempDir dir;
  EXPECT_EQ(RunInChild([&] {
              signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{4 << 20, 4 << 20};
              ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
              for (const bool sparse : {false, true}) {
                CreateOptions options = SmallPool();
                options.sparse = sparse;
                EXPECT_CODE(Pool::Create(dir.File("pool"), options), Code::kNoSpace);
              }
            }),
            0);
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

class SparsePoolTest : public testing::TestWithParam<std::pair<Granularity, MemmapPlace>> {};

// The disk is smaller than the pool promises: an error, not a signal.
TEST_P(SparsePoolTest, PutSaysNoSpace) {
  SmallTmpfs disk(24 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not permitted";
  CreateOptions options = SmallPool(300 << 20, GetParam().first);
  options.memmap = GetParam().second;
  auto pool = Pool::Create(disk.File("pool"), options);
  ASSERT_OK(pool);
  auto store = (*pool)->CreateStore("store");
  ASSERT_OK(store);
  Status s;
  uint64_t count = 0;
  for (; s.ok(); count += s.ok() ? 1 : 0) {
    ASSERT_LT(count, 300'000u) << "the disk does not fill";
    s = (*store)->Put("key" + std::to_string(count), std::string(100, 'v'));
  }
  EXPECT_CODE(s, Code::kNoSpace);
  EXPECT_GT(count, 1000u);
  std::string value;
  for (uint64_t i = 0; i < count; i++) ASSERT_OK((*store)->Get("key" + std::to_string(i), &value));
  for (uint64_t i = 0; i < count; i++) ASSERT_OK((*store)->Delete("key" + std::to_string(i)));
  EXPECT_EQ(Problems(**pool), "");
  EXPECT_OK((*store)->Put("again", "room"));
  EXPECT_OK((*pool)->Close());
  pool = Pool::Open(disk.File("pool"), options.open);
  ASSERT_OK(pool);
  EXPECT_EQ(Problems(**pool), "");
}

// The descriptors' own frames are holes until a mount keeps them there. Where the disk has become
// full meanwhile, touching one is a signal.
TEST(OpenSpaceTest, MemmapMovesIntoASparsePoolOnAFullDisk) {
  SmallTmpfs disk(24 << 20);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not permitted";
  CreateOptions options = SmallPool();
  options.memmap = MemmapPlace::kDram;
  auto pool = Pool::Create(disk.File("pool"), options);
  ASSERT_OK(pool);
  ASSERT_OK((*pool)->CreateStore("store"));
  ASSERT_OK((*(*pool)->OpenStore("store"))->Put("key", "value"));
  ASSERT_OK((*pool)->Close());
  std::ofstream filler(disk.File("filler"), std::ios::binary);
  while (filler.write(std::string(4096, 'f').data(), 4096) && filler.flush()) continue;
  options.open.memmap = MemmapPlace::kPool;
  options.open.guard = Guard::kNone;  // mprotect would keep the memmap where it was
  pool = Pool::Open(disk.File("pool"), options.open);
  ASSERT_OK(pool);
  ASSERT_EQ((*pool)->GetInfo().memmap, MemmapPlace::kPool);
  auto store = (*pool)->OpenStore("store");
  ASSERT_OK(store);
  std::string value;
  EXPECT_OK((*store)->Get("key", &value));
  EXPECT_OK((*store)->Delete("key"));
  EXPECT_EQ(Problems(**pool), "");
}

INSTANTIATE_TEST_SUITE_P(Kinds, SparsePoolTest,
                         testing::Values(std::pair(Granularity::kCacheLine, MemmapPlace::kPool),
                                         std::pair(Granularity::kCacheLine, MemmapPlace::kDram),
                                         std::pair(Granularity::kPage, MemmapPlace::kDram)),
                         [](const auto& info) {
                           return std::string(GranularityName(info.param.first)).substr(0, 4) +
                                  (info.param.second == MemmapPlace::kPool ? "Pool" : "Dram");
                         });

}  // namespace
}  // namespace tuff::test
