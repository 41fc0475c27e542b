#include "pagemap/medium.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

#include "pagemap/pool_file.h"
#include "tests/pagemap/pagemap_test_util.h"

namespace tuff::test {
namespace {

constexpr uint64_t kBytes = 8 * kHugePage;

bool IsOnTmpfs(const std::string& path) {
  struct statfs fs {};
  return statfs(path.c_str(), &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/// A file of kBytes, all of it a hole, mapped.
class MappedHole {
 public:
  explicit MappedHole(const std::string& root, Granularity granularity) : dir_(root) {
    fd_ = open(path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(ftruncate(fd_, kBytes), 0);
    auto medium = Medium::Map(fd_, path(), kBytes, {false, granularity});
    EXPECT_OK(medium);
    medium_ = std::move(*medium);
  }
  ~MappedHole() { close(fd_); }

  std::string path() const { return dir_.File("file"); }
  int fd() const { return fd_; }
  const Medium& medium() const { return *medium_; }
  uint64_t DataFrom(uint64_t offset) const {
    const off_t data = lseek(fd_, static_cast<off_t>(offset), SEEK_DATA);
    return data < 0 ? kBytes : static_cast<uint64_t>(data);
  }
  uint64_t AllocatedBytes() const {
    struct stat st {};
    EXPECT_EQ(fstat(fd_, &st), 0);
    return static_cast<uint64_t>(st.st_blocks) * 512;
  }
  void Put(uint64_t offset, const std::string& text) const {
    EXPECT_EQ(pwrite(fd_, text.data(), text.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(text.size()));
  }
  std::string Get(uint64_t offset, size_t n) const {
    std::string text(n, '?');
    EXPECT_EQ(pread(fd_, text.data(), n, static_cast<off_t>(offset)), static_cast<ssize_t>(n));
    return text;
  }

 private:
  TempDir dir_;
  int fd_ = -1;
  std::unique_ptr<Medium> medium_;
};

/// Of all mappings of this file in this process, bytes that are mapped by pages of 2 MiB.
uint64_t HugelyMappedBytes(const std::string& path) {
  std::ifstream smaps("/proc/self/smaps");
  uint64_t sum = 0;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words(line);
    std::string name;
    uint64_t kib = 0;
    words >> name;
    if (name.find('-') != std::string::npos) inside = line.find(path) != std::string::npos;
    if (inside && name == "ShmemPmdMapped:" && words >> kib) sum += kib * 1024;
  }
  return sum;
}

// False if this kernel does not give them when asked.
bool KernelHasHugePages() {
  const MappedHole probe(ScratchRoot(), Granularity::kCacheLine);
  auto* const at = const_cast<std::byte*>(probe.medium().base());
  return madvise(at, kFrameSize, 22 /* MADV_POPULATE_READ */) == 0 &&
         madvise(at, kHugePage, 25 /* MADV_COLLAPSE */) == 0;
}

#define SKIP_WITHOUT_HUGE_PAGES()                                                         \
  if (!IsOnTmpfs(ScratchRoot())) GTEST_SKIP() << "the scratch directory is not on tmpfs"; \
  if (!KernelHasHugePages())                                                              \
  GTEST_SKIP() << "this kernel gives tmpfs no huge pages "                                \
                  "(MADV_COLLAPSE)"

TEST(MediumTest, AReservedHoleOnTmpfsIsBackedByHugePages) {
  SKIP_WITHOUT_HUGE_PAGES();
  const MappedHole file(ScratchRoot(), Granularity::kCacheLine);
  ASSERT_OK(file.medium().Reserve(2 * kHugePage, 3 * kHugePage));
  EXPECT_EQ(file.AllocatedBytes(), 3 * kHugePage);
  const std::byte* const from = file.medium().base() + 2 * kHugePage;
  EXPECT_TRUE(
      std::all_of(from, from + 3 * kHugePage, [](std::byte b) { return b == std::byte{}; }));
  EXPECT_EQ(HugelyMappedBytes(file.path()), 3 * kHugePage);
}

TEST(MediumTest, WhatIsThereStaysWhenItsBlockIsReserved) {
  const MappedHole file(ScratchRoot(), Granularity::kCacheLine);
  file.Put(kHugePage + 5 * kFrameSize + 7, "precious");
  ASSERT_OK(file.medium().Reserve(0, 3 * kHugePage));
  ASSERT_OK(file.medium().Reserve(5 * kHugePage + kFrameSize, kFrameSize));  // no whole block
  EXPECT_EQ(file.AllocatedBytes(), 3 * kHugePage + kFrameSize);
  EXPECT_EQ(file.Get(kHugePage + 5 * kFrameSize + 7, 8), "precious");
}

TEST(MediumTest, APoolOnTmpfsIsMadeOfHugePages) {
  SKIP_WITHOUT_HUGE_PAGES();
  CreateOptions options = SmallPool(kBytes + 3 * kFrameSize);
  options.sparse = false;
  const FramesFixture frames(options);
  struct stat st {};
  ASSERT_EQ(stat(frames.path().c_str(), &st), 0);
  EXPECT_EQ(static_cast<uint64_t>(st.st_blocks) * 512, static_cast<uint64_t>(st.st_size));
  EXPECT_GE(HugelyMappedBytes(frames.path()), kHugePage) << "where mounting has touched it";
}

TEST(MediumTest, WritesZerosToReservedBlocksOfADiskOnly) {
  const std::string root = IsOnTmpfs("/tmp") ? "/var/tmp" : "/tmp";
  if (IsOnTmpfs(root)) GTEST_SKIP() << "no directory that is not on tmpfs";
  const MappedHole file(root, Granularity::kPage);
  file.Put(4 * kHugePage + 100, "precious");
  ASSERT_EQ(fsync(file.fd()), 0);
  ASSERT_OK(file.medium().Reserve(0, kBytes));
  if (file.DataFrom(0) < 4 * kHugePage) {
    GTEST_SKIP() << "this file system takes reserved blocks for written ones";
  }
  EXPECT_OK(file.medium().WriteReserved(2 * kHugePage, kHugePage));
  EXPECT_EQ(file.DataFrom(0), 2 * kHugePage) << "what was asked for";
  EXPECT_GE(file.DataFrom(3 * kHugePage), 4 * kHugePage) << "and no more";
  const std::string zeros(kHugePage, '\0');
  EXPECT_EQ(file.Get(2 * kHugePage, kHugePage), zeros);
  EXPECT_OK(file.medium().WriteReserved(4 * kHugePage, kHugePage));
  EXPECT_EQ(file.Get(4 * kHugePage + 100, 8), "precious") << "never over anything";
  EXPECT_EQ(file.DataFrom(4 * kHugePage + 4 * kFrameSize), kBytes) << "and then not beside it";
}

}  // namespace
}  // namespace tuff::test
