// Tree: what follows writes, so that leaves do not stay thin, or full. All of it is optional:
// memory that runs out here does not undo a write that has happened.

#include "engine/no_throw.h"
#include "engine/restructure.h"
#include "engine/tree.h"

namespace tuff {
namespace {

// A leaf with more records than this is not thin: it was written to hold at least 16.
constexpr size_t kThinRecords = 8;

}  // namespace

// After a delete: a leaf with little left in it is merged with a neighbour, so that space comes
// back. Failures are left to the next write that meets them.
void Tree::ShrinkLatched(const NodeView& node, std::string_view key, LaneHold* lane,
                         LatchHold* hold) {
  (void)NoThrow([&] { return MergeIfThin(node, key, lane, hold); });
}

Status Tree::MergeIfThin(const NodeView& node, std::string_view key, LaneHold* lane,
                         LatchHold* hold) {
  std::vector<RecordView> alive;
  Leaf leaf(map_, node);
  // At least count - tail_count records are alive: a look is worth its time when that is few.
  const bool maybe =
      leaf.tail_count() + kThinRecords >= node.count() && root_word() != node.child_word();
  if (!maybe || !leaf.Gather(leaf.tail_count(), &alive).ok() ||
      !LeafIsThin(alive, records_per_leaf()) || !lane->TryTake()) {
    return Status();
  }
  Restructure change(*this, lane->Take());
  hold->HandOver();
  if (Status s = change.Merge(node, {key, 0}); !s.ok()) return s;
  return change.Finish([] {});
}

void Tree::Shrink(std::string_view key, LaneHold* lane) {
  (void)NoThrow([&] {
    const Versions::WriterMark mark(versions_, object_id_);
    if (root_word() == 0) return Status();
    NodeView node;
    if (Status s = LatchLeaf(key, lane, &node); !s.ok()) return s;
    LatchHold hold(map_.memmap().At(node.pfn()).latch, std::adopt_lock);
    return MergeIfThin(node, key, lane, &hold);
  });
}

void Tree::Compact(std::string_view key, LaneHold* lane) {
  (void)NoThrow([&] {
    const Versions::WriterMark mark(versions_, object_id_);
    NodeView node;
    if (Status s = LatchLeaf(key, lane, &node); !s.ok()) return s;
    LatchHold hold(map_.memmap().At(node.pfn()).latch, std::adopt_lock);
    const bool dense = Leaf(map_, node).tail_count() > node.count();
    if (!dense || root_word() == node.child_word() || !lane->TryTake()) return Status();
    Restructure change(*this, lane->Take());
    hold.HandOver();
    if (Status s = change.Merge(node, {key, 0}); !s.ok()) return s;
    return change.Finish([] {});
  });
}

Status Tree::ConsolidateIfFull(const NodeView& node, uint64_t number, size_t key_bytes,
                               size_t record_bytes) {
  map_.domain().AdmitThread();
  const Versions::WriterMark mark(versions_, object_id_);
  if (Status s = CheckGate(); !s.ok()) return s;
  if (Status s = map_.domain().CheckWritable(); !s.ok()) return s;
  LaneHold lane(map_.lanes());
  const unsigned taken = lane.Take();
  Latch& latch = map_.memmap().At(node.pfn()).latch;
  if (!latch.TryLock()) return Status();
  LatchHold hold(latch, std::adopt_lock);
  if (!IsLive(node, 0) || node.number() != number) return Status();
  const Leaf leaf(map_, node);
  if (!leaf.tail_whole() || leaf.HasRoomForPut(key_bytes, record_bytes)) return Status();
  RecordView last;
  if (leaf.tail_count() == 0 || !leaf.LoggedRecord(leaf.tail_count() - 1, &last)) return Status();
  // The last record's key: where keys ascend, the next one comes behind it.
  const std::string key(last.key);
  Restructure change(*this, taken);
  hold.HandOver();
  if (Status s = change.Rewrite(node, {key, record_bytes, false}); !s.ok()) return s;
  map_.counters().Add(Counter::kConsolidatedAhead);
  return change.Finish([] {});
}

}  // namespace tuff
