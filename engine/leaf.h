// Leaves: finding a key, the tail index over the log, and gathering what is alive.
//
// The log on the medium is only records, one behind the other, then zeros. Which of them there are
// is kept in the leaf's descriptors (the tail index), built at the leaf's first touch after a
// mount by walking the log and checking every record.
// Thread-safety: Find and Snapshot run beside the one writer that holds the leaf's latch.
#pragma once

#include <vector>

#include "engine/node.h"
#include "pagemap/page_map.h"

namespace tuff {

/// Logged records that a leaf of this order can hold.
constexpr size_t TailSlots(unsigned order) { return size_t{Descriptor::kTailSlots} << order; }

inline constexpr size_t kTailSlotsMax = TailSlots(kNodeOrderMax);

// A logged record for sorting: most comparisons are settled by the keys' heads.
struct SortedLog {
  uint64_t head;
  const RecordView* record;

  bool operator<(const SortedLog& other) const {
    if (head != other.head) return head < other.head;
    const int order = record->key.compare(other.record->key);
    return order != 0 ? order < 0 : record > other.record;  // a key's newest first
  }
};

class Leaf {
 public:
  Leaf(PageMap& map, const NodeView& node)
      : map_(map), node_(node), head_(map.memmap().At(node.pfn())) {}

  const NodeView& node() const { return node_; }
  Descriptor& head() const { return head_; }
  bool tail_built() const { return head_.Has(Descriptor::kTailBuilt); }
  /// Built, and nothing torn behind it.
  bool tail_whole() const {
    constexpr uint32_t kBoth = Descriptor::kTailBuilt | Descriptor::kTornTail;
    return (head_.flags.load(std::memory_order_acquire) & kBoth) == Descriptor::kTailBuilt;
  }

  /// Finds the newest record of `key` that `may_see(sequence)` allows, a put or a delete, checksum
  /// verified. False: none. REQUIRES: tail_built().
  template <typename MaySee>
  Result<bool> Find(std::string_view key, RecordView* record, const MaySee& may_see) const;
  /// The newest of all.
  Result<bool> Find(std::string_view key, RecordView* record) const {
    return Find(key, record, [](uint64_t) { return true; });
  }

  /// Has the memory fetched that the next record may go to.
  void PrefetchLogEnd() const {
    const std::byte* const last = node_.data() + tail_end_hint();
    for (size_t line = 0; line < 5; line++) __builtin_prefetch(last + 64 * line, 1);
  }
  /// Has the memory fetched that Find(key) will read, for many look-ups at once.
  void Prefetch(std::string_view key) const;

  /// The visible logged records' count, and each one's byte offset in the node.
  size_t tail_count() const { return head_.tail_count.load(std::memory_order_acquire); }
  size_t TailOffset(size_t i) const;
  /// Logged record i, checked. False: it is damaged.
  bool LoggedRecord(size_t i, RecordView* record) const;

  /// All records of the base and the first `tail_count` logged ones, by key, a key's newest first.
  /// Records are verified.
  Status GatherAll(size_t tail_count, std::vector<RecordView>* records) const;
  /// The newest logged record of every key at or below `sequence`, in key order; deletes, too.
  /// `sorted` refers to `records`, of which there may be more. Records are verified.
  Status GatherLog(size_t tail_count, uint64_t sequence, std::vector<RecordView>* records,
                   std::vector<SortedLog>* sorted) const;
  /// True if the checksum over the base is right, and so are the records' in it.
  bool BaseIsWhole() const;
  /// Base record i, verified; false if it is damaged.
  bool ReadBase(size_t i, RecordView* record) const;
  Status DamagedBase(size_t i) const;
  /// The newest record of every key, in key order; deletes left out.
  Status Gather(size_t tail_count, std::vector<RecordView>* records) const {
    return GatherAt(tail_count, ~0ull, false, records);
  }
  /// The same at or below `sequence`; deletes too, if `with_deletes`.
  Status GatherAt(size_t tail_count, uint64_t sequence, bool with_deletes,
                  std::vector<RecordView>* records) const;

  /// The highest sequence number the leaf has held.
  uint64_t SequenceMax() const;

  /// About where the next record goes, for a prefetch: after the last that is shown.
  size_t tail_end_hint() const {
    const size_t n = tail_count();
    return n == 0 ? node_.base_end() : TailOffset(n - 1);
  }

  // Under the latch.

  /// Builds the tail index. Errors: Corruption (damage that no crash explains), Io.
  Status BuildTail();
  /// True if `records` records of `bytes` bytes together fit the log.
  bool HasRoom(size_t bytes, size_t records = 1) const;
  /// The same for puts with keys of up to `key_bytes`, which leave room for a delete in a full pool
  /// (see ShrinkRoom).
  bool HasRoomForPut(size_t key_bytes, size_t bytes, size_t records = 1) const;
  size_t tail_end() const { return size_t{head_.tail_end} * 8; }
  /// Cuts off what a crash has torn, durably. REQUIRES: tail_built().
  Status CutTornTail();
  /// Shows a durable record to readers.
  void Publish(std::string_view key, size_t offset, size_t bytes, bool in_group = false);

  /// Makes the descriptors those of a new leaf or inner node without a log, whose longest key has
  /// `key_bytes`. Under the latch.
  static void ResetTail(Descriptor& head, size_t base_end, size_t key_bytes);

 private:
  Descriptor& TailDescriptor(size_t i) const {
    return map_.memmap().At(node_.pfn() + i / Descriptor::kTailSlots);
  }
  uint64_t SeedAt(size_t offset) const {
    return RecordSeed(map_.hash_seed(), node_.number(), offset);
  }
  bool CandidateIsDamaged(const RecordView& record) const {
    return !VerifyRecord(record, SeedAt(record.offset));
  }
  static bool MayPass();  // what Find has found damaged; false but for a mutant
  bool IsDamaged() const;
  Status CheckBase() const;
  Status SortLog(size_t tail_count, std::vector<RecordView>* records,
                 std::vector<SortedLog>* sorted) const;
  Status DamagedLog(size_t i) const;
  void AssertState() const;

  PageMap& map_;
  NodeView node_;
  Descriptor& head_;
};

template <typename MaySee>
Result<bool> Leaf::Find(std::string_view key, RecordView* record, const MaySee& may_see) const {
  const uint8_t wanted = Fingerprint(key);
  for (size_t i = tail_count(); i-- > 0;) {
    if (TailDescriptor(i).tail_fingerprint[i % Descriptor::kTailSlots] != wanted) continue;
    // A candidate whose key differs is checked as well: its key may be what is damaged.
    if (!LoggedRecord(i, record)) return DamagedLog(i);
    if (record->key == key && may_see(SequenceOf(record->sequence_and_type))) return true;
  }
  bool damaged = false;
  size_t index = 0;
  const bool found = AnyMatch(node_.fingerprints(), node_.count(), wanted, [&](size_t i) {
    index = i;
    if (!node_.BaseRecord(i, record)) return damaged = true;
    if (CandidateIsDamaged(*record) && !MayPass()) [[unlikely]]
      return damaged = true;
    if (record->key == key) return may_see(SequenceOf(record->sequence_and_type));
    return damaged = Fingerprint(record->key) != wanted;  // not the record that was meant
  });
  if (damaged) return DamagedBase(index);
  return found;
}

}  // namespace tuff
