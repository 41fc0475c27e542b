// Snapshots, batches, transactions, bulk loads and dropped stores, beside everything else.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "tests/concurrency/partition.h"
#include "tests/concurrency/perturber.h"
#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

std::chrono::steady_clock::time_point Deadline() {
  const uint64_t ms = EnvNumber("TUFF_STRESS_MS", 1500);
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
}

bool Before(std::chrono::steady_clock::time_point deadline) {
  return std::chrono::steady_clock::now() < deadline && !testing::Test::HasFailure();
}

template <typename Body>
void InThreads(size_t n, const Body& body) {
  std::vector<std::thread> threads;
  for (size_t i = 0; i < n; i++) threads.emplace_back([&, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

std::string Key(uint64_t i) { return fmt::format("key{:05}", i); }

// Closed at once, with nothing in between.
void CloseSoon(PoolFixture& fixture) {
  EXPECT_EQ(Problems(fixture.pool()), "");
  EXPECT_EQ(fixture.pool().GetStatistics().versions_retained, 0u);
  fixture.Close();
}

// Four at a time come and go while two threads write everything again and again.
TEST(StressMore, SnapshotsBesideOverwrites) {
  Perturber perturber(21, kSanitized ? 15 : 0);
  PoolFixture fixture(SmallPool(64 << 20));
  constexpr uint64_t kKeys = 300;
  for (uint64_t i = 0; i < kKeys; i++) ASSERT_OK(fixture.store().Put(Key(i), "0"));
  const auto deadline = Deadline();
  InThreads(5, [&](size_t t) {
    Random random(t);
    if (t < 2) {
      for (uint64_t n = 1; Before(deadline); n++) {
        for (uint64_t i = t; i < kKeys; i += 2) {
          std::string value = std::to_string(n) + " ";
          value.resize(value.size() + random.Below(400), 'v');
          ASSERT_OK(fixture.store().Put(Key(i), value));
        }
      }
      return;
    }
    std::vector<std::pair<const Snapshot*, std::unique_ptr<Iterator>>> held;
    while (Before(deadline)) {
      auto snapshot = fixture.pool().GetSnapshot();
      ASSERT_OK(snapshot);
      ReadOptions options;
      options.snapshot = *snapshot;
      held.emplace_back(*snapshot, fixture.store().NewIterator(options));
      held.back().second->Seek(Key(random.Below(kKeys)));
      const size_t i = random.Below(held.size());
      // A writer goes through its keys in order: what it wrote in one round falls along the way.
      std::string value;
      uint64_t last[2] = {~0ull, ~0ull};
      for (uint64_t k = random.Below(kKeys - 40), end = k + 40; k < end; k++) {
        ASSERT_OK(fixture.store().Get(Key(k), &value, held[i].first));
        const uint64_t number = std::stoull(value);
        EXPECT_LE(number, last[k % 2]);
        last[k % 2] = number;
      }
      for (int k = 0; k < 20 && held[i].second->Valid(); k++) held[i].second->Next();
      EXPECT_OK(held[i].second->status());
      if (held.size() < 3) continue;
      const size_t gone = random.Below(held.size());
      fixture.pool().ReleaseSnapshot(held[gone].first);
      held.erase(held.begin() + static_cast<ptrdiff_t>(gone));
    }
    for (auto& [snapshot, iterator] : held) fixture.pool().ReleaseSnapshot(snapshot);
  });
  CloseSoon(fixture);
}

// Each thread adds its keys in another order, over the same leaves of two stores; single writes
// and deletes split and merge these meanwhile.
TEST(StressMore, BatchesInOppositeOrders) {
  Perturber perturber(22, kSanitized ? 15 : 0);
  PoolFixture fixture(SmallPool(64 << 20));
  auto other = fixture.pool().CreateStore("other");
  ASSERT_OK(other);
  Store* const stores[] = {&fixture.store(), *other};
  constexpr uint64_t kKeys = 400;
  const auto deadline = Deadline();
  InThreads(4, [&](size_t t) {
    Random random(t + 100);
    while (Before(deadline)) {
      WriteBatch batch;
      const bool deletes = random.OneIn(3);
      const size_t n = 1 + random.Below(60);
      for (size_t i = 0; i < n; i++) {
        const uint64_t at = t % 2 == 0 ? i : n - 1 - i;
        Store& store = *stores[(t / 2 + i) % 2];
        const std::string key = Key(at * kKeys / n + random.Below(5));
        if (deletes) {
          ASSERT_OK(batch.Delete(store, key));
        } else {
          ASSERT_OK(batch.Put(store, key, std::string(random.Below(500), 'b')));
        }
      }
      ASSERT_OK(fixture.pool().Write(batch));
      for (int i = 0; i < 10; i++) {
        Store& store = *stores[random.Below(2)];
        const std::string key = Key(random.Below(kKeys)) + "s";
        const Status s =
            random.OneIn(2) ? store.Delete(key) : store.Put(key, std::string(300, 's'));
        ASSERT_TRUE(s.ok() || s.IsNotFound()) << s.ToString();
      }
      if (random.OneIn(20)) {
        const uint64_t from = random.Below(kKeys);
        ASSERT_OK(stores[0]->DeleteRange(Key(from), Key(from + 60)));
      }
    }
  });
  const Statistics s = fixture.pool().GetStatistics();
  EXPECT_GT(s.splits, 0u);
  EXPECT_GT(s.merges, 0u);
  CloseSoon(fixture);
}

// A few counters, which everybody increments in several ways: none is lost.
TEST(StressMore, IncrementsUnderContention) {
  Perturber perturber(23, kSanitized ? 15 : 0);
  PoolFixture fixture(SmallPool(32 << 20));
  constexpr uint64_t kCounters = 6;
  std::atomic<uint64_t> expected[kCounters] = {};
  const auto number_of = [](std::string_view text) {
    return text.empty() ? 0 : std::stoull(std::string(text));
  };
  const auto deadline = Deadline();
  InThreads(4, [&](size_t t) {
    Random random(t + 200);
    Store& store = fixture.store();
    while (Before(deadline)) {
      const uint64_t a = random.Below(kCounters);
      const uint64_t b = (a + 1 + random.Below(kCounters - 1)) % kCounters;
      std::string text;
      switch (random.Below(3)) {
        case 0: {
          auto transaction = fixture.pool().BeginTransaction();
          ASSERT_OK(transaction);
          for (const uint64_t i : {a, b}) {
            text.clear();
            (void)(*transaction)->Get(store, Key(i), &text);
            ASSERT_OK((*transaction)->Put(store, Key(i), std::to_string(number_of(text) + 1)));
          }
          const Status s = (*transaction)->Commit();
          ASSERT_TRUE(s.ok() || s.code() == Code::kConflict) << s.ToString();
          if (s.ok()) expected[a]++, expected[b]++;
          break;
        }
        case 1: {
          const bool there = store.Get(Key(a), &text).ok();
          const Status s = store.CompareAndSwap(
              Key(a), there ? std::optional<std::string_view>(text) : std::nullopt,
              std::to_string(number_of(there ? text : "") + 1));
          ASSERT_TRUE(s.ok() || s.code() == Code::kConflict) << s.ToString();
          if (s.ok()) expected[a]++;
          break;
        }
        default:
          ASSERT_OK(store.ReadModifyWrite(Key(a), [&](std::optional<std::string_view> now) {
            return std::optional(std::to_string(number_of(now.value_or("")) + 1));
          }));
          expected[a]++;
      }
    }
  });
  for (uint64_t i = 0; i < kCounters; i++) {
    std::string text;
    EXPECT_OK(fixture.store().Get(Key(i), &text));
    EXPECT_EQ(number_of(text), expected[i]);
  }
  CloseSoon(fixture);
}

// Loads into stores of their own beside writers of another one. Each is finished by two threads at
// once, of which one must be told that it comes too late.
TEST(StressMore, BulkLoadsBesideWriters) {
  Perturber perturber(24, kSanitized ? 15 : 0);
  PoolFixture fixture(SmallPool(128 << 20));
  const auto deadline = Deadline();
  std::atomic<uint64_t> loads{0};
  Partition partitions[] = {Partition(fixture.store(), 0, 300, 1),
                            Partition(fixture.store(), 1, 300, 1)};
  InThreads(4, [&](size_t t) {
    if (t < 2) {
      while (Before(deadline)) partitions[t].Act();
      partitions[t].LetPinsGo();
      return;
    }
    Random random(t + 300);
    const std::string name = "loaded" + std::to_string(t);
    while (Before(deadline)) {
      auto store = fixture.pool().CreateStore(name);
      ASSERT_OK(store);
      std::unique_ptr<BulkLoader> loaders[2];
      const uint64_t n = 1 + random.Below(600);
      for (size_t i = 0; i < 2; i++) {
        auto loader = (*store)->NewBulkLoader();
        ASSERT_OK(loader);
        loaders[i] = std::move(*loader);
        for (uint64_t k = 0; k < n + i; k++) {
          ASSERT_OK(loaders[i]->Add(Key(k), "of loader " + std::to_string(i)));
        }
      }
      if (random.OneIn(5)) loaders[1].reset();  // given up
      std::atomic<bool> put{false};
      Status finished[2] = {Status(Code::kConflict, ""), Status(Code::kConflict, "")};
      InThreads(3, [&](size_t i) {
        if (i < 2) {
          if (loaders[i] != nullptr) finished[i] = loaders[i]->Finish();
        } else if (n % 2 == 0) {
          EXPECT_OK((*store)->Put("put", "meanwhile"));
          put = true;
        } else {
          EXPECT_CODE(fixture.pool().DropStore(name), Code::kBusy);
        }
      });
      EXPECT_LE(finished[0].ok() + finished[1].ok(), 1);
      for (size_t i = 0; i < 2; i++) {
        EXPECT_TRUE(finished[i].ok() || finished[i].code() == Code::kConflict)
            << finished[i].ToString();
      }
      uint64_t records = 0;
      {
        const auto at = (*store)->NewIterator();
        for (at->SeekToFirst(); at->Valid(); at->Next()) records++;
        EXPECT_OK(at->status());
      }
      const uint64_t loaded = finished[0].ok() ? n : finished[1].ok() ? n + 1 : 0;
      EXPECT_EQ(records, loaded + (put ? 1 : 0));
      for (auto& loader : loaders) loader.reset();
      ASSERT_OK(fixture.pool().DropStore(name));
      loads++;
    }
  });
  for (Partition& partition : partitions) partition.Check();
  EXPECT_GT(loads, 0u);
  CloseSoon(fixture);
}

// Its readers and writers are told NotFound from some moment on; nothing else happens to them.
TEST(StressMore, DropStoreBesideItsUsers) {
  Perturber perturber(25, kSanitized ? 15 : 0);
  PoolFixture fixture(SmallPool(64 << 20));
  Store& stays = fixture.store();
  const auto deadline = Deadline();
  for (int round = 0; Before(deadline); round++) {
    auto made = fixture.pool().CreateStore("goes");
    ASSERT_OK(made);
    Store& store = **made;
    for (uint64_t i = 0; i < 200; i++) ASSERT_OK(store.Put(Key(i), std::string(200, 'v')));
    std::atomic<bool> dropped{false};
    const auto check = [&](const Status& s, bool was_dropped) {
      EXPECT_TRUE(s.ok() || s.IsNotFound()) << s.ToString();
      if (was_dropped) {
        EXPECT_TRUE(s.IsNotFound()) << s.ToString();
      }
    };
    InThreads(6, [&](size_t t) {
      Random random(static_cast<uint64_t>(round) * 10 + t);
      if (t == 0) {
        for (uint64_t i = random.Below(300); i > 0; i--) ASSERT_OK(stays.Put(Key(i), "stays"));
        Status s;
        do {
          s = fixture.pool().DropStore("goes");
        } while (s.code() == Code::kBusy);
        EXPECT_OK(s);
        dropped = true;
        return;
      }
      int after = 0;
      while (after < 3 && !testing::Test::HasFailure()) {
        const bool was_dropped = dropped;
        if (was_dropped) after++;
        std::string value;
        const std::string key = Key(random.Below(200));
        switch (t) {
          case 1:
            check(store.Get(key, &value), was_dropped);
            check(store.GetPinned(key).status(), was_dropped);
            break;
          case 2:
            check(random.OneIn(3) ? store.Delete(key) : store.Put(key, std::string(300, 'w')),
                  was_dropped);
            break;
          case 3: {
            WriteBatch batch;
            for (uint64_t i = 0; i < 20; i++) {
              EXPECT_OK(batch.Put(i % 2 == 0 ? store : stays, Key(random.Below(200)), "batch"));
            }
            check(fixture.pool().Write(batch), was_dropped);
            break;
          }
          case 4: {
            auto transaction = fixture.pool().BeginTransaction();
            ASSERT_OK(transaction);
            (void)(*transaction)->Get(store, key, &value);
            EXPECT_OK((*transaction)->Put(store, key, "transaction"));
            const Status s = (*transaction)->Commit();
            if (s.code() != Code::kConflict) check(s, was_dropped);
            break;
          }
          default: {
            if (random.OneIn(2)) std::this_thread::yield();
            const auto at = store.NewIterator();
            for (at->Seek(key); at->Valid(); at->Next()) {
            }
            check(at->status(), was_dropped);
          }
        }
        std::this_thread::yield();  // the one that drops must find a moment without iterators
      }
    });
  }
  EXPECT_OK(fixture.pool().WaitForBackgroundWork());
  CloseSoon(fixture);
}

// Batches that do not fit are refused whole; then deletes by batches make room again.
TEST(StressMore, BatchesInAFullPool) {
  Perturber perturber(26, kSanitized ? 15 : 0);
  PoolFixture fixture;
  constexpr size_t kThreads = 3;
  std::vector<uint64_t> written(kThreads);
  const size_t value_bytes = kSanitized ? 12000 : 700;
  for (int round = 0; round < (kSanitized ? 1 : 2); round++) {
    InThreads(kThreads, [&](size_t t) {
      Store& store = fixture.store();
      const auto key = [&](uint64_t i, size_t k) { return fmt::format("{}-{:06}-{}", k, i, t); };
      constexpr size_t kOfBatch = 5;  // far from each other
      for (int refused = 0; refused < 10 && !testing::Test::HasFailure();) {
        WriteBatch batch;
        for (size_t k = 0; k < kOfBatch; k++) {
          ASSERT_OK(batch.Put(store, key(written[t], k), std::string(value_bytes, 'v')));
        }
        const Status s = fixture.pool().Write(batch);
        if (s.ok()) {
          written[t]++;
          continue;
        }
        ASSERT_EQ(s.code(), Code::kNoSpace) << s.ToString();
        refused++;
        std::string value;
        for (size_t k = 0; k < kOfBatch; k++) {
          EXPECT_TRUE(store.Get(key(written[t], k), &value).IsNotFound());
        }
      }
      std::string value;
      for (uint64_t i = 0; i < written[t]; i++) {
        for (size_t k = 0; k < kOfBatch; k++) ASSERT_OK(store.Get(key(i, k), &value));
      }
      for (; written[t] > 0 && !testing::Test::HasFailure(); written[t]--) {
        for (size_t k = 0; k < kOfBatch; k++) ASSERT_OK(store.Delete(key(written[t] - 1, k)));
      }
    });
    if (testing::Test::HasFailure()) return;
  }
  CloseSoon(fixture);
}

}  // namespace
}  // namespace tuff::test
