// Tree: what follows deletes and batches, so that leaves do not stay thin. All of it is optional.

#include <new>

#include "engine/restructure.h"
#include "engine/tree.h"

namespace tuff {
namespace {

// A leaf with more records than this is not thin: it was written to hold at least 16.
constexpr size_t kThinRecords = 8;

// What may follow a write that has happened: memory that runs out does not undo the write.
template <typename Fn>
void Optionally(const Fn& fn) {
  try {
    fn();
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace

// After a delete: a leaf with little left in it is merged with a neighbour, so that space comes
// back. Failures are left to the next write that meets them.
void Tree::ShrinkLatched(const NodeView& node, std::string_view key, LaneHold* lane,
                         LatchHold* hold) {
  Optionally([&] { MergeIfThin(node, key, lane, hold); });
}

void Tree::MergeIfThin(const NodeView& node, std::string_view key, LaneHold* lane,
                       LatchHold* hold) {
  std::vector<RecordView> alive;
  Leaf leaf(map_, node);
  // At least count - tail_count records are alive: a look is worth its time when that is few.
  const bool maybe =
      leaf.tail_count() + kThinRecords >= node.count() && root_word() != node.child_word();
  if (!maybe || !leaf.Gather(leaf.tail_count(), &alive).ok() ||
      !LeafIsThin(alive, records_per_leaf())) {
    return;
  }
  if (!lane->TryTake()) return;
  Restructure change(*this, lane->Take());
  hold->HandOver();
  if (change.Merge(node, {key, 0}).ok()) (void)change.Finish([] {});
}

void Tree::Shrink(std::string_view key, LaneHold* lane) {
  Optionally([&] {
    const Versions::WriterMark mark(versions_, object_id_);
    NodeView node;
    if (root_word() == 0 || !LatchLeaf(key, lane, &node).ok()) return;
    LatchHold hold(map_.memmap().At(node.pfn()).latch, std::adopt_lock);
    ShrinkLatched(node, key, lane, &hold);
  });
}

void Tree::Compact(std::string_view key, LaneHold* lane) {
  Optionally([&] {
    const Versions::WriterMark mark(versions_, object_id_);
    NodeView node;
    if (!LatchLeaf(key, lane, &node).ok()) return;
    LatchHold hold(map_.memmap().At(node.pfn()).latch, std::adopt_lock);
    if (Leaf(map_, node).tail_count() <= node.count() || root_word() == node.child_word()) return;
    if (!lane->TryTake()) return;
    Restructure change(*this, lane->Take());
    hold.HandOver();
    if (change.Merge(node, {key, 0}).ok()) (void)change.Finish([] {});
  });
}

}  // namespace tuff
