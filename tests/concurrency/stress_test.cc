// Threads that do everything at once, against what each of them knows its own keys to hold.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "engine/check.h"
#include "engine/pool_impl.h"
#include "tests/concurrency/partition.h"
#include "tests/concurrency/perturber.h"

namespace tuff::test {
namespace {

using Partitions = std::vector<std::unique_ptr<Partition>>;

std::chrono::steady_clock::time_point Deadline() {
  const uint64_t ms = EnvNumber("TUFF_STRESS_MS", kSanitized ? 3000 : 4000);
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
}

void ExpectSound(Pool& pool) {
  const CheckReport report = CheckPool(PoolTestPeer::Map(pool), PoolTestPeer::GetCatalogue(pool));
  EXPECT_TRUE(report.problems.empty()) << report.ToString();
}

Partitions MakePartitions(Store& store, size_t n, size_t keys, size_t value_bytes_max) {
  Partitions partitions;
  for (size_t i = 0; i < n; i++) {
    partitions.push_back(std::make_unique<Partition>(store, i, keys, 1, value_bytes_max));
  }
  return partitions;
}

void ActUntil(Partition& partition, std::chrono::steady_clock::time_point deadline) {
  while (std::chrono::steady_clock::now() < deadline && !testing::Test::HasFailure()) {
    for (int i = 0; i < 50; i++) partition.Act();
  }
  partition.LetPinsGo();
}

void ActTogether(Partitions& partitions) {
  const auto deadline = Deadline();
  std::vector<std::thread> threads;
  for (auto& partition : partitions) {
    threads.emplace_back([&] {
      ActUntil(*partition, deadline);
      partition->DeleteSome(partition->size() * 9 / 10);  // leaves get thin, however large they are
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (auto& partition : partitions) partition->Check();
}

struct Setting {
  const char* name;
  Granularity granularity;
  Guard guard;
  MemmapPlace memmap;
  size_t value_bytes_max;
  bool background_consolidation = false;
};

class Everything : public testing::TestWithParam<Setting> {};

TEST_P(Everything, AtOnce) {
  const Setting& setting = GetParam();
  // TSan sees through the observer only what is copied into the pool.
  Perturber perturber(1, kSanitized ? 10 : 0);
  TempDir dir;
  CreateOptions options = SmallPool(64 << 20, setting.granularity, setting.guard);
  options.memmap = setting.memmap;
  options.open.background_consolidation = setting.background_consolidation;
  auto pool = Pool::Create(dir.File("pool"), options);
  ASSERT_OK(pool);
  auto store = (*pool)->CreateStore("store");
  ASSERT_OK(store);
  Partitions partitions = MakePartitions(**store, 4, 300, setting.value_bytes_max);
  ActTogether(partitions);
  ASSERT_OK((*pool)->WaitForBackgroundWork());
  ExpectSound(**pool);
  const Statistics s = (*pool)->GetStatistics();
  EXPECT_GT(s.splits, 0u);
  EXPECT_GT(s.merges, 0u);
  std::printf("%llu puts, %llu deletes, %llu gets, %llu splits, %llu merges, %llu restarts\n",
              static_cast<unsigned long long>(s.puts), static_cast<unsigned long long>(s.deletes),
              static_cast<unsigned long long>(s.gets), static_cast<unsigned long long>(s.splits),
              static_cast<unsigned long long>(s.merges),
              static_cast<unsigned long long>(s.restarts));
  ASSERT_OK((*pool)->Close());
}

INSTANTIATE_TEST_SUITE_P(All, Everything,
                         testing::Values(Setting{"small", Granularity::kCacheLine, TestGuard(),
                                                 MemmapPlace::kPool, 100},
                                         Setting{"ahead", Granularity::kCacheLine, TestGuard(),
                                                 MemmapPlace::kPool, 100, true},
                                         Setting{"large", Granularity::kCacheLine,
                                                 TestGuard(Guard::kAuto), MemmapPlace::kDram, 4000},
                                         Setting{"page", Granularity::kPage,
                                                 TestGuard(Guard::kAuto), MemmapPlace::kPool, 300}),
                         [](const auto& info) { return std::string(info.param.name); });

// After a kill, many threads come to the same frames for the first time since the mount.
TEST(Stress, FirstTouchByManyThreads) {
  Perturber perturber(2, 5);
  TempDir dir;
  const CreateOptions options = SmallPool(32 << 20);
  auto pool = Pool::Create(dir.File("pool0"), options);
  ASSERT_OK(pool);
  auto store = (*pool)->CreateStore("store");
  ASSERT_OK(store);
  std::map<std::string, std::string> expected;
  for (size_t i = 0; i < 3000; i++) {
    const std::string key = std::to_string(i * 7919 % 100000);
    expected[key] = key + std::string(50, '.');
    ASSERT_OK((*store)->Put(key, expected[key]));
  }
  const size_t rounds = kSanitized ? 8 : 40;
  for (size_t round = 0; round < rounds; round++) {
    const std::string copy = dir.File("pool" + std::to_string(round + 1));
    std::filesystem::copy_file(dir.File("pool" + std::to_string(round)), copy);
    pool->reset();
    std::filesystem::remove(dir.File("pool" + std::to_string(round)));
    pool = Pool::Open(copy, options.open);
    ASSERT_OK(pool);
    store = (*pool)->OpenStore("store");
    ASSERT_OK(store);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 4; t++) {
      threads.emplace_back([&, t] {
        size_t i = 0;
        for (const auto& [key, value] : expected) {
          if (i++ % 10 != round % 10) continue;
          std::string found;
          EXPECT_OK((*store)->Get(key, &found)) << key;
          EXPECT_EQ(found, value);
          // Writers replace what the others are about to touch.
          if (t % 2 == 0) {
            for (int k = 0; k < 3; k++) EXPECT_OK((*store)->Put(key, value)) << key;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ExpectSound(**pool);
    if (HasFailure()) return;
  }
}

TEST(Stress, SeveralPoolsInOneProcess) {
  Perturber perturber(3, kSanitized ? 10 : 0);
  TempDir dir;
  std::vector<std::unique_ptr<Pool>> pools;
  std::vector<Partitions> partitions;
  for (size_t i = 0; i < 4; i++) {
    auto pool = Pool::Create(dir.File("pool" + std::to_string(i)), SmallPool(32 << 20));
    ASSERT_OK(pool);
    auto store = (*pool)->CreateStore("store");
    ASSERT_OK(store);
    partitions.push_back(MakePartitions(**store, 4, 100, 300));
    pools.push_back(std::move(*pool));
  }
  const auto deadline = Deadline();
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; t++) {  // each thread goes from pool to pool
    threads.emplace_back([&, t] {
      while (std::chrono::steady_clock::now() < deadline && !HasFailure()) {
        for (Partitions& of_pool : partitions) {
          for (int i = 0; i < 10; i++) of_pool[t]->Act();
        }
      }
      for (Partitions& of_pool : partitions) of_pool[t]->LetPinsGo();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (Partitions& of_pool : partitions) {
    for (auto& partition : of_pool) partition->Check();
  }
  for (auto& pool : pools) {
    ExpectSound(*pool);
    ASSERT_OK(pool->Close());
  }
}

}  // namespace
}  // namespace tuff::test
