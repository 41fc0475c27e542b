// A writer of several threads is killed at random moments, again and again on the same pool: what
// it was told is written is there, what was under way is there or not, what was written one after
// the other has no holes, and nothing leaks.
//
// Whoever uses a pool is a process of its own, forked from this one, which uses none.
//
//   TUFF_KILLS=n        kills on each medium
//   TUFF_CRASH_SEED=n   other operations and moments
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <optional>
#include <thread>
#include <utility>

#include "tests/crash/isolate.h"
#include "tests/crash/oracle.h"

namespace tuff::test {
namespace {

constexpr uint64_t kPoolBytes = 64ull << 20;
constexpr double kKillMicrosecondsMin = 200;
constexpr double kKillMicrosecondsMax = 30000;
constexpr double kKillMicrosecondsMaxPage = 60000;  // where a sync takes a millisecond
constexpr uint64_t kKills = 800;
constexpr uint64_t kKillsUnderPage = 400;
constexpr int kLiesMax = 20;  // kills until a lying writer must have been found out

OpenOptions OpenAs(Granularity granularity) {
  OpenOptions options = Writable();
  options.force_granularity = granularity;
  return options;
}

// One thread of the writer.
class Writer {
 public:
  /// A liar takes for acknowledged what it has yet to write.
  Writer(Pool* pool, Store* store, Oracle* oracle, unsigned thread, uint64_t seed, bool lies)
      : pool_(*pool),
        store_(*store),
        oracle_(*oracle),
        thread_(thread),
        lies_(lies),
        random_(seed * Oracle::kThreads + thread) {}

  /// Never ends, unless something fails.
  void WriteForever() {
    for (;;) {
      const uint64_t what = random_.Below(128);
      Status s = what < 12   ? PutBatch(what < 3)
                 : what < 18 ? StepBulk()
                 : what < 50 ? StepSequence()
                             : WriteKey(what < 64);
      if (s.ok()) s = LookBack();
      if (s.ok()) continue;
      fmt::print(stderr, "writer: {}\n", s.ToString());
      _exit(4);
    }
  }

 private:
  // Makes the next version of something by write(version).
  template <typename Write>
  Status Next(Oracle::Slot& slot, const Write& write) {
    const uint64_t version = slot.acknowledged.load() + 1;
    slot.intended.store(version);
    if (lies_) slot.acknowledged.store(version);
    if (Status s = write(version); !s.ok()) return s;
    slot.acknowledged.store(version);
    oracle_.operations().fetch_add(1);
    return Status();
  }

  std::optional<std::string> ValueOf(unsigned key, uint64_t version) const {
    if (Oracle::IsGone(thread_, key, version)) return std::nullopt;
    return Oracle::Value(thread_, key, version);
  }

  Status WriteKey(bool by_swapping) {
    const auto key = static_cast<unsigned>(random_.Below(Oracle::kKeys));
    const std::string name = Oracle::Key(thread_, key);
    return Next(oracle_.At(thread_, key), [&](uint64_t version) {
      const auto value = ValueOf(key, version);
      if (by_swapping) return store_.CompareAndSwap(name, ValueOf(key, version - 1), value);
      if (value) return store_.Put(name, *value);
      Status s = store_.Delete(name);
      return s.IsNotFound() && Oracle::IsGone(thread_, key, version - 1) ? Status() : std::move(s);
    });
  }

  // What the last batch has written is read by a transaction.
  Status ReadBatch(Transaction& transaction, uint64_t version) {
    for (const auto& [name, expected] : Oracle::BatchRecords(thread_, version)) {
      auto store = pool_.OpenStore(name.first);
      if (!store.ok()) return store.TakeStatus();
      std::string value;
      Status s = transaction.Get(**store, name.second, &value);
      if (!s.ok() && !s.IsNotFound()) return s;
      if (s.ok() != expected.has_value() || (s.ok() && value != *expected)) {
        return Status(Code::kCorruption, name.second + " is not what the last batch wrote");
      }
    }
    return Status();
  }

  template <typename To>
  Status Collect(uint64_t version, To* to) {
    for (const auto& [name, value] : Oracle::BatchRecords(thread_, version)) {
      auto store = pool_.OpenStore(name.first);
      if (!store.ok()) return store.TakeStatus();
      Status s = value ? to->Put(**store, name.second, *value) : to->Delete(**store, name.second);
      if (!s.ok()) return s;
    }
    return Status();
  }

  Status PutBatch(bool by_transaction) {
    return Next(oracle_.BatchAt(thread_), [&](uint64_t version) -> Status {
      if (!by_transaction) {
        WriteBatch batch;
        if (Status s = Collect(version, &batch); !s.ok()) return s;
        return pool_.Write(batch);
      }
      auto transaction = pool_.BeginTransaction();
      if (!transaction.ok()) return transaction.TakeStatus();
      if (Status s = ReadBatch(**transaction, version - 1); !s.ok()) return s;
      if (Status s = Collect(version, transaction->get()); !s.ok()) return s;
      return (*transaction)->Commit();
    });
  }

  Status Load(uint64_t version, bool give_up) {
    auto store = pool_.OpenStore(Oracle::BulkStore(thread_));
    if (!store.ok()) return store.TakeStatus();
    auto loader = (*store)->NewBulkLoader();
    if (!loader.ok()) return loader.TakeStatus();
    for (unsigned i = 0; i < Oracle::kBulkRecords; i++) {
      Status s = (*loader)->Add(Oracle::BulkKey(i), Oracle::BulkValue(i, version));
      if (!s.ok()) return s;
    }
    return give_up ? Status() : (*loader)->Finish();
  }

  Status StepBulk() {
    return Next(oracle_.BulkAt(thread_), [&](uint64_t version) -> Status {
      const std::string name = Oracle::BulkStore(thread_);
      switch (Oracle::BulkState(version)) {
        case Oracle::Bulk::kAbsent:
          return pool_.DropStore(name);
        case Oracle::Bulk::kEmpty:
          return pool_.CreateStore(name).status();
        case Oracle::Bulk::kFull:
          break;
      }
      if (random_.OneIn(4)) {
        if (Status s = Load(version, true); !s.ok()) return s;
      }
      return Load(version, false);
    });
  }

  Status StepSequence() {
    return Next(oracle_.SequenceAt(thread_), [&](uint64_t version) -> Status {
      const std::string name = Oracle::SequenceStore(thread_);
      const unsigned step = Oracle::SequenceStep(version);
      if (step == 0) return pool_.DropStore(name);
      auto store = pool_.OpenOrCreateStore(name);
      if (!store.ok() || step == 1) return store.TakeStatus();
      const std::string key = Oracle::SequenceKey(step - 2);
      return (*store)->Put(key, key);
    });
  }

  // Now and then a snapshot is held for a while, and shows what was there when it was taken.
  Status LookBack() {
    if (snapshot_ == nullptr) {
      if (!random_.OneIn(64)) return Status();
      auto taken = pool_.GetSnapshot();
      if (!taken.ok()) return taken.TakeStatus();
      snapshot_ = *taken;
      seen_key_ = static_cast<unsigned>(random_.Below(Oracle::kKeys));
      seen_version_ = oracle_.At(thread_, seen_key_).acknowledged.load();
      return Status();
    }
    if (!random_.OneIn(64)) return Status();
    std::string value;
    Status s = store_.Get(Oracle::Key(thread_, seen_key_), &value, snapshot_);
    pool_.ReleaseSnapshot(std::exchange(snapshot_, nullptr));
    if (!s.ok() && !s.IsNotFound()) return s;
    if ((s.ok() ? std::optional(value) : std::nullopt) == ValueOf(seen_key_, seen_version_)) {
      return Status();
    }
    return Status(Code::kCorruption, "a snapshot shows something else than was there");
  }

  Pool& pool_;
  Store& store_;
  Oracle& oracle_;
  const unsigned thread_;
  const bool lies_;
  Random random_;
  const Snapshot* snapshot_ = nullptr;
  unsigned seen_key_ = 0;
  uint64_t seen_version_ = 0;
};

void CountRecovered(Pool& pool, Oracle* oracle) {
  const Statistics statistics = pool.GetStatistics();
  oracle->recovered().lanes += statistics.lanes_recovered;
  oracle->recovered().batches += statistics.batches_replayed;
}

struct WriterOptions {
  std::string pool_path;
  Granularity granularity;
  uint64_t seed;
  bool settles;  // nobody has looked at what the last one has left
  bool lies;
};

// The process that is killed. Writes a byte to `report_fd` once it writes to the pool.
[[noreturn]] void RunWriter(const WriterOptions& options, Oracle* oracle, int report_fd) {
  auto pool = Pool::Open(options.pool_path, OpenAs(options.granularity));
  std::string wrong = pool.ok() ? "" : pool.status().ToString();
  if (wrong.empty()) CountRecovered(**pool, oracle);
  if (wrong.empty() && options.settles) wrong = oracle->Settle(**pool);
  std::vector<Store*> stores;  // all there before anybody writes to several
  for (unsigned thread = 0; thread < Oracle::kThreads && wrong.empty(); thread++) {
    auto store = (*pool)->OpenOrCreateStore(Oracle::StoreName(thread));
    if (store.ok()) {
      stores.push_back(*store);
    } else {
      wrong = store.status().ToString();
    }
  }
  if (!wrong.empty()) {
    fmt::print(stderr, "writer: {}\n", wrong);
    _exit(3);
  }
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < Oracle::kThreads; thread++) {
    threads.emplace_back([=, &pool, &stores, &options] {
      Writer(pool->get(), stores[thread], oracle, thread, options.seed, options.lies)
          .WriteForever();
    });
  }
  if (write(report_fd, "w", 1) != 1) _exit(5);
  for (std::thread& thread : threads) thread.join();
  _exit(6);
}

class SigkillTest : public ::testing::TestWithParam<Granularity> {
 protected:
  // PAGE on an ordinary file system, CACHE_LINE where memory is.
  SigkillTest()
      : dir_(GetParam() == Granularity::kPage ? PageRoot() : "/dev/shm"),
        pool_path_(dir_.File("pool")),
        oracle_path_(dir_.File("oracle")),
        seed_(EnvNumber("TUFF_CRASH_SEED", 1)),
        trace_(__FILE__, __LINE__, fmt::format("TUFF_CRASH_SEED={}", seed_)),
        random_(seed_ * 2 + static_cast<uint64_t>(GetParam())) {}

  void SetUp() override {
    const std::string wrong = Alone([&] {
      CreateOptions create;
      create.size_bytes = kPoolBytes;
      create.open = OpenAs(GetParam());
      auto pool = Pool::Create(pool_path_, create);
      return pool.ok() ? (*pool)->Close().ToString() : pool.status().ToString();
    });
    ASSERT_EQ(wrong, "ok");
  }

  // In a process of its own.
  static std::string Alone(const std::function<std::string()>& body) {
    const Isolated result = RunIsolated(body);
    return result.output + result.death;
  }

  static std::string PageRoot() {
    const char* const from_env = std::getenv("TMPDIR");
    return from_env != nullptr && *from_env != '\0' ? from_env : "/tmp";
  }

  // Short and long ones alike.
  useconds_t RandomDelay() {
    const double max =
        GetParam() == Granularity::kPage ? kKillMicrosecondsMaxPage : kKillMicrosecondsMax;
    const double part = static_cast<double>(random_.Below(1 << 20)) / (1 << 20);
    return static_cast<useconds_t>(kKillMicrosecondsMin *
                                   std::pow(max / kKillMicrosecondsMin, part));
  }

  // Starts a writer and kills it; `wait_for_start`: not before it writes, so that opening is
  // spared.
  void RunAndKill(Oracle* oracle, bool wait_for_start, bool lies = false) {
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    const WriterOptions options{pool_path_, GetParam(), random_.Next(), !settled_, lies};
    settled_ = false;
    (void)std::fflush(nullptr);
    const pid_t writer = fork();
    ASSERT_GE(writer, 0);
    if (writer == 0) {
      (void)prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not end by itself
      close(fds[0]);
      RunWriter(options, oracle, fds[1]);
    }
    close(fds[1]);
    if (wait_for_start) {
      pollfd report{fds[0], POLLIN, 0};
      while (poll(&report, 1, -1) < 0 && errno == EINTR) continue;
    }
    usleep(RandomDelay());  // not to wait for something, but to strike at some moment
    kill(writer, SIGKILL);
    int status = 0;
    while (waitpid(writer, &status, 0) < 0 && errno == EINTR) continue;
    close(fds[0]);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "the writer ended by itself, status " << status;
  }

  // What is wrong with the open pool; empty if nothing.
  static std::string Look(Pool& pool, Oracle* oracle, bool read_only) {
    if (std::string wrong = oracle->Settle(pool); !wrong.empty()) return wrong;
    const CheckReport first = Check(pool);
    if (!first.problems.empty()) return first.ToString();
    if (read_only) return "";
    if (Status s = pool.WaitForBackgroundWork(); !s.ok()) return s.ToString();
    CountRecovered(pool, oracle);
    const uint64_t dismantled = pool.GetStatistics().nodes_dismantled;
    oracle->recovered().nodes_dismantled += dismantled;
    if (first.buried == 0 && dismantled == 0) return "";
    if (std::string wrong = oracle->Settle(pool); !wrong.empty()) return "later: " + wrong;
    const CheckReport report = Check(pool);
    return report.problems.empty() && report.buried == 0 ? "" : "later: " + report.ToString();
  }

  // What is wrong with the pool; empty if nothing. `read_first`: it is read as the kill has left
  // it, too, and must be found the same once it is recovered.
  std::string Verify(Oracle* oracle, bool read_first = true) {
    settled_ = true;
    return Alone([&]() -> std::string {
      for (const bool read_only : {true, false}) {
        if (read_only && !read_first) continue;
        OpenOptions options = OpenAs(GetParam());
        options.read_only = read_only;
        auto pool = Pool::Open(pool_path_, options);
        if (!pool.ok()) return pool.status().ToString();
        if (std::string wrong = Look(**pool, oracle, read_only); !wrong.empty()) return wrong;
        if (!(*pool)->Close().ok()) return "cannot be closed";
      }
      return "";
    });
  }

  // Opens the pool and does something to it.
  std::string Change(const std::function<Status(Pool&)>& change) {
    return Alone([&] {
      auto pool = Pool::Open(pool_path_, OpenAs(GetParam()));
      if (!pool.ok()) return pool.status().ToString();
      if (Status s = change(**pool); !s.ok()) return s.ToString();
      return (*pool)->Close().ToString();
    });
  }

  TempDir dir_;
  std::string pool_path_;
  std::string oracle_path_;
  const uint64_t seed_;
  const ::testing::ScopedTrace trace_;
  Random random_;
  bool settled_ = true;  // the oracle knows what the pool holds
};

TEST_P(SigkillTest, WhatWasAcknowledgedIsThere) {
  const uint64_t usual = GetParam() == Granularity::kPage ? kKillsUnderPage : kKills;
  const uint64_t kills = EnvNumber("TUFF_KILLS", kSanitized ? 100 : usual);
  Oracle oracle(oracle_path_);
  for (uint64_t i = 0; i < kills; i++) {
    SCOPED_TRACE(fmt::format("kill {}", i));
    ASSERT_NO_FATAL_FAILURE(RunAndKill(&oracle, random_.Below(4) != 0));
    // Often the next writer finds what two of them have left, and compares it.
    if (random_.OneIn(2) && i + 1 < kills) continue;
    ASSERT_EQ(Verify(&oracle, random_.OneIn(4)), "");
  }
  const Oracle::Recovered& recovered = oracle.recovered();
  fmt::print(
      "{} kills, {} operations acknowledged; {} lanes recovered, {} batches replayed, {} nodes "
      "dismantled by the verifier\n",
      kills, oracle.operations().load(), recovered.lanes.load(), recovered.batches.load(),
      recovered.nodes_dismantled.load());
  (void)std::fflush(stdout);
}

// The test tested.
TEST_P(SigkillTest, ALyingWriterIsFoundOut) {
  Oracle oracle(oracle_path_);
  for (int i = 0; i < kLiesMax; i++) {
    ASSERT_NO_FATAL_FAILURE(RunAndKill(&oracle, true, true));
    const std::string wrong = Verify(&oracle);
    if (wrong.empty()) continue;
    EXPECT_NE(wrong.find("acknowledged"), wrong.npos) << wrong;
    return;
  }
  FAIL() << "acknowledging before writing has gone unnoticed";
}

TEST_P(SigkillTest, OneWriteThatWasNeverMadeIsMissed) {
  Oracle oracle(oracle_path_);
  ASSERT_NO_FATAL_FAILURE(RunAndKill(&oracle, true));
  ASSERT_EQ(Verify(&oracle), "");
  Oracle::Slot& slot = oracle.At(1, 7);
  uint64_t version = slot.acknowledged.load() + 1;
  while (Oracle::IsGone(1, 7, version)) version++;
  slot.intended.store(version);
  slot.acknowledged.store(version);
  EXPECT_TRUE(Verify(&oracle).starts_with(Oracle::Key(1, 7)));
}

TEST_P(SigkillTest, ARecordThatNobodyHasWrittenIsSeen) {
  Oracle oracle(oracle_path_);
  ASSERT_NO_FATAL_FAILURE(RunAndKill(&oracle, true));
  ASSERT_EQ(Change([](Pool& pool) {
              auto store = pool.OpenStore(Oracle::StoreName(0));
              return store.ok() ? (*store)->Put("stray", "") : store.TakeStatus();
            }),
            "ok");
  EXPECT_EQ(Verify(&oracle), "there are records that nobody has written");
}

TEST_P(SigkillTest, AHoleAndALostEndOfASequenceAreSeen) {
  Oracle oracle(oracle_path_);
  constexpr unsigned kStep = 1 + 5;  // keys 0 to 4
  const auto set = [](Oracle::Slot& slot, uint64_t version) {
    slot.intended.store(version);
    slot.acknowledged.store(version);
  };
  set(oracle.SequenceAt(0), kStep);
  ASSERT_EQ(Change([](Pool& pool) -> Status {
              auto store = pool.CreateStore(Oracle::SequenceStore(0));
              Status s = store.ok() ? Status() : store.TakeStatus();
              for (unsigned i = 0; i < 5 && s.ok(); i++) {
                s = (*store)->Put(Oracle::SequenceKey(i), Oracle::SequenceKey(i));
              }
              return s;
            }),
            "ok");
  ASSERT_EQ(Verify(&oracle), "");
  set(oracle.SequenceAt(0), kStep + 1);  // one that was never written
  EXPECT_TRUE(Verify(&oracle).starts_with("sequence0: acknowledged"));
  set(oracle.SequenceAt(0), kStep);
  ASSERT_EQ(Change([](Pool& pool) {
              return (*pool.OpenStore(Oracle::SequenceStore(0)))->Delete(Oracle::SequenceKey(2));
            }),
            "ok");
  EXPECT_TRUE(Verify(&oracle).starts_with("a hole: no sequence0/00002, but sequence0/00003"));
}

INSTANTIATE_TEST_SUITE_P(Media, SigkillTest,
                         ::testing::Values(Granularity::kCacheLine, Granularity::kPage),
                         [](const auto& info) {
                           return info.param == Granularity::kPage ? "page" : "cache_line";
                         });

}  // namespace
}  // namespace tuff::test
