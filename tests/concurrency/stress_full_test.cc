// A full pool, and the catalogue, under several threads.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "engine/check.h"
#include "engine/pool_impl.h"
#include "tests/concurrency/partition.h"
#include "tests/concurrency/perturber.h"

namespace tuff::test {
namespace {

void ExpectSound(Pool& pool) {
  const CheckReport report = CheckPool(PoolTestPeer::Map(pool), PoolTestPeer::GetCatalogue(pool));
  EXPECT_TRUE(report.problems.empty()) << report.ToString();
}

template <typename Body>
void InThreads(size_t n, const Body& body) {
  std::vector<std::thread> threads;
  for (size_t i = 0; i < n; i++) threads.emplace_back([&, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

// Puts until nothing fits; then every delete of every thread must find room for itself.
TEST(FullPool, CanAlwaysShrink) {
  Perturber perturber(4, kSanitized ? 10 : 0);
  constexpr size_t kThreads = 4;
  const size_t value_bytes = kSanitized ? 4000 : 1000;
  TempDir dir;
  auto pool = Pool::Create(dir.File("pool"), SmallPool());
  ASSERT_OK(pool);
  auto store = (*pool)->CreateStore("store");
  ASSERT_OK(store);
  std::vector<std::unique_ptr<Partition>> partitions;
  for (size_t i = 0; i < kThreads; i++) {
    partitions.push_back(std::make_unique<Partition>(**store, i, 1000000, 1, value_bytes));
  }
  for (int round = 0; round < (kSanitized ? 2 : 4); round++) {
    InThreads(kThreads, [&](size_t t) {
      const uint64_t before = partitions[t]->full();
      while (partitions[t]->full() < before + 20 && !HasFailure()) partitions[t]->Put(true);
    });
    ExpectSound(**pool);
    if (HasFailure()) return;
    InThreads(kThreads, [&](size_t t) { partitions[t]->DeleteSome(partitions[t]->size() / 2); });
    ExpectSound(**pool);
    for (auto& partition : partitions) partition->Check();
    if (HasFailure()) return;
    // What was given back can be had again.
    InThreads(kThreads, [&](size_t t) {
      for (int i = 0; i < 20; i++) partitions[t]->Put();
    });
    if (HasFailure()) return;
  }
  InThreads(kThreads, [&](size_t t) {
    for (int i = 0; i < (kSanitized ? 300 : 3000) && !HasFailure(); i++) {
      partitions[t]->Act(true);
    }
    partitions[t]->LetPinsGo();
  });
  InThreads(kThreads, [&](size_t t) { partitions[t]->DeleteSome(partitions[t]->size()); });
  for (auto& partition : partitions) partition->Check();
  ExpectSound(**pool);
}

TEST(Catalogue, CreateRenameListBesideWrites) {
  Perturber perturber(5, kSanitized ? 10 : 0);
  TempDir dir;
  auto pool = Pool::Create(dir.File("pool"), SmallPool(32 << 20));
  ASSERT_OK(pool);
  constexpr size_t kThreads = 4;
  const size_t stores = kSanitized ? 20 : 60;
  std::vector<std::unique_ptr<Partition>> partitions(kThreads * stores);
  InThreads(kThreads, [&](size_t t) {
    for (size_t i = 0; i < stores; i++) {
      const std::string name = "new" + std::to_string(t) + "." + std::to_string(i);
      auto store = (*pool)->CreateStore(name);
      ASSERT_OK(store);
      auto& partition = partitions[t * stores + i];
      partition = std::make_unique<Partition>(**store, t, 100, i, 100);
      for (int k = 0; k < 50; k++) partition->Act();
      const std::string other = "old" + std::to_string(t) + "." + std::to_string(i);
      EXPECT_OK((*pool)->RenameStore(name, other));
      EXPECT_EQ((*store)->name(), other);
      for (int k = 0; k < 20; k++) partition->Act();
      auto same = (*pool)->OpenStore(other);
      ASSERT_OK(same);
      EXPECT_EQ(*same, *store);
      auto list = (*pool)->ListStores();
      ASSERT_OK(list);
      std::set<uint32_t> ids;
      for (const StoreInfo& info : *list) EXPECT_TRUE(ids.insert(info.object_id).second);
      EXPECT_GE(list->size(), i + 1);
    }
  });
  for (auto& partition : partitions) {
    partition->LetPinsGo();
    partition->Check();
  }
  EXPECT_EQ((*pool)->ListStores()->size(), kThreads * stores);
  ExpectSound(**pool);
}

// All threads want the same name: one makes it, all get the same store.
TEST(Catalogue, OneNameIsMadeOnce) {
  Perturber perturber(6, 3);
  TempDir dir;
  auto pool = Pool::Create(dir.File("pool"), SmallPool(32 << 20));
  ASSERT_OK(pool);
  for (int round = 0; round < 50; round++) {
    const std::string name = "store" + std::to_string(round);
    std::atomic<int> made{0};
    std::array<Store*, 4> got{};
    InThreads(4, [&](size_t t) {
      if (t < 2) {
        auto store = (*pool)->CreateStore(name);
        if (store.ok()) made++;
        EXPECT_TRUE(store.ok() || store.status().code() == Code::kExists);
      }
      auto store = (*pool)->OpenOrCreateStore(name);
      ASSERT_OK(store);
      got[t] = *store;
    });
    EXPECT_LE(made, 1);
    for (Store* store : got) EXPECT_EQ(store, got[0]);
  }
  EXPECT_EQ((*pool)->ListStores()->size(), 50u);
  ExpectSound(**pool);
}

// Two threads move one store to and fro. Every rename that happened says so: moves and moves back
// alternate, and the handle's name is the catalogue's.
TEST(Catalogue, RenamesSayWhatHappened) {
  Perturber perturber(7, 2);
  TempDir dir;
  auto pool = Pool::Create(dir.File("pool"), SmallPool(32 << 20));
  ASSERT_OK(pool);
  auto store = (*pool)->CreateStore("here");
  ASSERT_OK(store);
  std::atomic<int> there{0};
  std::atomic<int> back{0};
  InThreads(4, [&](size_t t) {
    for (int i = 0; i < (kSanitized ? 200 : 2000); i++) {
      const Status s = t % 2 == 0 ? (*pool)->RenameStore("here", "there")
                                  : (*pool)->RenameStore("there", "here");
      if (s.ok()) (t % 2 == 0 ? there : back)++;
      EXPECT_TRUE(s.ok() || s.IsNotFound()) << s.ToString();
    }
  });
  auto list = (*pool)->ListStores();
  ASSERT_OK(list);
  ASSERT_EQ(list->size(), 1u);
  const std::string name = (*list)[0].name;
  EXPECT_EQ((*store)->name(), name);
  EXPECT_EQ(there - back, name == "there" ? 1 : 0);
  ExpectSound(**pool);
}

}  // namespace
}  // namespace tuff::test
