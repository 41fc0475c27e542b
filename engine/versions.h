// Versions: which sequence numbers are under way, which snapshots there are, and what is kept for
// them. The model of it is docs/models/versions.pml.
//
// A writer shows, under its leaf's latch, a lower bound of its number before it takes the number
// (InFlight). A snapshot S is registered with the newest number, then waits until no bound shown is
// at or below it. Whoever rewrites a leaf first copies out what registered snapshots need of the
// records it drops (Retain), then swings the word. Kept versions are volatile, as snapshots are:
// they never make a write fail (a snapshot expires instead), nor is a byte of the pool spent.
//
// A reader at S takes a leaf's newest record at or below S. If there is none, and the leaf has been
// rewritten since S (its sequence_max is above S), a kept version may be it.
//
// Ownership: one for each open pool. Thread-safety: all functions from any thread.
// Order of locks: registry, then table; a leaf's latch comes before both.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/record.h"
#include "pagemap/page_map.h"
#include "tuff/snapshot.h"

namespace tuff {

/// As the number of a read that sees what is newest.
inline constexpr uint64_t kNewest = ~0ull;

/// A superseded put, kept for the snapshots from `sequence` to below `next`.
struct KeptVersion {
  std::string key;
  std::string value;
  uint64_t sequence = 0;
  uint64_t next = 0;
};
using KeptVersionPtr = std::shared_ptr<const KeptVersion>;

class Versions {
 public:
  /// `memory_bytes_max`: 0 is no bound.
  Versions(PageMap& map, uint64_t memory_bytes_max);

  // Writers.

  /// Says that the calling thread writes to an object, for whoever must wait until nobody does.
  /// Encloses every write.
  class WriterMark {
   public:
    static constexpr uint32_t kAllObjects = ~0u;  // a batch
    WriterMark(Versions* versions, uint32_t object_id);
    ~WriterMark();
    WriterMark(const WriterMark&) = delete;
    WriterMark& operator=(const WriterMark&) = delete;

   private:
    Versions* const versions_;
    const unsigned slot_;
  };
  /// Encloses taking a number, making its records durable and showing them.
  /// REQUIRES: inside a WriterMark; the latches of all leaves written are held.
  class InFlight {
   public:
    explicit InFlight(Versions* versions);
    ~InFlight();
    InFlight(const InFlight&) = delete;
    InFlight& operator=(const InFlight&) = delete;
    /// Records of `number` are not to be seen yet, though they are shown leaf by leaf.
    void Pend(uint64_t number);

   private:
    Versions* const versions_;
    const unsigned slot_;
    bool pending_ = false;
  };
  /// Waits until every write to the object that is marked now has ended.
  void AwaitWriters(uint32_t object_id) const;

  /// True for a batch's number while not all its records are shown.
  bool IsPending(uint64_t sequence) const {
    return pending_count_.load(std::memory_order_acquire) != 0 && FindPending(sequence);
  }

  // Snapshots.

  Result<const Snapshot*> Take();
  void Release(const Snapshot* snapshot);
  /// The same without an object; `sequence` must be given back.
  Result<uint64_t> Register();
  /// One more reader at a registered number.
  void Share(uint64_t sequence);
  void Unregister(uint64_t sequence);

  struct Summary {
    uint64_t snapshots = 0;  // registered readers
    uint64_t taken = 0;      // Snapshot objects
    uint64_t age_ns_max = 0;
    uint64_t versions = 0;
    uint64_t bytes = 0;
    uint64_t expired = 0;
    uint64_t taken_age_ns_max = 0;  // of Snapshot objects
  };
  Summary Summarize() const;

  // Kept versions.

  /// True if a rewritten leaf must be asked for what to keep. REQUIRES: its latch is held.
  bool HasSnapshots() const;
  /// Keeps what snapshots need of `records`: all of a latched leaf's, by key, newest first. Those
  /// numbered below `filled_at` came true then.
  void Retain(uint32_t object_id, std::span<const RecordView> records, uint64_t filled_at);
  /// The kept version of `key` at `sequence`; null if it was not there then.
  Result<KeptVersionPtr> Find(uint32_t object_id, std::string_view key, uint64_t sequence) const;
  /// All in [low, high) at `sequence`, in key order. No `high`: to the last key.
  Status FindAll(uint32_t object_id, std::string_view low, const std::string_view* high,
                 uint64_t sequence, std::vector<KeptVersionPtr>* found) const;
  /// A dropped object's are of no use.
  void Forget(uint32_t object_id);

 private:
  static constexpr uint64_t kNothing = ~0ull;
  struct alignas(64) Slot {
    std::atomic<uint64_t> bound{kNothing};
    std::atomic<uint64_t> pending{0};
    std::atomic<uint64_t> mark{0};  // 0: writes nothing; else a count << 32 | object id
    uint64_t marks = 0;             // the owner's
  };
  struct Registered {
    uint64_t sequence;
    uint64_t readers;
    uint64_t taken;  // of them, Snapshot objects
    uint64_t since_ns;
  };
  struct Key {
    uint32_t object_id;
    std::string key;
  };
  struct KeyView {
    uint32_t object_id;
    std::string_view key;
  };
  struct KeyLess {
    using is_transparent = void;
    static KeyView View(const Key& k) { return {k.object_id, k.key}; }
    static KeyView View(const KeyView& k) { return k; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      const KeyView x = View(a);
      const KeyView y = View(b);
      return x.object_id != y.object_id ? x.object_id < y.object_id : x.key < y.key;
    }
  };
  using Table = std::map<Key, std::vector<KeptVersionPtr>, KeyLess>;

  Result<uint64_t> RegisterAs(bool taken);
  void UnregisterAs(uint64_t sequence, bool taken);
  void ShowStatus(bool now);
  bool FindPending(uint64_t sequence) const;
  void AwaitBelow(uint64_t sequence) const;
  /// The largest registered number in [from, to), of those not expired; 0: none.
  uint64_t NeededBy(uint64_t from, uint64_t to) const;
  void Keep(uint32_t object_id, const RecordView& record, uint64_t sequence, uint64_t next,
            uint64_t needed_by);
  bool LetGoSome(uint64_t sequence);
  void EraseVersion(Table::iterator at, uint64_t sequence);
  void ExpireOldest();
  Status CheckExpired(uint64_t sequence) const;

  PageMap& map_;
  const uint64_t memory_bytes_max_;
  std::array<Slot, kThreadSlots + 1> slots_;
  std::mutex overflow_mutex_;  // whoever has no slot of its own writes alone
  std::atomic<unsigned> slots_used_{0};
  std::atomic<uint32_t> pending_count_{0};

  mutable std::mutex registry_mutex_;
  std::vector<Registered> registered_;  // ascending; guarded by registry_mutex_
  // The same: of what is kept, all whose largest needing number this is.
  std::map<uint64_t, std::vector<std::pair<Table::iterator, uint64_t>>> attached_;
  uint64_t taken_ = 0;     // guarded by registry_mutex_
  uint64_t shown_ns_ = 0;  // the same: when others were last told
  std::atomic<uint64_t> expired_below_{0};
  uint64_t expired_count_ = 0;  // guarded by registry_mutex_

  mutable std::shared_mutex table_mutex_;  // written with registry_mutex_ held, too
  Table table_;
  std::atomic<uint64_t> versions_{0};
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace tuff
