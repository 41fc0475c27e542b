// PoolImage: what can be told of a pool that no longer opens.
#include "engine/image.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

class ImageTest : public testing::Test {
 protected:
  ImageTest() {
    for (int i = 0; i < 500; i++) {
      EXPECT_OK(fixture_.store().Put(fmt::format("key{:04}", i), std::string(100, 'v')));
    }
  }
  Superblock Believed() { return fixture_.map().superblock(); }
  void Overwrite(uint64_t offset, size_t n) {
    const FileDescriptor file(open(fixture_.path().c_str(), O_RDWR | O_CLOEXEC));
    const std::string junk(n, '\xa5');
    ASSERT_EQ(pwrite(file.get(), junk.data(), n, static_cast<off_t>(offset)),
              static_cast<ssize_t>(n));
  }
  std::unique_ptr<PoolImage> Open(bool also_in_use = false) {
    auto image = PoolImage::Open(fixture_.path(), {also_in_use});
    EXPECT_OK(image.status());
    return image.ok() ? std::move(*image) : nullptr;
  }

  PoolFixture fixture_;
};

TEST_F(ImageTest, TellsWhatTheSuperblocksTell) {
  const Superblock before = Believed();
  fixture_.Close();
  const auto image = Open();
  EXPECT_FALSE(image->guessed());
  EXPECT_FALSE(image->truncated());
  EXPECT_FALSE(image->in_use());
  EXPECT_OK(image->copy_status(0));
  EXPECT_OK(image->copy_status(1));
  EXPECT_EQ(image->frames(), before.frames);
  EXPECT_EQ(image->hash_seed(), before.hash_seed);
}

TEST_F(ImageTest, OneCopyIsEnough) {
  const Superblock before = Believed();
  fixture_.Close();
  Overwrite(8, 600);
  const auto image = Open();
  EXPECT_EQ(image->best_copy(), 1);
  EXPECT_EQ(image->copy_status(0).code(), Code::kCorruption);
  EXPECT_EQ(image->hash_seed(), before.hash_seed);
}

TEST_F(ImageTest, FindsSeedAndSizeWithoutSuperblocks) {
  const Superblock before = Believed();
  fixture_.Close();
  Overwrite(0, 2 * kFrameSize);
  EXPECT_EQ(Pool::Open(fixture_.path()).status().code(), Code::kCorruption);
  const auto image = Open();
  EXPECT_TRUE(image->guessed());
  EXPECT_EQ(image->frames(), before.frames);
  EXPECT_EQ(image->hash_seed(), before.hash_seed);
}

TEST_F(ImageTest, SeesWhatIsLeftOfATruncatedFile) {
  const Superblock before = Believed();
  fixture_.Close();
  ASSERT_EQ(truncate(fixture_.path().c_str(), 3 << 20), 0);
  const auto image = Open();
  EXPECT_TRUE(image->truncated());
  EXPECT_EQ(image->superblock().frames, before.frames);
  EXPECT_EQ(image->frames(), (3ull << 20) / kFrameSize);
}

TEST_F(ImageTest, APoolInUseIsSeenOnWish) {
  EXPECT_EQ(PoolImage::Open(fixture_.path(), {}).status().code(), Code::kLocked);
  const auto image = Open(true);
  EXPECT_TRUE(image->in_use());
  EXPECT_EQ(image->hash_seed(), Believed().hash_seed);
}

TEST_F(ImageTest, WhatIsNoPoolIsRefused) {
  fixture_.Close();
  ASSERT_EQ(truncate(fixture_.path().c_str(), 0), 0);
  EXPECT_EQ(PoolImage::Open(fixture_.path(), {}).status().code(), Code::kCorruption);
  ASSERT_EQ(truncate(fixture_.path().c_str(), 64 << 20), 0);
  EXPECT_EQ(PoolImage::Open(fixture_.path(), {}).status().code(), Code::kCorruption);
  EXPECT_EQ(PoolImage::Open(fixture_.path() + "x", {}).status().code(), Code::kNotFound);
}

TEST_F(ImageTest, OwnerWordsAreAllShown) {
  fixture_.Close();
  const auto image = Open();
  std::vector<Pfn> shown;
  for (uint64_t section = 0; section < SectionsOf(image->frames()); section++) {
    image->ForEachOwnerWord(section, [&](Pfn pfn, uint64_t) { shown.push_back(pfn); });
  }
  std::vector<Pfn> expected;
  for (Pfn pfn = 0; pfn < image->frames(); pfn++) {
    if (!IsReserved(pfn) && image->OwnerWordAt(pfn) != 0) expected.push_back(pfn);
  }
  EXPECT_EQ(shown, expected);
  EXPECT_FALSE(shown.empty());
}

}  // namespace
}  // namespace tuff::test
