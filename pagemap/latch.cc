#include "pagemap/latch.h"

#include "pagemap/rcu.h"

namespace tuff {

void Latch::LockSlow() {
  assert(!InRcuReadSection());
  // About the length of a durable append: longer waits are left to the kernel.
  for (int i = 0; i < 200; i++) {
    if (word_.load(std::memory_order_relaxed) == kFree && TryLock()) return;
    __builtin_ia32_pause();
  }
  while (word_.exchange(kHeldWithWaiters, std::memory_order_acquire) != kFree) {
    word_.wait(kHeldWithWaiters, std::memory_order_relaxed);
  }
}

}  // namespace tuff
