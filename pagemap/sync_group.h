// SyncGroup: one sync for all fences that wait for one (PAGE granularity only).
//
// A fence joins the round that gathers. If nobody syncs, it leads: waits a moment for those it has
// reason to expect, then syncs once for all that have joined. Who comes during a sync joins the
// next round. Expected are as many as the last round served and met waiting when it ended; the wait
// is an eighth of what a sync takes, so a lone writer never waits, and two share nearly every sync.
//
// Thread-safety: all functions from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "pagemap/counters.h"
#include "pagemap/medium.h"

namespace tuff {

class SyncGroup {
 public:
  /// Bytes of the pool that a fence wants to be durable; or all of it.
  struct Range {
    uint64_t start = 0;
    uint64_t end = 0;
    bool whole = false;
  };

  /// Returns when all that was stored in `range` before is durable, or could not be made so.
  Status Sync(const Medium& medium, const Range& range, Counters& counters);

  /// How long a leader waits for others.
  std::chrono::nanoseconds Patience() const {
    return std::chrono::nanoseconds(sync_ns_.load(std::memory_order_relaxed) / 8);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  uint64_t gathering_ = 1;  // number of the round that may be joined
  uint64_t done_ = 0;       // rounds up to this one are over
  bool led_ = false;
  unsigned joined_ = 0;
  unsigned expected_ = 1;
  Range range_;    // of the round that gathers
  Status failed_;  // a sync's failure is every later one's, too

  std::atomic<uint64_t> sync_ns_{0};  // about how long a sync takes
};

}  // namespace tuff
