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
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/leaf.h"
#include "engine/node.h"
#include "engine/node_writer.h"
#include "engine/object_format.h"
#include "engine/versions.h"
#include "pagemap/page_map.h"

namespace tuff {

/// Which leaf a descent ends in: the one whose range holds the key, or the one that holds the
/// largest keys below it.
enum class SeekTo : uint8_t { kAt, kBefore };

/// Where a descent has come to a node: child `slot` of `parent`. Empty: it is the root.
struct ParentSlot {
  NodeView parent;
  uint64_t number = 0;  // the parent's
  size_t slot = 0;
  uint64_t root = 0;  // the tree's root word

  /// The slot of the node that comes next in this direction; out of bounds if there is none.
  size_t Beside(SeekTo seek) const { return seek == SeekTo::kAt ? slot + 1 : slot - 1; }
};

/// A leaf at one moment, pinned: its bytes stay until Release. Not pinned if `node` is empty.
struct LeafSnapshot {
  NodeView node;
  size_t tail_count = 0;
  size_t lines = 0;  // cache lines with records, about
  Pfn beside = 0;    // a hint: the frame of the leaf that comes next in the direction of the seek
  ParentSlot place;  // neither pinned nor latched: to be looked at again
};

/// A put's record as a reader found it: in a leaf, or kept for a snapshot.
struct FoundValue {
  std::string_view value;
  Pfn pfn = 0;  // of the leaf; 0: `kept` holds it
  KeptVersionPtr kept;
  uint64_t sequence = 0;
};

/// What must be true of a key for a write to happen; else it answers Conflict.
struct Precondition {
  enum class Kind : uint8_t {
    kNone,
    kSequence,  // its newest record is a put of this number; 0: it has none
    kValue,     // its value is this one; nullopt: it has none
  };
  Kind kind = Kind::kNone;
  uint64_t sequence = 0;
  std::optional<std::string_view> value = {};
};

class Consolidator;
class GroupCommit;

class Tree {
 public:
  /// Without `versions`, nobody may have a snapshot of this tree.
  Tree(PageMap& map, uint32_t object_id, Pfn anchor, Versions* versions = nullptr);
  ~Tree();

  // The engine of Store::Put, Delete, Get, GetPinned, CompareAndSwap; see store.h for the errors.
  Status Put(std::string_view key, std::string_view value, const Precondition& precondition = {});
  Status Delete(std::string_view key, const Precondition& precondition = {});
  /// The value at `sequence`, which must be registered or kNewest, and the number of its record.
  Status Get(std::string_view key, uint64_t sequence, std::string* value, uint64_t* found_sequence);
  Status Get(std::string_view key, std::string* value) { return Get(key, kNewest, value, nullptr); }
  /// The value in place: kept, or its frame is pinned. Unpin(found->pfn) lets it go.
  Status GetPinned(std::string_view key, uint64_t sequence, FoundValue* found);
  void Unpin(Pfn pfn);
  /// Get for many keys; see Store::MultiGet.
  void MultiGet(std::span<const std::string_view> keys, uint64_t sequence, std::string* values,
                Status* statuses);

  /// Puts a record and, in the same event, gives `run` to its owner (a new object's anchor).
  /// `frame` is the run's content.
  Status PutWithRun(std::string_view key, std::string_view value, const LaneRun& run,
                    std::span<const std::byte> frame);

  /// Deletes a record and, in the same event, frees `run`.
  Status DeleteWithRun(std::string_view key, const LaneRun& run);

  /// Has the memory fetched that writes to these keys will need, for many at once.
  void PrefetchForWrites(std::span<const std::string_view> keys);
  static constexpr size_t kInterleaved = 16;  // look-ups whose waits for memory overlap

  /// Pins the leaf that a descent to `key` ends in, with a built tail index. An empty tree gives
  /// an empty snapshot. If `*snapshot` still holds the place of the leaf in front, that leaf's
  /// parent is asked first.
  Status PinLeaf(std::string_view key, SeekTo seek, LeafSnapshot* snapshot);

  PageMap& map() { return map_; }
  uint32_t object_id() const { return object_id_; }
  Pfn anchor() const { return anchor_; }
  uint64_t root_place() const { return OffsetOf(anchor_) + offsetof(Anchor, root); }
  uint64_t root_word() const { return Load64(map_.base() + root_place()); }
  Latch& anchor_latch() { return map_.memmap().Touch(anchor_).latch; }
  /// Snapshots older than `number` see none of the tree's records: it was filled then, at once.
  void SetFilledAt(uint64_t number) { filled_at_.store(number, std::memory_order_release); }
  uint64_t filled_at() const { return filled_at_.load(std::memory_order_acquire); }
  /// For PlanLeaf.
  size_t records_per_leaf() const {
    const bool page = map_.domain().medium().granularity() == Granularity::kPage;
    return page ? kRecordsPerLeafUnderPage : kRecordsPerLeaf;
  }
  /// True once something has been written since the pool was opened.
  bool changed() const { return changed_.load(std::memory_order_relaxed); }
  /// Iterators and pinned values alive.
  uint64_t pins() const { return pins_.load(std::memory_order_relaxed); }

  /// While it is frozen, writers wait; once it is dropped, everybody is told NotFound.
  enum class Gate : uint8_t { kOpen, kFrozen, kDropped };
  /// Closes the gate and waits until all who came in before have gone: writers, and readers of this
  /// moment. REQUIRES: no latch and no read section held, versions().
  void CloseGate(Gate gate);
  Gate gate() const { return gate_.load(std::memory_order_acquire); }
  void OpenGate() { gate_.store(Gate::kOpen, std::memory_order_release); }
  Versions* versions() const { return versions_; }

  // For Restructure, BatchWriter and CheckTree.

  /// Latches the leaf of `key`, tail built and whole; makes a root leaf if there is none. Who holds
  /// other latches must say so: then the leaf's frame is pinned while its latch is waited for, or
  /// it might be that of another node by then, and somebody wait for us (docs/models/pin.pml).
  /// Errors: Busy (frozen), NotFound (dropped), Corruption, NoSpace, ReadOnly, Io.
  Status LatchLeaf(std::string_view key, LaneHold* lane, NodeView* leaf, bool holds_others = false);
  /// OK or Conflict. REQUIRES: the leaf's latch is held.
  Status CheckPrecondition(const Leaf& leaf, std::string_view key, const Precondition& condition);
  /// After deletes: merges the leaf of `key` if it is thin and can be.
  void Shrink(std::string_view key, LaneHold* lane);
  /// After many writes to neighbouring keys at once, which logs alone hold: merges the leaf of
  /// `key`, if its log has most of it, with a neighbour, if the two fit into one node.
  void Compact(std::string_view key, LaneHold* lane);
  /// Rewrites a leaf, if it is still there and nobody is writing to it, that has no room for a
  /// put of `record_bytes` with a key of `key_bytes`; OK if there is nothing to do. REQUIRES: no
  /// latch and no read section held. Errors: Busy (frozen), NotFound (dropped), Corruption,
  /// NoSpace, ReadOnly, Io; no record is lost by them.
  Status ConsolidateIfFull(const NodeView& leaf, uint64_t number, size_t key_bytes,
                           size_t record_bytes);
  /// Is told of leaves that puts have filled.
  void SetConsolidator(Consolidator* consolidator) { consolidator_ = consolidator; }
  /// After a Busy of LatchLeaf: waits until the gate is not frozen. REQUIRES: not marked as writer,
  /// no lane held.
  void AwaitThaw() const;
  void MarkChanged() {
    if (!changed()) changed_.store(true, std::memory_order_relaxed);
  }

  /// Turns a child word into a node that may be read: bounds, owner word, checksum (at the first
  /// touch since the mount), level (unless -1), tag. REQUIRES: inside a read section, or the tree
  /// is at rest.
  Status Visit(uint64_t word, int level, NodeView* node);
  /// From the root down to level `stop`. `*node` stays empty for an empty tree.
  /// REQUIRES: inside a read section. Errors: Corruption.
  Status Descend(std::string_view key, SeekTo seek, unsigned stop, NodeView* node,
                 ParentSlot* place = nullptr);
  /// Has a node's descriptor and first lines fetched.
  void PrefetchNode(Pfn pfn, size_t lines) const;
  /// True if `node`, whose latch the caller holds, has not been replaced. If it has the number
  /// that was seen on the way to it, too, it is the same node.
  bool IsInUse(const NodeView& node) const;
  /// True if it is moreover this tree's, and at `level`.
  bool IsLive(const NodeView& node, unsigned level) const;
  /// For who has latched the node `number` and found it not live: damage, if `*stale` says that it
  /// was so before. Who replaces a node swings the word to it first, so no sound tree leads there
  /// again. Begin with `*stale` 0.
  Status LedToStale(const NodeView& node, uint64_t number, uint64_t* stale) const;

 private:
  friend class Restructure;

  bool StepBeside(std::string_view key, SeekTo seek, ParentSlot* place, NodeView* leaf) const;
  bool VisitKnown(uint64_t word, unsigned level, NodeView* node) const;
  Status VerifyFirst(const NodeView& node, Descriptor& descriptor);
  Status CheckGate() const;
  Status MakeRoot(unsigned lane);
  Status BuildTail(const NodeView& leaf, uint64_t number, uint64_t* stale);
  Status Write(std::string_view key, std::string_view value, RecordType type,
               const Precondition& precondition);
  Status WriteTogether(std::string_view key, std::string_view value, RecordType type,
                       const Precondition& precondition, LaneHold* lane);
  Status WriteOnce(std::string_view key, std::string_view value, RecordType type,
                   const Precondition& precondition, LaneHold* lane);
  Status Append(const NodeView& leaf, std::string_view key, std::string_view value,
                RecordType type);
  struct RunChange {
    RecordType type;
    LaneRun run;
    std::span<const std::byte> frame;  // a put's
  };
  Status WriteWithRun(std::string_view key, std::string_view value, const RunChange& change);
  Status WriteWithRunOnce(std::string_view key, std::string_view value, LaneHold* lane,
                          const RunChange& change);
  Status AppendWithRun(const NodeView& leaf, std::string_view key, std::string_view value,
                       unsigned lane, const RunChange& with);
  Status MergeIfThin(const NodeView& leaf, std::string_view key, LaneHold* lane, LatchHold* hold);
  void ShrinkLatched(const NodeView& leaf, std::string_view key, LaneHold* lane, LatchHold* hold);
  Result<bool> FindIn(const Leaf& leaf, std::string_view key, uint64_t sequence,
                      RecordView* record) const;
  void DescendTogether(std::span<const std::string_view> keys, uint64_t sequence, NodeView* nodes);
  Result<KeptVersionPtr> FindKept(std::string_view key, uint64_t sequence) const;
  template <typename Use>
  Status FindAnd(std::string_view key, uint64_t sequence, const Use& use);

  PageMap& map_;
  const uint32_t object_id_;
  const Pfn anchor_;
  Versions* const versions_;
  const std::unique_ptr<GroupCommit> group_commit_;  // of a store under PAGE
  Consolidator* consolidator_ = nullptr;
  std::atomic<Gate> gate_{Gate::kOpen};
  std::atomic<uint64_t> filled_at_{0};
  std::atomic<bool> changed_{false};
  std::atomic<uint64_t> pins_{0};
};

/// After a NoSpace, empties limbo: true if another try makes sense. Called with 0, 1, ... `tries`.
/// `shrinking`: only deletes are wanted, which may wait for the reserve.
bool MayReclaim(PageMap& map, bool shrinking, int tries);

Status OfAnotherRange(const NodeView& leaf);
Status NoSuchKey();
Status CheckKey(std::string_view key);
Status CheckRecord(std::string_view key, std::string_view value);

/// A thread's own buffer of at least n bytes, good until its next call. For one record.
std::byte* RecordScratch();

}  // namespace tuff
