// FrameAllocator: hands out runs of 2^k frames. Volatile: the truth is the frame table.
//
// A run that was allocated is a promise until the lane protocol makes its owner word durable; a
// run that was freed on the medium comes back here through limbo (limbo.h).
// A reserve of order-4 runs is held back for deletes, shrinking and recovery, so that a full pool
// can always shrink.
// Thread-safety: all functions from any thread.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "pagemap/memmap.h"

namespace tuff {

/// Who asks. What is left while the reserve is short is for the latter two. kShrinkAtFirst may take
/// half of the reserve itself: a float, so that not every delete of a full pool has to wait for a
/// grace period. All of it is for those who have waited for limbo in vain.
enum class AllocFor : uint8_t { kGrow, kShrinkAtFirst, kShrink };

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
  static constexpr unsigned kReserveOrder = 4;

  Pfn TakeFrom(uint64_t block, unsigned order);
  Pfn Search(unsigned order);
  bool MayHold(uint64_t block, unsigned order);
  bool MayGrow();
  void FillReserve();
  Pfn TakeReserve(unsigned order, AllocFor purpose);
  bool GiveToReserve(Pfn pfn, unsigned order);
  void FreeBits(Pfn pfn, unsigned order);

  Memmap& memmap_;
  Counters& counters_;
  // A page block of its own for every thread and order, to begin the search in.
  std::array<std::array<std::atomic<uint32_t>, kOrderMax + 1>, kThreadSlots + 1> hints_{};
  std::atomic<uint64_t> cursor_{0};
  const size_t reserve_runs_;
  std::atomic<bool> reserve_short_{true};
  std::atomic<uint32_t> short_allocations_{0};
  std::mutex reserve_mutex_;
  std::vector<Pfn> reserve_;  // whole runs of kReserveOrder; guarded by reserve_mutex_
  std::vector<std::pair<Pfn, unsigned>> reserve_parts_;  // the rest of a broken run; likewise
};

}  // namespace tuff
