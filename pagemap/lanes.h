// Lanes: one persistent scratch frame for each change of structure, and the protocol that makes a
// change of structure happen wholly or not at all (invariants I2, I4).
//
//   F1  new nodes and the lane entry are made durable
//   F2  owner words and the deciding word (or record) are made durable: the commit
//   F3  the entry is retired, durably; only then are latches released
//
// The model of it is lane.pml, variant SYM with RFLUSH.
// Thread-safety: Acquire and Release from any thread; the rest by the lane's holder.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <optional>
#include <vector>

#include "pagemap/lane_format.h"
#include "pagemap/window.h"

namespace tuff {

/// A change of structure: what is allocated, what is freed, and what decides.
struct LaneChange {
  LaneDecider decider = LaneDecider::kWord;
  uint64_t place = 0;
  uint64_t old_value = 0;
  uint64_t new_value = 0;
  uint64_t record_seed = 0;
  uint32_t record_bytes = 0;
  uint32_t object_id = 0;
  std::vector<LaneRun> new_runs;
  std::vector<LaneRun> old_runs;
};

/// Tells whether the record of a kRecord change is there and whole; `bytes` have been checked to
/// lie in the pool.
using RecordCheck = std::function<bool(std::span<const std::byte> record, uint64_t seed,
                                       uint64_t sequence_and_type)>;

/// What lies in a lane.
struct LaneReading {
  enum class Verdict : uint8_t {
    kEmpty,
    kTorn,  // not whole: nothing of it was done
    kBad,   // whole, and yet impossible: damage
    kLive,
  };
  Verdict verdict = Verdict::kEmpty;
  LaneEntry entry{};  // the rest is there and checked if it is live
  std::vector<LaneRun> new_runs;
  std::vector<LaneRun> old_runs;
  std::optional<bool> committed;  // whether the next open finishes or undoes it; nothing: damage
  std::vector<RedoStore> stores;  // of a redo entry that was committed
};

class Lanes {
 public:
  Lanes(uint64_t hash_seed, uint64_t first_entry_number)
      : hash_seed_(hash_seed), next_entry_(first_entry_number | 1) {}

  /// A lane for the calling thread; waits while all are taken.
  /// REQUIRES: the thread holds no latch, no read section and no other lane.
  unsigned Acquire();
  /// The same without waiting, so latches may be held; nothing if all are taken.
  std::optional<unsigned> TryAcquire();
  /// The same for this one: whether it was free.
  bool TryAcquire(unsigned lane);
  void Release(unsigned lane);
  /// Waits until every change that is in a lane now has ended: each word or record that decides has
  /// been stored, and shown. REQUIRES: the thread holds no latch, no lane, and nothing that a
  /// lane's holder may wait for.
  void AwaitChanges() const;

  /// The whole protocol for a change that a word decides: writes the new runs' bytes, F1, F2, F3.
  struct RunBytes {
    Pfn pfn;
    unsigned order;
    const std::byte* bytes;
  };
  Status Change(WriteWindow& window, unsigned lane, const LaneChange& change,
                std::span<const RunBytes> fresh);

  /// F1's share: stores and flushes the entry. The caller fences.
  void Enter(WriteWindow& window, unsigned lane, const LaneChange& change);
  /// The same for an entry of stores that lie in the lane (`first_chunk` 0) or in chunks; `state`
  /// is from NextEntryNumber. See redo.h.
  void EnterRedo(WriteWindow& window, unsigned lane, uint64_t state,
                 std::span<const std::byte> stores, uint64_t first_chunk);
  /// A number for an entry.
  uint64_t NextEntryNumber() { return next_entry_.fetch_add(2, std::memory_order_relaxed); }
  uint64_t hash_seed() const { return hash_seed_; }

  /// F2's share: stores and flushes the owner words. The caller stores the word, and fences.
  void SetOwners(WriteWindow& window, const LaneChange& change);
  /// F3's share: empties the lane. The caller fences.
  void Retire(WriteWindow& window, unsigned lane);

  /// What a lane of a pool of `frames` frames holds, for who looks at it from outside. Writes
  /// nothing; bears any bytes.
  static LaneReading Read(const std::byte* base, unsigned lane, uint64_t hash_seed, uint64_t frames,
                          const RecordCheck& record_check);

  /// OK if all lanes are empty, as those of a pool that was closed cleanly are. Writes nothing.
  static Status CheckEmpty(const PersistDomain& domain);
  /// Finishes or undoes what the lanes of a pool of `frames` frames hold, and counts them.
  /// Idempotent; makes durable what it believes. In an overlay nothing becomes durable.
  static Status Recover(PersistDomain& domain, uint64_t hash_seed, uint64_t frames,
                        const RecordCheck& record_check);
  /// The same for one lane, but without first making durable what a killed process has emptied.
  /// Errors: Corruption: it holds what cannot be; nothing was done.
  static Status RecoverOne(PersistDomain& domain, unsigned lane, uint64_t hash_seed,
                           uint64_t frames, const RecordCheck& record_check);

 private:
  const uint64_t hash_seed_;
  std::atomic<uint64_t> next_entry_;
  struct alignas(64) Holder {
    std::atomic<bool> taken{false};
    std::atomic<uint64_t> change{0};  // number of the entry whose change is under way; 0: none
  };
  std::array<Holder, kLanes> holders_;
  std::atomic<uint32_t> waiters_{0};
  std::atomic<uint32_t> releases_{0};
};

/// Holds a lane from when it is first needed to the end of a scope.
class LaneHold {
 public:
  explicit LaneHold(Lanes& lanes) : lanes_(lanes) {}
  ~LaneHold() { LetGo(); }
  LaneHold(const LaneHold&) = delete;
  LaneHold& operator=(const LaneHold&) = delete;
  /// The lane, taken if need be. REQUIRES (unless held()): as for Acquire.
  unsigned Take() {
    if (!lane_) lane_ = lanes_.Acquire();
    return *lane_;
  }
  /// False if there is none at once.
  bool TryTake() { return lane_ || (lane_ = lanes_.TryAcquire()); }
  bool held() const { return lane_.has_value(); }
  /// Gives it back, if there is one; Take may get another.
  void LetGo() {
    if (lane_) lanes_.Release(*lane_);
    lane_.reset();
  }

 private:
  Lanes& lanes_;
  std::optional<unsigned> lane_;
};

}  // namespace tuff
