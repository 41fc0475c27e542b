// Tree: one ordered map of records in a pool. Serves stores and the catalogue.
//
// Readers take no latch: inside an RCU read section they follow child words from the root word in
// the object's anchor down to a leaf. Writers latch the leaf, append a record to its log, flush,
// fence, and show it to readers; a full leaf is restructured (restructure.h).
//
// Invariants, checked by CheckTree (check.h) and, where cheap, by asserts:
//   T1  a child word names a node one level lower whose range is the one its separators say
//   T2  every key lies in exactly one leaf's range; base and separators are sorted
//   T3  an obsolete node is never changed, and its memory stays until its grace period is over
//   T4  only the holder of a leaf's latch appends to it; only the holder of an inner node's latch
//       swings its child words; the anchor's latch guards the root word
// Ownership: borrows the PageMap. Thread-safety: all public functions from any thread.
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "engine/leaf.h"
#include "engine/node.h"
#include "engine/object_format.h"
#include "pagemap/page_map.h"

namespace tuff {

/// Which leaf a descent ends in: the one whose range holds the key, or the one that holds the
/// largest keys below it.
enum class SeekTo : uint8_t { kAt, kBefore };

/// A leaf at one moment, pinned: its bytes stay until Release. Not pinned if `node` is empty.
struct LeafSnapshot {
  NodeView node;
  size_t tail_count = 0;
};

class Tree {
 public:
  Tree(PageMap& map, uint32_t object_id, Pfn anchor)
      : map_(map), object_id_(object_id), anchor_(anchor) {}

  // The engine of Store::Put, Delete, Get, GetPinned; see store.h for the errors.
  Status Put(std::string_view key, std::string_view value);
  Status Delete(std::string_view key);
  Status Get(std::string_view key, std::string* value);
  /// The value in place; its frame is pinned. Unpin(*pfn) lets it go.
  Status GetPinned(std::string_view key, std::string_view* value, Pfn* pfn);
  void Unpin(Pfn pfn);

  /// Puts a record and, in the same event, gives `run` to its owner (a new object's anchor).
  /// `frame` is the run's content.
  Status PutWithRun(std::string_view key, std::string_view value, const LaneRun& run,
                    std::span<const std::byte> frame);

  /// Pins the leaf that a descent to `key` ends in, with a built tail index. An empty tree gives
  /// an empty snapshot.
  Status PinLeaf(std::string_view key, SeekTo seek, LeafSnapshot* snapshot);

  PageMap& map() { return map_; }
  uint32_t object_id() const { return object_id_; }
  Pfn anchor() const { return anchor_; }
  uint64_t root_place() const { return OffsetOf(anchor_) + offsetof(Anchor, root); }
  uint64_t root_word() const { return Load64(map_.base() + root_place()); }
  Latch& anchor_latch() { return map_.memmap().Touch(anchor_).latch; }
  /// True once something has been written since the pool was opened.
  bool changed() const { return changed_.load(std::memory_order_relaxed); }
  /// Iterators and pinned values alive.
  uint64_t pins() const { return pins_.load(std::memory_order_relaxed); }

  // For Restructure and CheckTree.

  /// Turns a child word into a node that may be read: bounds, owner word, checksum (at the first
  /// touch since the mount), level (unless -1), tag. REQUIRES: inside a read section, or the tree
  /// is at rest.
  Status Visit(uint64_t word, int level, NodeView* node);
  /// From the root down to level `stop`. `*node` stays empty for an empty tree.
  /// REQUIRES: inside a read section. Errors: Corruption.
  Status Descend(std::string_view key, SeekTo seek, unsigned stop, NodeView* node);
  /// True if `node`, whose latch the caller holds, is in use by this tree at `level`.
  bool IsLive(const NodeView& node, unsigned level) const;

 private:
  friend class Restructure;

  Status VerifyFirst(const NodeView& node, Descriptor& descriptor);
  bool MayReclaim(RecordType type, int tries);
  /// Latches the leaf of `key`, tail built and whole; makes a root leaf if there is none.
  Status LatchLeaf(std::string_view key, LaneHold* lane, NodeView* leaf);
  Status MakeRoot(unsigned lane);
  Status BuildTail(const NodeView& leaf);
  Status Write(std::string_view key, std::string_view value, RecordType type);
  Status WriteOnce(std::string_view key, std::string_view value, RecordType type, LaneHold* lane);
  Status Append(const NodeView& leaf, std::string_view key, std::string_view value,
                RecordType type);
  Status AppendWithRun(const NodeView& leaf, std::string_view key, std::string_view value,
                       unsigned lane, const LaneRun& run, std::span<const std::byte> frame);
  Status PutWithRunOnce(std::string_view key, std::string_view value, LaneHold* lane,
                        const LaneRun& run, std::span<const std::byte> frame);
  void ShrinkAfterDelete(const NodeView& leaf, std::string_view key, LaneHold* lane,
                         LatchHold* hold);
  template <typename Use>
  Status FindAnd(std::string_view key, const Use& use);

  PageMap& map_;
  const uint32_t object_id_;
  const Pfn anchor_;
  std::atomic<bool> changed_{false};
  std::atomic<uint64_t> pins_{0};
};

/// A thread's own buffer of at least n bytes, good until its next call. For one record.
std::byte* RecordScratch();

}  // namespace tuff
