// More threads than there are lanes, and than there are thread slots.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "engine/check.h"
#include "engine/pool_impl.h"
#include "pagemap/lanes.h"
#include "tests/concurrency/partition.h"
#include "tests/concurrency/perturber.h"

namespace tuff::test {
namespace {

class ManyThreads : public testing::TestWithParam<size_t> {};

// A yield at every other step keeps the lanes taken while the others come.
TEST_P(ManyThreads, GetTheirTurn) {
  const size_t n = GetParam();
  const size_t operations = kSanitized ? 60 : 600;
  Perturber perturber(n, 2);
  TempDir dir;
  auto pool = Pool::Create(dir.File("pool"), SmallPool(64 << 20));
  ASSERT_OK(pool);
  auto store = (*pool)->CreateStore("store");
  ASSERT_OK(store);
  std::vector<std::unique_ptr<Partition>> partitions;
  for (size_t i = 0; i < n; i++) {
    partitions.push_back(std::make_unique<Partition>(**store, i, 20, n, 100));
  }
  std::vector<std::thread> threads;
  for (auto& partition : partitions) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < operations; i++) partition->Act();
      partition->LetPinsGo();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (auto& partition : partitions) partition->Check();
  const CheckReport report =
      CheckPool(PoolTestPeer::Map(**pool), PoolTestPeer::GetCatalogue(**pool));
  EXPECT_TRUE(report.problems.empty()) << report.ToString();
}

INSTANTIATE_TEST_SUITE_P(All, ManyThreads, testing::Values(kLanes + 8, kThreadSlots + 16));

// Lanes alone, with nothing between taking and giving back: a lost wakeup would hang here.
TEST(Lanes, AreNeverHeldTwiceAndNobodyIsForgotten) {
  TempDir dir;
  auto pool = Pool::Create(dir.File("pool"), SmallPool());
  ASSERT_OK(pool);
  Lanes& lanes = PoolTestPeer::Map(**pool).lanes();
  std::array<std::atomic<int>, kLanes> held{};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kLanes + 32; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < (kSanitized ? 100 : 1000); i++) {
        LaneHold hold(lanes);
        const unsigned lane = hold.Take();
        EXPECT_EQ(held[lane].fetch_add(1), 0);
        std::this_thread::yield();
        held[lane].fetch_sub(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// As many waiters as can be behind few holders, again and again.
TEST(Latch, ExcludesAndWakes) {
  Latch latch{};
  uint64_t sum = 0;
  std::vector<std::thread> threads;
  const uint64_t rounds = kSanitized ? 2000 : 20000;
  for (int t = 0; t < 8; t++) {
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < rounds; i++) {
        latch.Lock();
        sum++;
        if (i % 16 == 0) std::this_thread::yield();
        latch.Unlock();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, 8 * rounds);
}

}  // namespace
}  // namespace tuff::test
