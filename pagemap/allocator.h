// FrameAllocator: hands out runs of 2^k frames. Volatile: the truth is the frame table.
//
// A run that was allocated is a promise until the lane protocol makes its owner word durable; a
// run that was freed on the medium comes back here through limbo (limbo.h).
// A full pool can always shrink: a few runs of each order up to 4 are held back as a reserve. It
// lends them for exchanges, which will free a run at least as large, and takes back what it is owed
// from whatever is freed. So it is never used up: for each run lent, one is or soon will be in
// limbo.
//
// Thread-safety: all functions from any thread.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "pagemap/memmap.h"

namespace tuff {

/// What for. kExchange promises to free a run at least as large soon, and may borrow from the
/// reserve; what else is left while the reserve is short is kept for it, too.
enum class AllocFor : uint8_t { kGrowth, kExchange };

class FrameAllocator {
 public:
  FrameAllocator(Memmap& memmap, Counters& counters);

  /// The first frame of an aligned run of 2^order frames; 0 if there is none now (frames in limbo
  /// may come back). REQUIRES: order <= kOrderMax. Never waits for a grace period.
  Pfn Allocate(unsigned order, AllocFor purpose);

  /// Gives a run back for reuse at once. REQUIRES: nobody can see it.
  void Free(Pfn pfn, unsigned order);

  /// Free frames in the page blocks that have been looked at.
  uint64_t KnownFreeFrames() const {
    return memmap_.known_free_frames().load(std::memory_order_relaxed);
  }
  /// Counts the free frames of the whole pool: reads every section's frame table.
  uint64_t CountFreeFrames() const;

 private:
  static constexpr unsigned kReserveOrderMax = 4;

  Pfn TakeFrom(uint64_t block, unsigned order);
  Pfn Search(unsigned order);
  bool MayHold(uint64_t block, unsigned order);
  bool MayGrow();
  void FillReserve();
  size_t ReserveGoal(unsigned order) const;
  bool ReserveIsFull(unsigned order_max) const;
  Pfn Borrow(unsigned order);
  void Repay(Pfn pfn, unsigned order);
  void FreeBits(Pfn pfn, unsigned order);
  void NoteFree(const BlockState& state);

  Memmap& memmap_;
  Counters& counters_;
  // A page block of its own for every thread and order, to begin the search in.
  std::array<std::array<std::atomic<uint32_t>, kOrderMax + 1>, kThreadSlots + 1> hints_{};
  std::atomic<uint64_t> cursor_{0};
  // Low byte: no page block has a run of this order or above, so that a full pool is not searched
  // again and again. Above it: a count of frees, which makes a search that one has overtaken void.
  static constexpr uint64_t kOrderByte = 0xff;
  std::atomic<uint64_t> exhausted_{kOrderMax + 1};
  const size_t reserve_unit_;
  std::atomic<bool> reserve_short_{true};
  std::atomic<uint32_t> short_allocations_{0};
  std::mutex reserve_mutex_;
  std::array<std::vector<Pfn>, kReserveOrderMax + 1> reserve_;  // guarded by reserve_mutex_
};

}  // namespace tuff
