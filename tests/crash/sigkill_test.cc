// A writer of several threads is killed at random moments, again and again on the same pool: what
// it was told is written is there, what was under way is there or not, and nothing leaks.
//
//   TUFF_KILLS=n        kills on each medium
//   TUFF_CRASH_SEED=n   other operations and moments
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "tests/crash/oracle.h"

extern char** environ;  // NOLINT: the system's

namespace tuff::test {
namespace {

constexpr uint64_t kPoolBytes = 64ull << 20;
constexpr int kReportFd = 3;  // the writer's end of a pipe: a byte once it writes
constexpr uint64_t kKillMicrosecondsMin = 1000;
constexpr uint64_t kKillMicrosecondsMax = 50000;
constexpr int kLiesMax = 20;  // kills until a lying writer must have been found out

OpenOptions OpenAs(Granularity granularity) {
  OpenOptions options;
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
      Status s = what < 12 ? PutBatch(what < 3) : what < 18 ? StepBulk() : WriteKey(what < 34);
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

// The process that is killed. argv: --writer pool oracle granularity seed lies
int WriterMain(char** argv) {
  auto pool = Pool::Open(argv[2], OpenAs(static_cast<Granularity>(std::atoi(argv[4]))));
  Oracle oracle(argv[3]);
  std::string wrong = pool.ok() ? oracle.Settle(**pool) : pool.status().ToString();
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
    const uint64_t seed = std::strtoull(argv[5], nullptr, 10);
    const bool lies = *argv[6] == '1';
    threads.emplace_back([=, &oracle, &pool, &stores] {
      Writer(pool->get(), stores[thread], &oracle, thread, seed, lies).WriteForever();
    });
  }
  if (write(kReportFd, "w", 1) != 1) _exit(5);
  for (std::thread& thread : threads) thread.join();
  return 0;
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
    CreateOptions create;
    create.size_bytes = kPoolBytes;
    create.open = OpenAs(GetParam());
    auto pool = Pool::Create(pool_path_, create);
    ASSERT_OK(pool);
    ASSERT_OK((*pool)->Close());
  }

  static std::string PageRoot() {
    const char* const from_env = std::getenv("TMPDIR");
    return from_env != nullptr && *from_env != '\0' ? from_env : "/tmp";
  }

  // Starts a writer and kills it; `wait_for_start`: not before it writes, so that opening is
  // spared.
  void RunAndKill(bool wait_for_start, bool lies = false) {
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], kReportFd);
    std::string granularity = fmt::format("{}", static_cast<int>(GetParam()));
    std::string seed = fmt::format("{}", random_.Next());
    std::string program = "/proc/self/exe";
    std::string verb = "--writer";
    std::string lying = lies ? "1" : "0";
    char* argv[] = {program.data(),     verb.data(), pool_path_.data(), oracle_path_.data(),
                    granularity.data(), seed.data(), lying.data(),      nullptr};
    pid_t writer = -1;
    ASSERT_EQ(posix_spawn(&writer, program.c_str(), &actions, nullptr, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (wait_for_start) {
      pollfd report{fds[0], POLLIN, 0};
      while (poll(&report, 1, -1) < 0 && errno == EINTR) continue;
    }
    // Not to wait for something, but to strike at some moment.
    usleep(static_cast<useconds_t>(kKillMicrosecondsMin +
                                   random_.Below(kKillMicrosecondsMax - kKillMicrosecondsMin)));
    kill(writer, SIGKILL);
    int status = 0;
    while (waitpid(writer, &status, 0) < 0 && errno == EINTR) continue;
    close(fds[0]);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "the writer ended by itself, status " << status;
  }

  // What is wrong with the pool; empty if nothing. It is read as the kill has left it, and must be
  // found the same once it is recovered.
  std::string Verify(Oracle* oracle) {
    for (const bool read_only : {true, false}) {
      OpenOptions options = OpenAs(GetParam());
      options.read_only = read_only;
      auto pool = Pool::Open(pool_path_, options);
      if (!pool.ok()) return pool.status().ToString();
      if (std::string wrong = oracle->Settle(**pool); !wrong.empty()) return wrong;
      if (std::string problems = Problems(**pool); !problems.empty()) return problems;
      if (!read_only) {
        if (Status s = (*pool)->WaitForBackgroundWork(); !s.ok()) return s.ToString();
        if (std::string wrong = oracle->Settle(**pool); !wrong.empty()) return "later: " + wrong;
        const CheckReport report = Check(**pool);
        if (!report.problems.empty() || report.buried > 0) return "later: " + report.ToString();
        const Statistics statistics = (*pool)->GetStatistics();
        lanes_recovered_ += statistics.lanes_recovered;
        batches_replayed_ += statistics.batches_replayed;
        nodes_dismantled_ += statistics.nodes_dismantled;
      }
      if (!(*pool)->Close().ok()) return "cannot be closed";
    }
    return "";
  }

  TempDir dir_;
  std::string pool_path_;
  std::string oracle_path_;
  const uint64_t seed_;
  const ::testing::ScopedTrace trace_;
  Random random_;
  uint64_t lanes_recovered_ = 0;
  uint64_t batches_replayed_ = 0;
  uint64_t nodes_dismantled_ = 0;
};

TEST_P(SigkillTest, WhatWasAcknowledgedIsThere) {
  const uint64_t kills = EnvNumber("TUFF_KILLS", kSanitized ? 50 : 100);
  Oracle oracle(oracle_path_);
  for (uint64_t i = 0; i < kills; i++) {
    SCOPED_TRACE(fmt::format("kill {}", i));
    ASSERT_NO_FATAL_FAILURE(RunAndKill(random_.Below(4) != 0));
    // Sometimes the next writer finds what two of them have left.
    if (random_.OneIn(4) && i + 1 < kills) continue;
    ASSERT_EQ(Verify(&oracle), "");
  }
  fmt::print(
      "{} kills, {} operations acknowledged; by the verifier: {} lanes recovered, {} batches "
      "replayed, {} nodes dismantled\n",
      kills, oracle.operations().load(), lanes_recovered_, batches_replayed_, nodes_dismantled_);
  (void)std::fflush(stdout);
}

// The test tested.
TEST_P(SigkillTest, ALyingWriterIsFoundOut) {
  Oracle oracle(oracle_path_);
  for (int i = 0; i < kLiesMax; i++) {
    ASSERT_NO_FATAL_FAILURE(RunAndKill(true, true));
    const std::string wrong = Verify(&oracle);
    if (wrong.empty()) continue;
    EXPECT_NE(wrong.find("acknowledged"), wrong.npos) << wrong;
    return;
  }
  FAIL() << "acknowledging before writing has gone unnoticed";
}

TEST_P(SigkillTest, OneWriteThatWasNeverMadeIsMissed) {
  Oracle oracle(oracle_path_);
  ASSERT_NO_FATAL_FAILURE(RunAndKill(true));
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
  ASSERT_NO_FATAL_FAILURE(RunAndKill(true));
  auto pool = Pool::Open(pool_path_, OpenAs(GetParam()));
  ASSERT_OK(pool);
  ASSERT_OK((*(*pool)->OpenStore(Oracle::StoreName(0)))->Put("stray", ""));
  ASSERT_OK((*pool)->Close());
  pool->reset();
  EXPECT_EQ(Verify(&oracle), "there are records that nobody has written");
}

INSTANTIATE_TEST_SUITE_P(Media, SigkillTest,
                         ::testing::Values(Granularity::kCacheLine, Granularity::kPage),
                         [](const auto& info) {
                           return info.param == Granularity::kPage ? "page" : "cache_line";
                         });

}  // namespace
}  // namespace tuff::test

int main(int argc, char** argv) {
  if (argc == 7 && std::strcmp(argv[1], "--writer") == 0) return tuff::test::WriterMain(argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
