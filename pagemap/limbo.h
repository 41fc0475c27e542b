// Limbo: where a freed run waits until nobody can see it (invariant I7).
//
// Purely volatile: on the medium its frames are free already. A run leaves limbo when a grace
// period has passed since it came in and no pin is held on it.
// Thread-safety: all functions from any thread. Ownership: borrows memmap and allocator; Drain
// before they go.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "pagemap/allocator.h"
#include "pagemap/memmap.h"

namespace tuff {

class Limbo {
 public:
  Limbo(Memmap& memmap, FrameAllocator& allocator, Counters& counters);
  ~Limbo();
  Limbo(const Limbo&) = delete;
  Limbo& operator=(const Limbo&) = delete;

  struct Run {
    Pfn pfn;
    unsigned order;
  };

  /// Takes runs in. Should there be no memory to note them, they come back at the next mount only.
  /// REQUIRES: no new reader can reach them; the caller is in no write window.
  void Add(const Run* runs, size_t n);

  /// Waits for a grace period and frees what is unpinned.
  /// REQUIRES: no latch and no read section held. Returns the number of frames freed.
  uint64_t Reclaim();

  /// Pins a run's head against reuse. REQUIRES: inside a read section in which it was reachable.
  void Pin(Pfn head) { memmap_.At(head).pins.fetch_add(1, std::memory_order_acq_rel); }
  void Unpin(Pfn head);

  /// Frames waiting, as far as known.
  uint64_t frames() const { return frames_.load(std::memory_order_relaxed); }

 private:
  struct Batch;
  static constexpr size_t kBatchRuns = 64;  // one grace period for that many

  static bool Note(std::vector<Run>* list, const Run* runs, size_t n);
  std::unique_ptr<Batch> TakeIncoming();
  static void GraceOver(void* batch);
  void Release(const Run& run);

  Memmap& memmap_;
  FrameAllocator& allocator_;
  Counters& counters_;
  std::atomic<uint64_t> frames_{0};
  std::atomic<uint64_t> released_{0};
  std::atomic<uint64_t> batches_{0};  // deferred and not yet done with
  std::mutex reclaim_mutex_;          // who reclaims beside another waits for what that one frees
  std::mutex mutex_;
  std::vector<Run> incoming_;    // guarded by mutex_
  std::vector<Run> pinned_;      // guarded by mutex_: past their grace period
  std::vector<Run> reclaiming_;  // guarded by reclaim_mutex_
};

}  // namespace tuff
