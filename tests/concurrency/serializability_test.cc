// Random transactions, batches and single operations of several threads on few keys of two stores:
// what was committed must be strictly serializable.
//
// Writes are ordered twice, by their numbers and by when they begin to show. Of two under way at
// once on different keys the one with the higher number may show first. Snapshots go by numbers,
// reads of what is newest by what shows: each are serializable with all writes, but somebody who
// puts, then gets, may see an order that a snapshot taken beside both does not have. So there are
// two checks, in which either kind of read is left out.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "tests/concurrency/history.h"
#include "tests/concurrency/perturber.h"
#include "tests/concurrency/serial.h"
#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

constexpr size_t kThreads = 4;
constexpr size_t kOperations = 60;  // of each thread and round
constexpr size_t kKeys = 7;
constexpr size_t kFillers = 160;  // so that the keys lie in several leaves

class World {
 public:
  explicit World(Granularity granularity) : fixture_(SmallPool(128 << 20, granularity)) {
    auto other = fixture_.pool().CreateStore("other");
    EXPECT_OK(other);
    stores_[0] = &fixture_.store();
    stores_[1] = *other;
    for (Store* store : stores_) {
      for (size_t i = 0; i < kFillers; i++) {
        EXPECT_OK(store->Put(fmt::format("{:03}", i), std::string(200, 'f')));
      }
    }
  }
  Pool& pool() { return fixture_.pool(); }
  // Two keys are neighbours, the others far from each other; each round has its own.
  Store& StoreOf(size_t i) { return *stores_[i % 2]; }
  static std::string Key(size_t i, uint64_t round) {
    return fmt::format("{:03}/{:05}", i < 2 ? 40 : i * 25, round * 2 + (i == 0 ? 1 : 0));
  }
  Clock clock;

 private:
  PoolFixture fixture_;
  Store* stores_[2];
};

class Worker {
 public:
  Worker(World& world, uint64_t round, size_t number)
      : world_(world),
        round_(round),
        number_(number),
        random_(round * 100 + number),
        name_(std::string("T") + std::to_string(number)) {}

  void Run() {
    for (size_t i = 0; i < kOperations && !testing::Test::HasFailure(); i++) Act();
  }
  const std::vector<Event>& by_number() const { return by_number_; }
  const std::vector<Event>& by_showing() const { return by_showing_; }
  uint64_t conflicts() const { return conflicts_; }

 private:
  std::string Key(size_t i) const { return World::Key(i, round_); }
  // Two of each kind, so the names tell the stores apart, too.
  static std::string Name(size_t i) { return "k" + std::to_string(i); }

  uint64_t NewVersion() { return (++serial_) * 10 + number_; }
  std::string Text(uint64_t version) {
    std::string text = std::to_string(version) + " ";
    text.resize(text.size() + random_.Below(300), 'v');
    return text;
  }
  static uint64_t VersionIn(const Status& s, std::string_view value) {
    if (!s.IsNotFound()) {
      EXPECT_OK(s);
    }
    return s.ok() ? std::stoull(std::string(value)) : 0;
  }
  enum class Reads { kNewest, kSnapshot, kOfWriter };
  void Note(uint64_t invoked, uint64_t returned, KeyVersions reads, KeyVersions writes, Reads kind,
            const char* what) {
    const Event event{name_ + " " + what, invoked, returned, std::move(reads), std::move(writes)};
    if (kind != Reads::kNewest) by_number_.push_back(event);
    if (kind != Reads::kSnapshot) by_showing_.push_back(event);
  }

  void Act() {
    const size_t i = random_.Below(kKeys);
    const uint64_t dice = random_.Below(100);
    if (dice < 20) {
      Get(i);
    } else if (dice < 32) {
      Put(i);
    } else if (dice < 46) {
      Batch();
    } else if (dice < 54) {
      CompareAndSwap(i);
    } else if (dice < 64) {
      ReadModifyWrite(i);
    } else if (dice < 84) {
      Transact();
    } else if (dice < 90) {
      ReadSnapshot();
    } else if (dice < 95) {
      MultiGet();
    } else {
      Iterate();
    }
  }

  void Get(size_t i) {
    std::string value;
    const uint64_t invoked = world_.clock.Now();
    const Status s = world_.StoreOf(i).Get(Key(i), &value);
    const uint64_t returned = world_.clock.Now();
    Note(invoked, returned, {{Name(i), VersionIn(s, value)}}, {}, Reads::kNewest, "get");
  }

  void Put(size_t i) {
    const uint64_t version = NewVersion();
    const std::string text = Text(version);
    const uint64_t invoked = world_.clock.Now();
    ASSERT_OK(world_.StoreOf(i).Put(Key(i), text));
    Note(invoked, world_.clock.Now(), {}, {{Name(i), version}}, Reads::kOfWriter, "put");
  }

  void Batch() {
    WriteBatch batch;
    KeyVersions writes;
    for (size_t n = 1 + random_.Below(4); n > 0; n--) {
      const size_t i = random_.Below(kKeys);
      const uint64_t version = NewVersion();
      ASSERT_OK(batch.Put(world_.StoreOf(i), Key(i), Text(version)));
      writes[Name(i)] = version;
    }
    const uint64_t invoked = world_.clock.Now();
    ASSERT_OK(world_.pool().Write(batch));
    Note(invoked, world_.clock.Now(), {}, writes, Reads::kOfWriter, "batch");
  }

  void CompareAndSwap(size_t i) {
    std::string value;
    const Status got = world_.StoreOf(i).Get(Key(i), &value);
    const uint64_t expected = VersionIn(got, value);
    const uint64_t version = NewVersion();
    const std::string text = Text(version);
    const uint64_t invoked = world_.clock.Now();
    const Status s = world_.StoreOf(i).CompareAndSwap(
        Key(i), got.ok() ? std::optional<std::string_view>(value) : std::nullopt, text);
    const uint64_t returned = world_.clock.Now();
    if (s.code() == Code::kConflict) {
      conflicts_++;
      return;
    }
    ASSERT_OK(s);
    Note(invoked, returned, {{Name(i), expected}}, {{Name(i), version}}, Reads::kOfWriter,
         "compare-and-swap");
  }

  void ReadModifyWrite(size_t i) {
    uint64_t read = 0;
    uint64_t version = 0;
    const uint64_t invoked = world_.clock.Now();
    ASSERT_OK(world_.StoreOf(i).ReadModifyWrite(Key(i), [&](std::optional<std::string_view> now) {
      read = now ? std::stoull(std::string(*now)) : 0;
      version = NewVersion();
      return std::optional(Text(version));
    }));
    Note(invoked, world_.clock.Now(), {{Name(i), read}}, {{Name(i), version}}, Reads::kOfWriter,
         "modify");
  }

  // Reads what it writes, mostly. One that only reads stands where it began.
  void Transact() {
    const uint64_t invoked = world_.clock.Now();
    auto transaction = world_.pool().BeginTransaction();
    ASSERT_OK(transaction);
    const uint64_t begun = world_.clock.Now();
    KeyVersions reads;
    KeyVersions writes;
    for (size_t n = 1 + random_.Below(4); n > 0; n--) {
      const size_t i = random_.Below(kKeys);
      Store& store = world_.StoreOf(i);
      const bool does_write = random_.OneIn(2);
      if (!does_write || !random_.OneIn(5)) {
        std::string value;
        const Status s = (*transaction)->Get(store, Key(i), &value);
        const uint64_t version = VersionIn(s, value);
        if (writes.contains(Name(i))) {
          EXPECT_EQ(version, writes[Name(i)]);
        } else {
          reads[Name(i)] = version;
        }
      }
      if (does_write) {
        writes[Name(i)] = NewVersion();
        ASSERT_OK((*transaction)->Put(store, Key(i), Text(writes[Name(i)])));
      }
    }
    const Status s = (*transaction)->Commit();
    const uint64_t returned = world_.clock.Now();
    if (s.code() == Code::kConflict) {
      conflicts_++;
      EXPECT_FALSE(writes.empty());
      // What it read was nevertheless one moment.
      Note(invoked, begun, reads, {}, Reads::kSnapshot, "refused transaction");
      return;
    }
    ASSERT_OK(s);
    Note(invoked, writes.empty() ? begun : returned, reads, writes,
         writes.empty() ? Reads::kSnapshot : Reads::kOfWriter, "transaction");
  }

  void ReadSnapshot() {
    const uint64_t invoked = world_.clock.Now();
    auto snapshot = world_.pool().GetSnapshot();
    ASSERT_OK(snapshot);
    const uint64_t returned = world_.clock.Now();
    KeyVersions reads;
    for (size_t i = 0; i < kKeys; i++) {
      std::string value;
      const Status s = world_.StoreOf(i).Get(Key(i), &value, *snapshot);
      reads[Name(i)] = VersionIn(s, value);
    }
    world_.pool().ReleaseSnapshot(*snapshot);
    Note(invoked, returned, reads, {}, Reads::kSnapshot, "snapshot");
  }

  void MultiGet() {
    const size_t which = random_.Below(2);
    std::vector<std::string> keys;
    std::vector<size_t> numbers;
    for (size_t i = which; i < kKeys; i += 2) {
      keys.push_back(Key(i));
      numbers.push_back(i);
    }
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<std::string> values;
    std::vector<Status> statuses;
    const uint64_t invoked = world_.clock.Now();
    world_.StoreOf(which).MultiGet(views, &values, &statuses);
    const uint64_t returned = world_.clock.Now();
    KeyVersions reads;
    for (size_t k = 0; k < keys.size(); k++) {
      reads[Name(numbers[k])] = VersionIn(statuses[k], values[k]);
    }
    Note(invoked, returned, reads, {}, Reads::kSnapshot, "MultiGet");
  }

  void Iterate() {
    const size_t which = random_.Below(2);
    const bool forward = random_.OneIn(2);
    const uint64_t invoked = world_.clock.Now();
    const auto at = world_.StoreOf(which).NewIterator();
    const uint64_t returned = world_.clock.Now();
    KeyVersions reads;
    for (size_t i = which; i < kKeys; i += 2) {
      const std::string key = Key(i);
      forward ? at->Seek(key) : at->SeekForPrev(key);
      const bool there = at->Valid() && at->key() == key;
      EXPECT_OK(at->status());
      reads[Name(i)] = there ? std::stoull(std::string(at->value())) : 0;
    }
    Note(invoked, returned, reads, {}, Reads::kSnapshot, "iterator");
  }

  World& world_;
  const uint64_t round_;
  const size_t number_;
  Random random_;
  const std::string name_;
  uint64_t serial_ = 0;
  uint64_t conflicts_ = 0;
  std::vector<Event> by_number_;
  std::vector<Event> by_showing_;
};

class Serializability : public testing::TestWithParam<Granularity> {};

TEST_P(Serializability, OfRandomHistories) {
  const uint64_t rounds = EnvNumber("TUFF_SERIALIZABILITY_ROUNDS", kSanitized ? 20 : 400);
  World world(GetParam());
  uint64_t operations = 0;
  uint64_t conflicts = 0;
  for (uint64_t round = 1; round <= rounds && !HasFailure(); round++) {
    SCOPED_TRACE("round " + std::to_string(round));
    std::vector<Worker> workers;
    for (size_t i = 0; i < kThreads; i++) workers.emplace_back(world, round, i);
    {
      Perturber perturber(round, 6);
      std::vector<std::thread> threads;
      for (Worker& worker : workers) threads.emplace_back([&] { worker.Run(); });
      for (std::thread& thread : threads) thread.join();
    }
    for (const bool by_number : {true, false}) {
      std::vector<Event> events;
      for (const Worker& worker : workers) {
        const auto& of_worker = by_number ? worker.by_number() : worker.by_showing();
        events.insert(events.end(), of_worker.begin(), of_worker.end());
      }
      operations += events.size();
      const auto problem = FindCycle(events);
      EXPECT_FALSE(problem) << (by_number ? "by number: " : "by showing: ") << *problem;
    }
    for (const Worker& worker : workers) conflicts += worker.conflicts();
  }
  EXPECT_EQ(Problems(world.pool()), "");
  EXPECT_GT(conflicts, rounds);
  std::printf("%llu operations, %llu refused\n", static_cast<unsigned long long>(operations),
              static_cast<unsigned long long>(conflicts));
}

INSTANTIATE_TEST_SUITE_P(All, Serializability,
                         testing::Values(Granularity::kCacheLine, Granularity::kPage),
                         [](const auto& info) {
                           return std::string(info.param == Granularity::kPage ? "page" : "line");
                         });

}  // namespace
}  // namespace tuff::test
