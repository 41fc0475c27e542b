// Latches and RCU.
#include "pagemap/latch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "pagemap/rcu.h"

namespace tuff {
namespace {

TEST(LatchTest, ExcludesAndWakesWaiters) {
  Latch latch{};
  uint64_t counter = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20000; i++) {
        LatchHold hold(latch);
        counter++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 80000u);
  EXPECT_FALSE(latch.IsLocked());
}

TEST(LatchTest, TryLockFailsWhileHeldAndHandOverKeeps) {
  Latch latch{};
  {
    LatchHold hold(latch);
    EXPECT_FALSE(latch.TryLock());
    hold.HandOver();
  }
  EXPECT_TRUE(latch.IsLocked());
  { LatchHold adopted(latch, std::adopt_lock); }
  EXPECT_TRUE(latch.TryLock());
}

TEST(RcuTest, DeferredWorkWaitsForReaders) {
  std::atomic<bool> ran{false};
  std::atomic<bool> reading{false};
  std::atomic<bool> may_leave{false};
  std::thread reader([&] {
    RcuReadSection section;
    EXPECT_TRUE(InRcuReadSection());
    reading = true;
    while (!may_leave) std::this_thread::yield();
    EXPECT_FALSE(ran);
  });
  while (!reading) std::this_thread::yield();
  ASSERT_TRUE(RcuDefer([](void* flag) { *static_cast<std::atomic<bool>*>(flag) = true; }, &ran));
  may_leave = true;
  RcuBarrier();
  EXPECT_TRUE(ran);
  reader.join();
  EXPECT_FALSE(InRcuReadSection());
}

}  // namespace
}  // namespace tuff
