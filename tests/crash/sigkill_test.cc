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
#include <thread>

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

// One thread of the writer: never ends, unless something fails. A liar takes for acknowledged what
// it has yet to write.
void WriteForever(Store* store, Oracle* oracle, unsigned thread, uint64_t seed, bool lies) {
  Random random(seed * Oracle::kThreads + thread);
  for (;;) {
    const auto key = static_cast<unsigned>(random.Below(Oracle::kKeys));
    Oracle::Slot& slot = oracle->At(thread, key);
    const uint64_t version = slot.acknowledged.load() + 1;
    slot.intended.store(version);
    if (lies) slot.acknowledged.store(version);
    const std::string name = Oracle::Key(thread, key);
    Status s;
    if (Oracle::IsGone(thread, key, version)) {
      s = store->Delete(name);
      if (s.IsNotFound() && Oracle::IsGone(thread, key, version - 1)) s = Status();
    } else {
      s = store->Put(name, Oracle::Value(thread, key, version));
    }
    if (!s.ok()) {
      fmt::print(stderr, "writer: {}: {}\n", name, s.ToString());
      _exit(4);
    }
    slot.acknowledged.store(version);
    oracle->operations().fetch_add(1);
  }
}

// The process that is killed. argv: --writer pool oracle granularity seed lies
int WriterMain(char** argv) {
  auto pool = Pool::Open(argv[2], OpenAs(static_cast<Granularity>(std::atoi(argv[4]))));
  Oracle oracle(argv[3]);
  std::string wrong = pool.ok() ? oracle.Settle(**pool) : pool.status().ToString();
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < Oracle::kThreads && wrong.empty(); thread++) {
    auto store = (*pool)->OpenOrCreateStore(Oracle::StoreName(thread));
    if (!store.ok()) {
      wrong = store.status().ToString();
      break;
    }
    threads.emplace_back(WriteForever, *store, &oracle, thread, std::strtoull(argv[5], nullptr, 10),
                         *argv[6] == '1');
  }
  if (!wrong.empty()) {
    fmt::print(stderr, "writer: {}\n", wrong);
    _exit(3);
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
      if (!read_only) lanes_recovered_ += (*pool)->GetStatistics().lanes_recovered;
      if (std::string wrong = oracle->Settle(**pool); !wrong.empty()) return wrong;
      if (std::string problems = Problems(**pool); !problems.empty()) return problems;
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
  fmt::print("{} kills, {} operations acknowledged, {} lanes recovered by the verifier\n", kills,
             oracle.operations().load(), lanes_recovered_);
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
