// Restructure: replaces a full or thin leaf, and what must follow above it, by the lane protocol.
//
//   consolidate  one leaf -> one leaf; its parent's child word is swung
//   split        one leaf -> two; the parent is replaced, up to the first ancestor with room
//   merge        two neighbours under one parent -> one; the parent is replaced
//   root         growth (two nodes need a parent) and shrinking (an only child becomes the root)
//
// All of these are one step at each level: replace one or two adjacent old nodes by one or two new
// ones. New nodes are born latched; everything is prepared in memory beside the pool; then
//   F1 new nodes and lane entry durable, F2 owner words and one word durable (the commit), F3.
// Until Commit nothing has changed and the destructor undoes; after it, Finish must follow.
//
// Latch order: leaf, then upwards; neighbours by try-latch only.
// Thread-safety: one object per change and thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/node_writer.h"
#include "engine/tree.h"

namespace tuff {

class Restructure {
 public:
  Restructure(Tree& tree, unsigned lane) : tree_(tree), map_(tree.map()), lane_(lane) {
    old_.reserve(4 * (kLevelMax + 1));  // taking over a latch must not fail
    other_.reserve(2);
  }
  ~Restructure();
  Restructure(const Restructure&) = delete;
  Restructure& operator=(const Restructure&) = delete;

  /// Makes an empty root leaf. REQUIRES: the anchor's latch is held by the caller and handed over;
  /// the root word is 0. Durable and finished when OK.
  Status MakeRoot();

  struct NewRecord {
    std::string_view key;
    std::string_view value;
    RecordType type;
    NodeView leaf = {};  // set by Rewrite
    size_t offset = 0;   // the same: where it lies in there
  };

  /// Rewrites `leaf` so that `pending` has room. REQUIRES: its latch is held; it is handed over.
  /// When OK the change is committed (F2) and its leaves are still latched: append, then Finish.
  /// On error all latches are released, and nothing has changed, unless the pool is read-only now.
  /// NoSpace may be temporary.
  /// `record`, if given, is `pending` itself: it becomes part of the new leaf of its key, and so
  /// durable with it; to be shown by Finish. REQUIRES then: inside a Versions::InFlight.
  Status Rewrite(const NodeView& leaf, const PendingRecord& pending, NewRecord* record = nullptr);

  /// The same, but only if `leaf` can be merged with a neighbour; else Busy and nothing changed.
  Status Merge(const NodeView& leaf, const PendingRecord& pending);

  /// The new leaf that `key` belongs to. REQUIRES: Rewrite said OK.
  NodeView LeafFor(std::string_view key) const;

  /// The window that is still open after Rewrite; a record stored through it becomes durable with
  /// Finish's fence.
  WriteWindow& window() { return *window_; }

  /// F3: retires the lane, fences. Calls `durable` (once) if that went well, then releases all.
  template <typename Durable>
  Status Finish(const Durable& durable) {
    Status s;
    InOrder(
        OrderOfShowing(), [&] { s = RetireAndFence(); },
        [&] {
          if (s.ok()) durable();
        });
    ReleaseAll();
    return s;
  }

 private:
  struct NewNode {
    NodeView node;  // in the pool; its bytes are written at F1
    unsigned order = 0;
    unsigned level = 0;
    std::unique_ptr<std::byte[]> bytes;
  };
  // One level's change: `old_count` adjacent nodes are replaced by `fresh`.
  struct Level {
    unsigned level = 0;
    std::vector<NodeView> old;      // left to right
    std::vector<ChildEntry> fresh;  // left to right
  };
  enum class Merging : uint8_t { kNever, kMay, kMust };

  Status RewriteOrUndo(const NodeView& leaf, const PendingRecord& pending, Merging merging,
                       NewRecord* record);
  Status AddRecord(NewRecord* record);
  Status RewriteLeaf(const NodeView& leaf, const PendingRecord& pending, Merging merging,
                     bool* merge_failed);
  Status GatherForRewrite(const Leaf& leaf, std::vector<RecordView>* records);
  Status Propagate(Level level, bool may_merge, bool* merge_failed);
  Status ReplaceRoot(const Level& level);
  Status ReplaceInParent(const NodeView& parent, const Level& level, bool may_merge,
                         bool* merge_failed, Level* next);
  Status SpliceParent(const NodeView& parent, const InnerSplice& splice, const Level& level,
                      unsigned order, Level* next);
  bool LatchNeighbour(const NodeView& node, bool right, NodeView* neighbour);
  /// The latched parent of level.old[0]; empty if that is the root: then the anchor is latched.
  Status LatchParent(const Level& level, NodeView* parent);
  AllocFor PurposeOf(const NodeIdentity& id) const;
  Status AddNode(NodeIdentity* id, NewNode** node);
  void Seal(NewNode& node, size_t longest_key);
  Status AddLeaf(const NodePlan::Part& part, std::span<const RecordView> records,
                 std::string_view low, std::optional<std::string_view> high, uint64_t sequence_max,
                 std::vector<ChildEntry>* fresh);
  Status AddInner(unsigned level, const NodePlan::Part& part, std::span<const ChildEntry> children,
                  std::string_view low, std::optional<std::string_view> high,
                  std::vector<ChildEntry>* fresh);
  void AppendChildren(const NodeView& node, std::vector<ChildEntry>* children);
  /// Memory that lives as long as this object.
  char* Room(size_t bytes);
  std::string_view Keep(std::string_view text);
  void SetWord(uint64_t place, uint64_t old_value, uint64_t new_value);
  void AssertState() const;
  Status Commit();
  static const Step* OrderOfShowing();
  Status RetireAndFence();
  void Unlatch();
  void GiveToLimbo();
  void ReleaseAll();
  void Undo(size_t latched_kept);

  Tree& tree_;
  PageMap& map_;
  const unsigned lane_;
  std::vector<std::unique_ptr<NewNode>> fresh_;
  std::vector<NodeView> old_;  // latched; obsolete once committed
  std::vector<Latch*> other_;  // latches of the node whose word is swung, or the anchor
  std::vector<std::unique_ptr<char[]>> kept_;  // text that new nodes are made of
  size_t kept_room_ = 0;
  char* kept_next_ = nullptr;
  LaneChange change_;
  std::vector<Limbo::Run> freed_;  // made of old_ before the commit, after which nothing may fail
  std::vector<Counter> counted_;   // what to count once committed
  std::optional<WriteWindow> window_;
  bool entered_ = false;  // the lane entry may be on the medium: no undoing in memory
  bool committed_ = false;
};

}  // namespace tuff
