// Opening costs the same at any size: system calls, touched pages and mappings of open, first get
// and first put, at 1 GiB and at 1 TiB.
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "tests/test_util.h"

namespace tuff::test {
namespace {

struct Cost {
  long system_calls = 0;
  long page_faults = 0;
  long mappings = 0;
};

long CountMappings() {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  long n = 0;
  while (std::getline(maps, line)) n++;
  return n;
}

long CountFaults() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt + usage.ru_majflt;
}

// The child's part: what it costs goes through the pipe; the pool is left open.
int OpenAndUse(const std::string& path, const OpenOptions& options, int report) {
  const long faults = CountFaults();
  auto pool = Pool::Open(path, options);
  if (!pool.ok()) return 2;
  auto store = (*pool)->OpenStore("s");
  std::string value;
  if (!store.ok() || !(*store)->Get("key", &value).ok() || value != "value") return 3;
  if (!(*store)->Put("another", "value").ok()) return 4;
  const long cost[2] = {CountFaults() - faults, CountMappings()};
  if (write(report, cost, sizeof cost) != sizeof cost) return 5;
  _exit(0);  // as a killed process would
}

// Runs the child under ptrace, counting its system calls.
Cost Measure(const std::string& path, const OpenOptions& options) {
  Cost cost;
  int fds[2];
  EXPECT_EQ(pipe(fds), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(1);
    (void)raise(SIGSTOP);
    _exit(OpenAndUse(path, options, fds[1]));
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSTOPPED(status)) << "ptrace is refused here";
  long stops = 0;
  while (WIFSTOPPED(status)) {
    const int signal =
        WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status);
    if (ptrace(PTRACE_SYSCALL, child, nullptr, signal) != 0) break;
    if (waitpid(child, &status, 0) != child) break;
    stops++;
  }
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  long numbers[2] = {};
  EXPECT_EQ(read(fds[0], numbers, sizeof numbers), static_cast<ssize_t>(sizeof numbers));
  close(fds[0]);
  close(fds[1]);
  cost.system_calls = stops / 2;  // one stop at entry, one at exit
  cost.page_faults = numbers[0];
  cost.mappings = numbers[1];
  return cost;
}

class OpenCostTest : public testing::TestWithParam<std::pair<Granularity, MemmapPlace>> {};

TEST_P(OpenCostTest, IsTheSameAtOneGibAndOneTib) {
  const auto [granularity, place] = GetParam();
  TempDir dir;
  Cost costs[2];
  const uint64_t sizes[2] = {1ull << 30, 1ull << 40};
  for (int i = 0; i < 2; i++) {
    const std::string path = dir.File("pool" + std::to_string(i));
    CreateOptions create = SmallPool(sizes[i], granularity);
    create.memmap = place;
    auto pool = Pool::Create(path, create);
    ASSERT_OK(pool);
    auto store = (*pool)->CreateStore("s");
    ASSERT_OK(store);
    ASSERT_OK((*store)->Put("key", "value"));
    ASSERT_OK((*pool)->Close());
    pool->reset();
    (void)Measure(path, create.open);  // warms up what is the process's, and leaves it unclean
    costs[i] = Measure(path, create.open);
    std::printf("%llu GiB: %ld system calls, %ld page faults, %ld mappings\n",
                static_cast<unsigned long long>(sizes[i] >> 30), costs[i].system_calls,
                costs[i].page_faults, costs[i].mappings);
  }
  EXPECT_NEAR(costs[0].system_calls, costs[1].system_calls, 16);
  EXPECT_NEAR(costs[0].page_faults, costs[1].page_faults, 16);
  EXPECT_NEAR(costs[0].mappings, costs[1].mappings, 16);
}

INSTANTIATE_TEST_SUITE_P(Media, OpenCostTest,
                         testing::Values(std::pair(Granularity::kCacheLine, MemmapPlace::kPool),
                                         std::pair(Granularity::kCacheLine, MemmapPlace::kDram),
                                         std::pair(Granularity::kPage, MemmapPlace::kDram)));

}  // namespace
}  // namespace tuff::test
