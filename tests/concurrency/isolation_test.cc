// What readers may see of batches and transactions: all of one or nothing, in the order in which
// they happened, and everything that was acknowledged before.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/concurrency/perturber.h"
#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

struct Setting {
  const char* name;
  Granularity granularity;
  size_t value_bytes_max;
};

constexpr size_t kFillers = 120;
constexpr size_t kAccounts = 8;
constexpr uint64_t kBalance = 1000;

std::string Number(uint64_t i, const char* suffix) {
  std::string text = std::to_string(i);
  return "k" + std::string(4 - text.size(), '0') + text + suffix;
}

// Keys that one writer always writes together, all with the same number.
struct Group {
  struct Place {
    Store* store;
    std::string key;
  };
  std::vector<Place> places;
  std::atomic<uint64_t> acknowledged{0};
};

class World {
 public:
  explicit World(const Setting& setting)
      : setting_(setting), fixture_(SmallPool(64 << 20, setting.granularity)) {
    stores_[0] = &fixture_.store();
    auto other = fixture_.pool().CreateStore("other");
    EXPECT_OK(other);
    stores_[1] = *other;
    Random random(1);
    for (Store* store : stores_) {
      for (size_t i = 0; i < kFillers; i++) {
        EXPECT_OK(store->Put(Number(i, ""), std::string(Length(random), 'f')));
      }
    }
    // Two groups that share leaves, one of one leaf, one of one store.
    for (size_t g = 0; g < 2; g++) {
      for (size_t i = 10; i < kFillers; i += 30) {
        groups[g].places.push_back({stores_[0], Number(i, g == 0 ? "g0" : "g1")});
        groups[g].places.push_back({stores_[1], Number(i, g == 0 ? "g0" : "g1")});
      }
    }
    for (const char* suffix : {"x", "y", "z"}) {
      groups[2].places.push_back({stores_[0], Number(55, suffix)});
    }
    for (size_t i = 5; i < kFillers; i += 20) {
      groups[3].places.push_back({stores_[0], Number(i, "g3")});
    }
    for (Group& group : groups) EXPECT_OK(WriteGroup(group, 0, random));
    for (size_t i = 0; i < kAccounts; i++) {
      EXPECT_OK(Account(i).store->Put(Account(i).key, std::to_string(kBalance)));
    }
  }

  Pool& pool() { return fixture_.pool(); }
  Store& store(size_t i) { return *stores_[i]; }
  Group::Place Account(size_t i) { return {stores_[i % 2], Number(i * 14, "account")}; }
  size_t Length(Random& random) const { return random.Below(setting_.value_bytes_max); }

  Status WriteGroup(const Group& group, uint64_t number, Random& random) {
    WriteBatch batch;
    for (const Group::Place& place : group.places) {
      std::string value = std::to_string(number) + " ";
      value.resize(value.size() + Length(random), 'v');
      EXPECT_OK(batch.Put(*place.store, place.key, value));
    }
    return pool().Write(batch);
  }

  Group groups[4];
  std::atomic<bool> stop{false};

 private:
  const Setting& setting_;
  PoolFixture fixture_;
  Store* stores_[2];
};

void WriteBatches(World& world, std::vector<size_t> groups, uint64_t seed) {
  Random random(seed);
  for (uint64_t n = 1; !world.stop; n++) {
    for (const size_t g : groups) {
      ASSERT_OK(world.WriteGroup(world.groups[g], n, random));
      world.groups[g].acknowledged = n;
    }
  }
}

// Neighbours of what is looked at: overwritten, removed, put back.
void WriteSingles(World& world, uint64_t seed) {
  Random random(seed);
  while (!world.stop) {
    Store& store = world.store(random.Below(2));
    const std::string key = Number(random.Below(kFillers), random.OneIn(2) ? "" : "n");
    if (random.OneIn(4)) {
      const Status s = store.Delete(key);
      ASSERT_TRUE(s.ok() || s.IsNotFound()) << s.ToString();
    } else {
      ASSERT_OK(store.Put(key, std::string(world.Length(random), 'f')));
    }
  }
}

void Transfer(World& world, uint64_t seed, std::atomic<uint64_t>* done) {
  Random random(seed);
  while (!world.stop) {
    const Group::Place from = world.Account(random.Below(kAccounts));
    const Group::Place to = world.Account(random.Below(kAccounts));
    if (from.key == to.key) continue;
    auto transaction = world.pool().BeginTransaction();
    ASSERT_OK(transaction);
    std::string text[2];
    ASSERT_OK((*transaction)->Get(*from.store, from.key, &text[0]));
    ASSERT_OK((*transaction)->Get(*to.store, to.key, &text[1]));
    const uint64_t amount = random.Below(std::stoull(text[0]) + 1);
    ASSERT_OK(
        (*transaction)->Put(*from.store, from.key, std::to_string(std::stoull(text[0]) - amount)));
    ASSERT_OK(
        (*transaction)->Put(*to.store, to.key, std::to_string(std::stoull(text[1]) + amount)));
    const Status s = (*transaction)->Commit();
    ASSERT_TRUE(s.ok() || s.code() == Code::kConflict) << s.ToString();
    if (s.ok()) ++*done;
  }
}

class Reader {
 public:
  Reader(World& world, uint64_t seed) : world_(world), random_(seed) {}

  void Run() {
    while (!world_.stop && !testing::Test::HasFailure()) {
      const size_t g = random_.Below(std::size(world_.groups));
      switch (random_.Below(6)) {
        case 0:
        case 1:
          ReadSnapshot();
          break;
        case 2:
          Iterate(world_.groups[2 + g % 2], 2 + g % 2);  // those of one store
          break;
        case 3:
          MultiGet(world_.groups[2 + g % 2], 2 + g % 2);
          break;
        case 4:
          ReadNewest(world_.groups[g], g);
          break;
        case 5:
          ReadInTransaction(world_.groups[g], g);
          break;
      }
      reads_++;
    }
  }
  uint64_t reads() const { return reads_; }

 private:
  static uint64_t NumberIn(std::string_view value) { return std::stoull(std::string(value)); }

  uint64_t Get(const Group::Place& place, const Snapshot* snapshot) {
    if (random_.OneIn(3)) {
      const auto pinned = place.store->GetPinned(place.key, snapshot);
      EXPECT_OK(pinned);
      return pinned.ok() ? NumberIn(pinned->view()) : 0;
    }
    std::string value;
    const Status s = place.store->Get(place.key, &value, snapshot);
    EXPECT_OK(s);
    return s.ok() ? NumberIn(value) : 0;
  }

  // Not older than what was acknowledged before, nor than what this reader has seen.
  void Note(size_t g, uint64_t number, uint64_t acknowledged_before, const char* how) {
    EXPECT_GE(number, acknowledged_before) << how << ", group " << g;
    EXPECT_GE(number, seen_[g]) << how << ", group " << g;
    seen_[g] = std::max(seen_[g], number);
  }

  void ReadSnapshot() {
    uint64_t acknowledged[4];
    for (size_t g = 0; g < 4; g++) acknowledged[g] = world_.groups[g].acknowledged;
    auto snapshot = world_.pool().GetSnapshot();
    ASSERT_OK(snapshot);
    uint64_t first[4] = {};
    for (int times = 0; times < 2; times++) {
      for (size_t g = 0; g < 4; g++) {
        const auto& places = world_.groups[g].places;
        const size_t start = random_.Below(places.size());
        const uint64_t number = Get(places[start], *snapshot);
        if (times == 0) {
          first[g] = number;
          Note(g, number, acknowledged[g], "snapshot");
        }
        EXPECT_EQ(number, first[g]) << "snapshot, group " << g << ", look " << times;
        for (size_t i = 1; i < places.size(); i++) {
          EXPECT_EQ(Get(places[(start + i) % places.size()], *snapshot), number)
              << "torn in snapshot " << (*snapshot)->sequence() << ", group " << g;
        }
      }
      uint64_t sum = 0;
      for (size_t i = 0; i < kAccounts; i++) sum += Get(world_.Account(i), *snapshot);
      EXPECT_EQ(sum, kAccounts * kBalance);
    }
    // Both stores' iterators, one each way, on the one moment.
    if (random_.OneIn(3)) {
      const bool forward = random_.OneIn(2);
      const uint64_t sum = SumOf(0, *snapshot, forward) + SumOf(1, *snapshot, !forward);
      EXPECT_EQ(sum, kAccounts * kBalance);
    }
    world_.pool().ReleaseSnapshot(*snapshot);
  }

  template <typename Use>
  void Walk(Store& store, const Snapshot* snapshot, bool forward, const Use& use) {
    ReadOptions options;
    options.snapshot = snapshot;
    const auto at = store.NewIterator(options);
    for (forward ? at->SeekToFirst() : at->SeekToLast(); at->Valid();
         forward ? at->Next() : at->Prev()) {
      use(at->key(), at->value());
    }
    EXPECT_OK(at->status());
  }

  uint64_t SumOf(size_t which, const Snapshot* snapshot, bool forward) {
    uint64_t sum = 0;
    Walk(world_.store(which), snapshot, forward, [&](std::string_view key, std::string_view value) {
      if (key.ends_with("account")) sum += NumberIn(value);
    });
    return sum;
  }

  void Iterate(const Group& group, size_t g) {
    const uint64_t acknowledged = group.acknowledged;
    std::vector<uint64_t> numbers;
    Walk(*group.places[0].store, nullptr, random_.OneIn(2),
         [&](std::string_view key, std::string_view value) {
           for (const Group::Place& place : group.places) {
             if (key == place.key) numbers.push_back(NumberIn(value));
           }
         });
    ASSERT_EQ(numbers.size(), group.places.size());
    Note(g, numbers[0], acknowledged, "iterator");
    for (const uint64_t number : numbers) EXPECT_EQ(number, numbers[0]) << "iterator, group " << g;
  }

  void MultiGet(const Group& group, size_t g) {
    const uint64_t acknowledged = group.acknowledged;
    std::vector<std::string_view> keys;
    for (const Group::Place& place : group.places) keys.push_back(place.key);
    std::vector<std::string> values;
    std::vector<Status> statuses;
    group.places[0].store->MultiGet(keys, &values, &statuses);
    for (size_t i = 0; i < keys.size(); i++) {
      ASSERT_OK(statuses[i]);
      if (i == 0) Note(g, NumberIn(values[0]), acknowledged, "MultiGet");
      EXPECT_EQ(NumberIn(values[i]), NumberIn(values[0])) << "MultiGet, group " << g;
    }
  }

  void ReadNewest(const Group& group, size_t g) {
    const size_t start = random_.Below(group.places.size());
    for (size_t i = 0; i < group.places.size(); i++) {
      const uint64_t acknowledged = group.acknowledged;
      Note(g, Get(group.places[(start + i) % group.places.size()], nullptr), acknowledged, "get");
    }
  }

  void ReadInTransaction(const Group& group, size_t g) {
    const uint64_t acknowledged = group.acknowledged;
    auto transaction = world_.pool().BeginTransaction();
    ASSERT_OK(transaction);
    for (size_t i = 0; i < group.places.size(); i++) {
      std::string value;
      ASSERT_OK((*transaction)->Get(*group.places[i].store, group.places[i].key, &value));
      if (i == 0) Note(g, NumberIn(value), acknowledged, "transaction");
      EXPECT_EQ(NumberIn(value), seen_[g]) << "transaction, group " << g;
    }
    EXPECT_OK((*transaction)->Commit());
  }

  World& world_;
  Random random_;
  uint64_t seen_[4] = {};
  uint64_t reads_ = 0;
};

class Isolation : public testing::TestWithParam<Setting> {};

TEST_P(Isolation, OfSnapshotsIteratorsAndSingleReads) {
  World world(GetParam());
  Perturber perturber(3, kSanitized ? 20 : 40);
  std::atomic<uint64_t> transfers{0};
  Reader readers[] = {Reader(world, 1), Reader(world, 2), Reader(world, 3)};
  std::vector<std::thread> threads;
  threads.emplace_back([&] { WriteBatches(world, {0, 2}, 11); });
  threads.emplace_back([&] { WriteBatches(world, {1, 3}, 12); });
  threads.emplace_back([&] { WriteSingles(world, 13); });
  threads.emplace_back([&] { Transfer(world, 14, &transfers); });
  threads.emplace_back([&] { Transfer(world, 15, &transfers); });
  for (Reader& reader : readers) threads.emplace_back([&] { reader.Run(); });
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::milliseconds(EnvNumber("TUFF_STRESS_MS", 2500));
  while (std::chrono::steady_clock::now() < deadline && !HasFailure()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  world.stop = true;
  for (std::thread& thread : threads) thread.join();
  uint64_t reads = 0;
  for (const Reader& reader : readers) reads += reader.reads();
  EXPECT_GT(transfers, 0u);
  EXPECT_GT(reads, 0u);
  const Statistics s = world.pool().GetStatistics();
  EXPECT_EQ(s.snapshots, 0u);
  EXPECT_EQ(s.versions_retained, 0u);
  EXPECT_GT(s.consolidations + s.splits, 0u);
  EXPECT_EQ(Problems(world.pool()), "");
  std::printf("%llu reads, %llu batches, %llu puts, %llu transfers, %llu conflicts\n",
              static_cast<unsigned long long>(reads), static_cast<unsigned long long>(s.batches),
              static_cast<unsigned long long>(s.puts),
              static_cast<unsigned long long>(transfers.load()),
              static_cast<unsigned long long>(s.conflicts));
}

INSTANTIATE_TEST_SUITE_P(All, Isolation,
                         testing::Values(Setting{"small", Granularity::kCacheLine, 60},
                                         Setting{"large", Granularity::kCacheLine, 600},
                                         Setting{"page", Granularity::kPage, 200}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace tuff::test
