// That what runs in processes of its own is told apart, whatever comes of it.
#include "tests/crash/isolate.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "tests/test_util.h"

namespace tuff::test {
namespace {

TEST(IsolateTest, EachEndsInItsOwnWay) {
  constexpr size_t kBodies = 9;
  const std::string much(1 << 20, 'x');
  const auto body = [&](size_t number) -> std::string {
    NowDoing("part " + std::to_string(number));
    if (number % 3 == 1) _exit(7);
    if (number % 3 == 2) abort();
    return much + std::to_string(number);
  };
  std::vector<int> times(kBodies);
  RunManyIsolated(kBodies, body, [&](size_t number, const Isolated& result) {
    times.at(number)++;
    const std::string at = " at part " + std::to_string(number);
    const bool well = number % 3 == 0;
    EXPECT_TRUE(result.output == (well ? much + std::to_string(number) : "")) << number;
    EXPECT_EQ(result.death, well              ? ""
                            : number % 3 == 1 ? "exited with 7" + at
                                              : "died of Aborted" + at);
  });
  EXPECT_EQ(times, std::vector<int>(kBodies, 1));
}

// A fork copies the locks that other threads hold, and not those threads: such a child waited for
// ASan's allocator until its alarm.
TEST(IsolateTest, NothingRunsBesideAThread) {
  if (kThreadSanitized) GTEST_SKIP() << "TSan has a thread of its own";
  std::promise<void> end;
  std::thread other([&] { end.get_future().wait(); });
  const Isolated result = RunIsolated([] { return std::string("ran"); });
  end.set_value();
  other.join();
  EXPECT_EQ(result.output, "");
  EXPECT_EQ(result.death, "not run: there are 2 threads, and a fork takes one");
}

}  // namespace
}  // namespace tuff::test
