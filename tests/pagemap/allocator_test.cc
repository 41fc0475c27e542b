#include "pagemap/allocator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "tests/pagemap/pagemap_test_util.h"

namespace tuff::test {
namespace {

// Frames that a pool of this many can hand out.
uint64_t DataFrames(uint64_t frames) {
  uint64_t n = 0;
  for (Pfn pfn = 0; pfn < frames; pfn++) n += IsReserved(pfn) ? 0 : 1;
  return n;
}

// Which frames are taken, as the test sees it.
class Bitmap {
 public:
  explicit Bitmap(uint64_t frames) : taken_(frames) {}
  void Take(Pfn pfn, unsigned order) {
    ASSERT_NE(pfn, 0u);
    ASSERT_EQ(pfn % (1ull << order), 0u) << "not aligned to its size";
    for (Pfn at = pfn; at < pfn + (1ull << order); at++) {
      ASSERT_LT(at, taken_.size());
      ASSERT_FALSE(IsReserved(at)) << at;
      ASSERT_FALSE(taken_[at]) << "handed out twice: " << at;
      taken_[at] = true;
    }
  }
  void Give(Pfn pfn, unsigned order) {
    for (Pfn at = pfn; at < pfn + (1ull << order); at++) taken_[at] = false;
  }

 private:
  std::vector<bool> taken_;
};

TEST(AllocatorTest, EveryOrderIsAlignedAndDisjoint) {
  FramesFixture fixture(SmallPool(64 << 20));
  Bitmap bitmap(fixture.map().frames());
  for (int round = 0; round < 5; round++) {
    for (unsigned order = 0; order <= kOrderMax; order++) {
      bitmap.Take(fixture.map().allocator().Allocate(order, AllocFor::kGrowth), order);
      ASSERT_FALSE(HasFatalFailure()) << "order " << order;
    }
  }
}

TEST(AllocatorTest, RandomizedAgainstABitmap) {
  FramesFixture fixture;
  FrameAllocator& allocator = fixture.map().allocator();
  Bitmap bitmap(fixture.map().frames());
  Random random(3);
  std::vector<std::pair<Pfn, unsigned>> held;
  for (int i = 0; i < 40000; i++) {
    // Waves: mostly growing, then mostly shrinking.
    if (random.Below(100) < ((i / 4000) % 2 == 0 ? 70u : 30u)) {
      const auto order = static_cast<unsigned>(random.Below(random.OneIn(20) ? 10 : 5));
      const Pfn pfn = allocator.Allocate(order, AllocFor::kGrowth);
      if (pfn == 0) continue;
      bitmap.Take(pfn, order);
      ASSERT_FALSE(HasFatalFailure());
      held.emplace_back(pfn, order);
    } else if (!held.empty()) {
      std::swap(held[random.Below(held.size())], held.back());
      bitmap.Give(held.back().first, held.back().second);
      allocator.Free(held.back().first, held.back().second);
      held.pop_back();
    }
  }
  for (const auto& [pfn, order] : held) allocator.Free(pfn, order);
  // All is whole again: a page block can be had.
  EXPECT_NE(allocator.Allocate(kOrderMax, AllocFor::kGrowth), 0u);
}

TEST(AllocatorTest, TheReserveIsForExchangesOnly) {
  FramesFixture fixture;
  FrameAllocator& allocator = fixture.map().allocator();
  uint64_t grown = 0;
  while (allocator.Allocate(0, AllocFor::kGrowth) != 0) grown++;
  uint64_t shrunk = 0;
  for (unsigned order = 0; order <= 4; order++) {
    uint64_t runs = 0;
    while (allocator.Allocate(order, AllocFor::kExchange) != 0) runs++;
    EXPECT_GE(runs, 2u) << "order " << order;
    shrunk += runs << order;
  }
  EXPECT_EQ(grown + shrunk, DataFrames(fixture.map().frames())) << "every frame can be had";
  EXPECT_EQ(allocator.Allocate(0, AllocFor::kGrowth), 0u);
}

TEST(AllocatorTest, WhatWasBorrowedIsOwedInItsOrder) {
  FramesFixture fixture;
  FrameAllocator& allocator = fixture.map().allocator();
  std::vector<Pfn> held;
  while (Pfn pfn = allocator.Allocate(3, AllocFor::kGrowth)) held.push_back(pfn);
  while (allocator.Allocate(0, AllocFor::kGrowth) != 0) continue;
  // Each time a run of 8 frames is replaced by one of 4: never more is lent than comes back.
  ASSERT_GE(held.size(), 200u);
  for (int i = 0; i < 200; i++) {
    const unsigned order = i % 2 == 0 ? 2 : 3;
    const Pfn pfn = allocator.Allocate(order, AllocFor::kExchange);
    ASSERT_NE(pfn, 0u) << "change " << i;
    allocator.Free(held.back(), 3);
    held.pop_back();
  }
  // The others are untouched.
  for (const unsigned order : {4u, 1u}) {
    EXPECT_NE(allocator.Allocate(order, AllocFor::kExchange), 0u) << "order " << order;
  }
}

TEST(AllocatorTest, FreedFramesComeBackAndRefillTheReserveFirst) {
  FramesFixture fixture;
  FrameAllocator& allocator = fixture.map().allocator();
  std::vector<Pfn> held;
  while (Pfn pfn = allocator.Allocate(4, AllocFor::kExchange)) held.push_back(pfn);
  allocator.Free(held.back(), 4);
  EXPECT_EQ(allocator.Allocate(0, AllocFor::kGrowth), 0u) << "the reserve has it";
  EXPECT_EQ(allocator.Allocate(4, AllocFor::kExchange), held.back());
  for (const Pfn pfn : held) allocator.Free(pfn, 4);
  EXPECT_NE(allocator.Allocate(0, AllocFor::kGrowth), 0u);
}

// What is remembered of a search in vain must not outlive a free.
TEST(AllocatorTest, AFreedRunIsFoundHoweverFullThePool) {
  FramesFixture fixture;
  FrameAllocator& allocator = fixture.map().allocator();
  std::vector<Pfn> held;
  for (unsigned order = kOrderMax + 1; order-- > 0;) {
    while (Pfn pfn = allocator.Allocate(order, AllocFor::kExchange)) {
      for (Pfn at = pfn; at < pfn + (1ull << order); at++) held.push_back(at);
    }
  }
  std::sort(held.begin(), held.end());
  EXPECT_EQ(held.size(), DataFrames(fixture.map().frames()));
  // All single frames back, from the top; then runs of every order must be there.
  for (; !held.empty(); held.pop_back()) {
    allocator.Free(held.back(), 0);
    const Pfn pfn = allocator.Allocate(0, AllocFor::kExchange);
    ASSERT_NE(pfn, 0u) << held.size() << " frames are still taken";
    allocator.Free(pfn, 0);
  }
  for (unsigned order = 0; order <= kOrderMax; order++) {
    EXPECT_NE(allocator.Allocate(order, AllocFor::kGrowth), 0u) << "order " << order;
  }
}

TEST(AllocatorTest, SeveralThreadsGetDisjointRuns) {
  FramesFixture fixture(SmallPool(64 << 20));
  FrameAllocator& allocator = fixture.map().allocator();
  std::vector<std::vector<std::pair<Pfn, unsigned>>> held(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < held.size(); t++) {
    threads.emplace_back([&, t] {
      Random random(t);
      for (int i = 0; i < 4000; i++) {
        if (random.Below(3) != 0 || held[t].empty()) {
          const auto order = static_cast<unsigned>(random.Below(4));
          const Pfn pfn = allocator.Allocate(order, AllocFor::kGrowth);
          if (pfn != 0) held[t].emplace_back(pfn, order);
        } else {
          allocator.Free(held[t].back().first, held[t].back().second);
          held[t].pop_back();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Bitmap bitmap(fixture.map().frames());
  for (const auto& runs : held) {
    for (const auto& [pfn, order] : runs) bitmap.Take(pfn, order);
  }
}

}  // namespace
}  // namespace tuff::test
