// Counters: sharded by thread, so that counting costs no shared cache line.
//
// Ownership: one Counters per pool. Thread-safety: any thread may add; a reading may be a few
// operations old.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace tuff {

inline constexpr unsigned kThreadSlots = 128;

// For ThreadSlot only.
unsigned TakeThreadSlot();
extern constinit thread_local unsigned thread_slot_cache;  // slot + 1; 0: none yet

/// A small number for the calling thread, unique among live threads while fewer than
/// kThreadSlots exist; later threads all get kThreadSlots. Given back when the thread ends.
inline unsigned ThreadSlot() {
  const unsigned cached = thread_slot_cache;
  return cached != 0 ? cached - 1 : TakeThreadSlot();
}

enum class Counter : uint8_t {
  kPuts,
  kGets,
  kGetsNotFound,
  kDeletes,
  kUserBytesWritten,
  kBatches,
  kBatchOperations,
  kConflicts,
  kBulkRecords,
  kGroupCommits,
  kFences,
  kFlushes,
  kFlushedBytes,
  kSyncs,
  kConsolidations,
  kConsolidatedAhead,
  kSplits,
  kInnerSplits,
  kMerges,
  kInnerMerges,
  kRootGrowths,
  kRootShrinks,
  kCompoundNodes,
  kLanesRecovered,
  kPageBlocksInitialised,
  kTailsBuilt,
  kTornTailsCut,
  kBatchesReplayed,
  kNodesDismantled,
  kFramesAllocated,
  kFramesFreed,
  kRestarts,
  kCount,
};

class Counters {
 public:
  void Add(Counter counter, uint64_t n = 1) {
    const unsigned slot = ThreadSlot();
    auto& cell = shards_[slot].cells[static_cast<size_t>(counter)];
    if (slot < kThreadSlots) {  // the only writer of this cell
      cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    } else {
      cell.fetch_add(n, std::memory_order_relaxed);
    }
  }

  uint64_t Sum(Counter counter) const {
    uint64_t sum = 0;
    for (const Shard& shard : shards_) {
      sum += shard.cells[static_cast<size_t>(counter)].load(std::memory_order_relaxed);
    }
    return sum;
  }

 private:
  struct alignas(64) Shard {
    std::array<std::atomic<uint64_t>, static_cast<size_t>(Counter::kCount)> cells{};
  };
  std::array<Shard, kThreadSlots + 1> shards_{};
};

}  // namespace tuff
