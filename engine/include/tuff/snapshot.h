// Snapshot: all stores of a pool as they were at one moment.
//
//   auto snapshot = pool->GetSnapshot();
//   store->Get("ada", &value, *snapshot);
//   pool->ReleaseSnapshot(*snapshot);
//
// Snapshots are volatile: they end with the process. What writers supersede and a snapshot still
// needs is kept in DRAM, so that a forgotten snapshot neither makes a write fail nor grows the
// pool; Statistics tells its age and cost. OpenOptions::version_memory_bytes_max bounds it.
//
// Reads on snapshots follow the order in which writes were numbered, reads without one the order in
// which they became visible. Of two writes under way at the same moment, to different keys, one
// kind of read may meet the first without the second, the other kind the second without the first.
//
// Ownership: the pool's, from Pool::GetSnapshot to Pool::ReleaseSnapshot.
// Thread-safety: immutable; any number of threads may read with it.
#pragma once

#include <cstdint>

namespace tuff {

class Snapshot {
 public:
  /// Writes up to this number are seen; later ones are not.
  uint64_t sequence() const { return sequence_; }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

 private:
  friend class Versions;
  explicit Snapshot(uint64_t sequence) : sequence_(sequence) {}
  ~Snapshot() = default;
  const uint64_t sequence_;
};

}  // namespace tuff
