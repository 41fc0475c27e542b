#include "pagemap/page_map.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "pagemap/pool_file.h"
#include "tests/pagemap/pagemap_test_util.h"

namespace tuff::test {
namespace {

TEST(PageMapTest, NumbersAreNeverHandedOutTwice) {
  FramesFixture fixture;
  uint64_t last = 0;
  for (int mount = 0; mount < 3; mount++) {
    std::vector<std::vector<uint64_t>> taken(2);
    std::vector<std::thread> threads;
    for (auto& numbers : taken) {
      threads.emplace_back([&] {  // more than one reservation of 2^20
        for (int i = 0; i < 600'000; i++) numbers.push_back(fixture.map().NextNumber());
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<uint64_t> all = taken[0];
    all.insert(all.end(), taken[1].begin(), taken[1].end());
    std::sort(all.begin(), all.end());
    EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
    EXPECT_GT(all.front(), last);
    last = all.back();
    EXPECT_GT(fixture.map().superblock().number_limit, last) << "reserved before it is used";
    fixture.Unmount();
    fixture.Mount();
  }
}

TEST(PageMapTest, ObjectIdsGoOnAfterAMount) {
  FramesFixture fixture;
  const auto first = fixture.map().NextObjectId();
  ASSERT_OK(first);
  fixture.Unmount();
  fixture.Mount();
  const auto second = fixture.map().NextObjectId();
  ASSERT_OK(second);
  EXPECT_EQ(*second, *first + 1);
}

TEST(PageMapTest, MountsAreCountedAndClean) {
  FramesFixture fixture;
  EXPECT_EQ(fixture.map().superblock().mount_count, 1u);
  EXPECT_EQ(fixture.map().superblock().state & kStateClean, 0u);
  EXPECT_EQ(fixture.map().superblock().writer_pid, static_cast<uint32_t>(getpid()));
  const uint64_t nonce = fixture.map().superblock().mount_nonce;
  fixture.Unmount();
  fixture.Mount();
  EXPECT_EQ(fixture.map().superblock().mount_count, 2u);
  EXPECT_NE(fixture.map().superblock().mount_nonce, nonce);
  EXPECT_FALSE(fixture.map().was_unclean());
  EXPECT_FALSE(fixture.map().crashed_since_scrub());
  EXPECT_NE(fixture.map().superblock().state & kStateEverForced, 0u);
}

TEST(PoolFileTest, IsWrittenWithZerosUnlessSparse) {
  TempDir dir;
  CreateOptions options = SmallPool();
  options.sparse = false;
  options.mode = 0660;
  const mode_t mask = umask(077);
  auto fd = CreatePoolFile(dir.File("full"), options);
  umask(mask);
  ASSERT_OK(fd);
  struct stat st {};
  ASSERT_EQ(fstat(fd->get(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0660u);
  EXPECT_EQ(static_cast<uint64_t>(st.st_size), kPoolSizeMin);
  EXPECT_FALSE(IsSparse(fd->get(), kPoolSizeMin));
  EXPECT_CODE(CreatePoolFile(dir.File("full"), options), Code::kExists);
  EXPECT_CODE(OpenPoolFile(dir.File("full"), false), Code::kLocked);
  fd->reset();
  options.sparse = true;
  fd = CreatePoolFile(dir.File("sparse"), options);
  ASSERT_OK(fd);
  EXPECT_TRUE(IsSparse(fd->get(), kPoolSizeMin));
}

TEST(PoolFileTest, BootIdIsTheKernels) {
  uint8_t a[16];
  uint8_t b[16];
  ReadBootId(a);
  ReadBootId(b);
  EXPECT_EQ(std::memcmp(a, b, 16), 0);
  EXPECT_TRUE(std::any_of(a, a + 16, [](uint8_t byte) { return byte != 0; }));
}

}  // namespace
}  // namespace tuff::test
