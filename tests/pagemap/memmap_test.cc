// I6: descriptors are volatile, and made at first touch.
#include "pagemap/memmap.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/pagemap/pagemap_test_util.h"

namespace tuff::test {
namespace {

constexpr uint64_t kFrames = kPoolSizeMin >> kFrameShift;

void SetOwner(PersistDomain& domain, Pfn pfn, uint64_t word) {
  WriteWindow window(domain);
  window.Store64(OwnerWordOffset(pfn), word);
}

TEST(MemmapTest, DescriptorsFollowTheFrameTable) {
  DomainFixture fixture;
  PersistDomain& domain = fixture.domain();
  const Pfn block = 3 * kBlockFrames;
  SetOwner(domain, block, PackOwner(block, FrameKind::kTreeNode, 4, 9));
  SetOwner(domain, block + 17, PackOwner(block + 17, FrameKind::kMetadata, 0, 9));
  SetOwner(domain, block + 20, 0xdeadbeef);  // damaged
  SetOwner(domain, block + 256, PackOwner(block + 256, FrameKind::kExtent, 8, 9));
  auto memmap = Memmap::Make(domain, kFrames, MemmapPlace::kDram, 42, false);
  ASSERT_OK(memmap);
  (void)(*memmap)->Touch(block + 100);
  const BlockState& state = (*memmap)->TouchBlock(3);
  uint64_t free = 0;
  for (uint64_t i = 0; i < kBlockFrames; i++) {
    const bool used = i < 16 || i == 17 || i == 20 || i >= 256;
    const bool head = i == 0 || i == 17 || i == 256;
    const Descriptor& descriptor = (*memmap)->At(block + i);
    ASSERT_EQ(descriptor.generation.load(), 42u) << i;
    ASSERT_EQ(descriptor.Has(Descriptor::kHead), head) << i;
    ASSERT_FALSE(descriptor.Has(Descriptor::kVerified));
    ASSERT_FALSE(descriptor.latch.IsLocked());
    ASSERT_EQ(descriptor.pins.load(), 0u);
    ASSERT_EQ((state.free_bits[i / 64] >> (i % 64) & 1) != 0, !used) << i;
    free += used ? 0 : 1;
  }
  EXPECT_EQ(state.free_frames.load(), free);
  EXPECT_EQ((*memmap)->known_free_frames().load(), free);
  EXPECT_EQ(domain.counters().Sum(Counter::kPageBlocksInitialised), 1u);
}

TEST(MemmapTest, ReservedFramesAreNeverFree) {
  DomainFixture fixture;
  auto memmap = Memmap::Make(fixture.domain(), kFrames, MemmapPlace::kDram, 42, false);
  ASSERT_OK(memmap);
  const Pfn first_data = FrameTablePfn(0) + kFrameTableFrames;
  EXPECT_EQ((*memmap)->TouchBlock(0).free_frames.load(), kBlockFrames - first_data);
  EXPECT_EQ((*memmap)->TouchBlock(1).free_frames.load(), 0u);
}

TEST(MemmapTest, LivesWhereItMay) {
  const auto place = [](DomainFixture fixture, MemmapPlace wish) {
    auto memmap = Memmap::Make(fixture.domain(), kFrames, wish, 2, false);
    EXPECT_OK(memmap);
    return (*memmap)->place();
  };
  EXPECT_EQ(place(DomainFixture(Granularity::kCacheLine, Guard::kNone), MemmapPlace::kPool),
            MemmapPlace::kPool);
  EXPECT_EQ(place(DomainFixture(Granularity::kCacheLine), MemmapPlace::kDram), MemmapPlace::kDram);
  EXPECT_EQ(place(DomainFixture(Granularity::kPage), MemmapPlace::kPool), MemmapPlace::kDram);
  EXPECT_EQ(place(DomainFixture(Granularity::kCacheLine, Guard::kMprotect), MemmapPlace::kPool),
            MemmapPlace::kDram);
  EXPECT_EQ(place(DomainFixture(Granularity::kCacheLine, Guard::kNone, kPoolSizeMin, true),
                  MemmapPlace::kPool),
            MemmapPlace::kDram);
}

TEST(MemmapTest, AnEarlierMountsDescriptorsAreVoid) {
  DomainFixture fixture(Granularity::kCacheLine, Guard::kNone);  // the memmap is in the pool
  const Pfn pfn = 5 * kBlockFrames + 7;
  {
    auto memmap = Memmap::Make(fixture.domain(), kFrames, MemmapPlace::kPool, 10, false);
    ASSERT_OK(memmap);
    Descriptor& descriptor = (*memmap)->Touch(pfn);
    descriptor.Set(Descriptor::kVerified | Descriptor::kTailBuilt);
    descriptor.latch.Lock();
    descriptor.pins = 5;
    descriptor.tail_count = 3;
  }
  auto memmap = Memmap::Make(fixture.domain(), kFrames, MemmapPlace::kPool, 12, false);
  ASSERT_OK(memmap);
  EXPECT_EQ((*memmap)->At(pfn).pins.load(), 5u) << "the bytes are still there";
  const Descriptor& descriptor = (*memmap)->Touch(pfn);
  EXPECT_EQ(descriptor.flags.load(), 0u);
  EXPECT_FALSE(descriptor.latch.IsLocked());
  EXPECT_EQ(descriptor.pins.load(), 0u);
  EXPECT_EQ(descriptor.tail_count.load(), 0u);
}

TEST(MemmapTest, ManyThreadsInitialiseABlockOnce) {
  DomainFixture fixture(Granularity::kCacheLine, Guard::kNone, 64 << 20);
  const uint64_t frames = (64 << 20) >> kFrameShift;
  auto memmap = Memmap::Make(fixture.domain(), frames, MemmapPlace::kPool, 42, false);
  ASSERT_OK(memmap);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; t++) {
    threads.emplace_back([&, t] {
      for (uint64_t block = 2; block < frames / kBlockFrames; block++) {
        const Descriptor& d = (*memmap)->Touch(block * kBlockFrames + t * 100);
        EXPECT_EQ(d.generation.load(), 42u);
        EXPECT_EQ((*memmap)->TouchBlock(block).free_frames.load(), kBlockFrames);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fixture.domain().counters().Sum(Counter::kPageBlocksInitialised),
            frames / kBlockFrames - 2);
}

}  // namespace
}  // namespace tuff::test
