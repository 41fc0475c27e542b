#include "pagemap/sync_group.h"

#include <algorithm>

namespace tuff {

Status SyncGroup::Sync(const Medium& medium, const Range& range, Counters& counters) {
  std::unique_lock lock(mutex_);
  const uint64_t round = gathering_;
  if (joined_++ == 0) {
    range_ = range;
  } else {
    range_.whole = true;  // one journal commit instead of several
  }
  if (led_) changed_.notify_all();  // the leader may be waiting for this one
  while (done_ < round && led_) changed_.wait(lock);
  if (done_ >= round) return failed_;

  led_ = true;
  if (joined_ < expected_) {
    changed_.wait_for(lock, Patience(), [&] { return joined_ >= expected_; });
  }
  const unsigned served = joined_;
  const Range all = range_;
  gathering_++;
  joined_ = 0;
  lock.unlock();

  counters.Add(Counter::kSyncs);
  const auto start = std::chrono::steady_clock::now();
  Status s = all.whole ? medium.SyncAll() : medium.Sync(all.start, all.end - all.start);
  const auto took = static_cast<uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());

  lock.lock();
  const uint64_t before = sync_ns_.load(std::memory_order_relaxed);
  sync_ns_.store(before == 0 ? took : (7 * before + took) / 8, std::memory_order_relaxed);
  if (!s.ok() && failed_.ok()) failed_ = s;
  done_ = round;
  led_ = false;
  expected_ = served + joined_;
  changed_.notify_all();
  return failed_;
}

}  // namespace tuff
