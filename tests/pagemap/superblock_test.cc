#include "pagemap/superblock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "pagemap/pfn.h"
#include "tests/pagemap/pagemap_test_util.h"

namespace tuff::test {
namespace {

class SuperblockTest : public testing::Test {
 protected:
  SuperblockTest() {
    Superblock& sb = superblock_;
    std::copy(kSuperblockMagic, kSuperblockMagic + 8, sb.magic);
    sb.format_version = kFormatVersion;
    sb.frames = kPoolSizeMin >> kFrameShift;
    sb.number_limit = 1;
    sb.next_object_id = 16;
    Write();
  }
  void Write() { EXPECT_OK(WriteSuperblocks(fixture_.domain(), superblock_)); }
  Result<SuperblockChoice> Choose(bool for_writing = true) {
    return ChooseSuperblock(fixture_.domain().base(), kPoolSizeMin, "p", for_writing);
  }
  void Damage(Pfn pfn) {
    WriteWindow window(fixture_.domain());
    window.Zero(OffsetOf(pfn) + 300, 8);
    window.Store(OffsetOf(pfn) + 300, "x", 1);
  }

  DomainFixture fixture_;
  Superblock superblock_{};
};

TEST_F(SuperblockTest, BothCopiesAreWritten) {
  auto choice = Choose();
  ASSERT_OK(choice);
  EXPECT_TRUE(choice->copy_valid[0] && choice->copy_valid[1]);
  EXPECT_EQ(choice->superblock.sequence, superblock_.sequence);
}

TEST_F(SuperblockTest, EitherCopyIsEnough) {
  for (const Pfn bad : {kSuperblockPfn, kMirrorPfn}) {
    Damage(bad);
    auto choice = Choose();
    ASSERT_OK(choice);
    EXPECT_FALSE(choice->copy_valid[bad]);
    EXPECT_TRUE(choice->copy_valid[1 - bad]);
    Write();
  }
  Damage(kSuperblockPfn);
  Damage(kMirrorPfn);
  EXPECT_CODE(Choose(), Code::kCorruption);
}

TEST_F(SuperblockTest, TheHigherSequenceCounts) {
  std::vector<std::byte> old(fixture_.domain().base(), fixture_.domain().base() + 512);
  superblock_.mount_count = 9;
  Write();
  for (const Pfn stale : {kSuperblockPfn, kMirrorPfn}) {
    {
      WriteWindow window(fixture_.domain());
      window.Store(OffsetOf(stale), old.data(), old.size());
    }
    auto choice = Choose();
    ASSERT_OK(choice);
    EXPECT_EQ(choice->superblock.mount_count, 9u);
    Write();
  }
}

// I8: fields out of range with a right checksum.
TEST_F(SuperblockTest, AbsurdFieldsAreErrors) {
  const Superblock good = superblock_;
  const auto expect = [&](Code code, const std::function<void(Superblock&)>& edit) {
    superblock_ = good;
    edit(superblock_);
    Write();
    EXPECT_CODE(Choose(), code);
  };
  expect(Code::kNotSupported, [](Superblock& sb) { sb.format_version = 2; });
  expect(Code::kNotSupported, [](Superblock& sb) { sb.feature_incompat = 2; });
  expect(Code::kNotSupported, [](Superblock& sb) { sb.feature_ro_compat = 1; });
  EXPECT_OK(Choose(false)) << "unknown ro_compat features allow reading";
  expect(Code::kOk, [](Superblock& sb) { sb.feature_compat = 1; });
  expect(Code::kCorruption, [](Superblock& sb) { sb.frames = 0; });
  expect(Code::kCorruption, [](Superblock& sb) { sb.frames = 4097; });
  expect(Code::kCorruption, [](Superblock& sb) { sb.frames = 8192; });  // longer than the file
  expect(Code::kCorruption, [](Superblock& sb) { sb.frames = 1ull << 52; });
  expect(Code::kCorruption, [](Superblock& sb) { sb.number_limit = 0; });
  expect(Code::kCorruption, [](Superblock& sb) { sb.number_limit = 1ull << 60; });
  expect(Code::kCorruption, [](Superblock& sb) { sb.next_object_id = 0; });
  expect(Code::kCorruption, [](Superblock& sb) { sb.memmap_place = 2; });
  expect(Code::kCorruption, [](Superblock& sb) { sb.magic[0] = 'T'; });
}

}  // namespace
}  // namespace tuff::test
