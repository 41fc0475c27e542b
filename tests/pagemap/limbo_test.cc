// I7: no reuse in sight.
#include "pagemap/limbo.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "pagemap/rcu.h"
#include "tests/pagemap/pagemap_test_util.h"

namespace tuff::test {
namespace {

class LimboTest : public testing::Test {
 protected:
  Limbo::Run Take(unsigned order) {
    return {fixture_.map().allocator().Allocate(order, AllocFor::kGrowth), order};
  }
  Limbo& limbo() { return fixture_.map().limbo(); }
  uint64_t Free() { return fixture_.map().allocator().KnownFreeFrames(); }

  FramesFixture fixture_;
};

TEST_F(LimboTest, ComesBackAfterAGracePeriod) {
  const Limbo::Run run = Take(3);
  const uint64_t before = Free();
  limbo().Add(&run, 1);
  EXPECT_EQ(Free(), before);
  EXPECT_EQ(limbo().frames(), 8u);
  EXPECT_EQ(limbo().Reclaim(), 8u);
  EXPECT_EQ(Free(), before + 8);
  EXPECT_EQ(limbo().frames(), 0u);
}

TEST_F(LimboTest, WaitsForAReadSection) {
  const Limbo::Run run = Take(0);
  const uint64_t before = Free();
  std::atomic<bool> reading{false};
  std::atomic<bool> may_leave{false};
  std::thread reader([&] {
    RcuReadSection section;
    reading = true;
    while (!may_leave) std::this_thread::yield();
    EXPECT_EQ(Free(), before);
  });
  while (!reading) std::this_thread::yield();
  limbo().Add(&run, 1);
  std::thread reclaimer([&] { EXPECT_EQ(limbo().Reclaim(), 1u); });
  may_leave = true;
  reader.join();
  reclaimer.join();
  EXPECT_EQ(Free(), before + 1);
}

TEST_F(LimboTest, APinHoldsItPastTheGracePeriod) {
  const Limbo::Run run = Take(2);
  const uint64_t before = Free();
  limbo().Pin(run.pfn);
  limbo().Pin(run.pfn);
  limbo().Add(&run, 1);
  EXPECT_EQ(limbo().Reclaim(), 0u);
  EXPECT_EQ(Free(), before);
  limbo().Unpin(run.pfn);
  EXPECT_EQ(limbo().Reclaim(), 0u);
  limbo().Unpin(run.pfn);  // the last one frees it
  EXPECT_EQ(Free(), before + 4);
  EXPECT_EQ(limbo().frames(), 0u);
}

TEST_F(LimboTest, UnpinnedBeforeTheGracePeriodIsOver) {
  const Limbo::Run run = Take(0);
  const uint64_t before = Free();
  limbo().Pin(run.pfn);
  limbo().Add(&run, 1);
  limbo().Unpin(run.pfn);
  EXPECT_EQ(Free(), before);
  EXPECT_EQ(limbo().Reclaim(), 1u);
  EXPECT_EQ(Free(), before + 1);
}

TEST_F(LimboTest, PinsAndUnpinsOfSeveralThreadsLoseNothing) {
  const uint64_t before = Free();
  for (int round = 0; round < 200; round++) {
    const Limbo::Run run = Take(1);
    ASSERT_NE(run.pfn, 0u);
    limbo().Pin(run.pfn);
    limbo().Pin(run.pfn);
    std::thread a([&] { limbo().Unpin(run.pfn); });
    std::thread b([&] { limbo().Unpin(run.pfn); });
    limbo().Add(&run, 1);
    limbo().Reclaim();
    a.join();
    b.join();
  }
  limbo().Reclaim();
  EXPECT_EQ(limbo().frames(), 0u);
  EXPECT_GE(Free() + 1024, before);  // the reserve was filled meanwhile
}

// Whoever waits in the parent for what is deferred is not there in a child.
TEST(RcuDeferTest, AForkedChildDefersForItself) {
  if (kThreadSanitized) {
    GTEST_SKIP() << "TSan lets no forked child of a threaded process start threads";
  }
  const auto round = [] {
    std::atomic<int> called{0};
    const auto count = [](void* to) { static_cast<std::atomic<int>*>(to)->fetch_add(1); };
    if (!RcuDefer(count, &called)) return false;
    RcuBarrier();
    return called == 1;
  };
  ASSERT_TRUE(round());
  usleep(1000);  // to let the parent's thread go to sleep again; were it not to, all would be well
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    for (int i = 0; i < 8; i++) {
      if (!round()) _exit(1);
    }
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace tuff::test
