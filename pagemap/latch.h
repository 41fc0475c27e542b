// Latch: a short-term lock of four bytes, living in a page descriptor.
//
// Order (who may wait while holding what): docs/architecture.md, "Latches".
// Thread-safety: of course. Not recursive. Waiters must be in no RCU read section (they may sleep).
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>
#include <mutex>

namespace tuff {

class Latch {
 public:
  bool TryLock() {
    uint32_t free = kFree;
    return word_.compare_exchange_strong(free, kHeld, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  void Lock() {
    if (!TryLock()) LockSlow();
  }
  void Unlock() {
    assert(IsLocked());
    if (word_.exchange(kFree, std::memory_order_release) == kHeldWithWaiters) word_.notify_one();
  }
  bool IsLocked() const { return word_.load(std::memory_order_relaxed) != kFree; }

 private:
  static constexpr uint32_t kFree = 0;
  static constexpr uint32_t kHeld = 1;
  static constexpr uint32_t kHeldWithWaiters = 2;

  void LockSlow();

  std::atomic<uint32_t> word_;
};
static_assert(sizeof(Latch) == 4);

/// Holds a latch for a scope, unless it is handed on.
class LatchHold {
 public:
  explicit LatchHold(Latch& latch) : latch_(&latch) { latch.Lock(); }
  /// Takes over a latch that the caller has locked already.
  LatchHold(Latch& latch, std::adopt_lock_t) : latch_(&latch) { assert(latch.IsLocked()); }
  ~LatchHold() {
    if (latch_ != nullptr) latch_->Unlock();
  }
  LatchHold(const LatchHold&) = delete;
  LatchHold& operator=(const LatchHold&) = delete;
  /// Somebody else unlocks it.
  void HandOver() { latch_ = nullptr; }

 private:
  Latch* latch_;
};

}  // namespace tuff
