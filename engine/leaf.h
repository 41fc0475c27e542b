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

class Leaf {
 public:
  Leaf(PageMap& map, const NodeView& node)
      : map_(map), node_(node), head_(map.memmap().At(node.pfn())) {}

  const NodeView& node() const { return node_; }
  Descriptor& head() const { return head_; }
  bool tail_built() const { return head_.Has(Descriptor::kTailBuilt); }

  /// Finds the newest record of `key`, a put or a delete, checksum verified. False: none.
  /// REQUIRES: tail_built().
  Result<bool> Find(std::string_view key, RecordView* record) const;

  /// The visible logged records' count, and each one's byte offset in the node.
  size_t tail_count() const { return head_.tail_count.load(std::memory_order_acquire); }
  size_t TailOffset(size_t i) const;

  /// The newest record of every key, in key order, from the base and the first `tail_count` logged
  /// records; deletes included only if `with_deletes`. Records are verified.
  Status Gather(size_t tail_count, std::vector<RecordView>* records) const;

  /// The highest sequence number the leaf has held.
  uint64_t SequenceMax() const;

  // Under the latch.

  /// Builds the tail index. Errors: Corruption (damage that no crash explains), Io.
  Status BuildTail();
  /// True if a record of `bytes` bytes fits the log.
  bool HasRoom(size_t bytes) const;
  /// The same for a put, which leaves room for a delete in a full pool (see ShrinkRoom).
  bool HasRoomForPut(size_t key_bytes, size_t bytes) const;
  size_t tail_end() const { return size_t{head_.tail_end} * 8; }
  /// Cuts off what a crash has torn, durably. REQUIRES: tail_built().
  Status CutTornTail();
  /// Shows a durable record to readers.
  void Publish(std::string_view key, size_t offset, size_t bytes);

  /// Makes the descriptors those of a new leaf or inner node without a log. Under the latch.
  static void ResetTail(Descriptor& head, const NodeView& node);

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
  bool ValidRecordBehind(size_t offset) const;
  void AssertState() const;

  PageMap& map_;
  NodeView node_;
  Descriptor& head_;
};

}  // namespace tuff
