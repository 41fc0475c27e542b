// Restructure, second half: the lane protocol over what has been prepared, and letting go of it.

#include "engine/restructure.h"

namespace tuff {

Restructure::~Restructure() {
  if (!old_.empty() || !fresh_.empty() || !other_.empty()) Undo(0);
}

// What must hold when all is prepared and nothing has been written.
void Restructure::AssertState() const {
#ifndef NDEBUG
  assert(change_.place != 0);  // I2: one word decides
  size_t ranges = 0;
  for (const auto& fresh : fresh_) {
    const Descriptor& head = map_.memmap().At(fresh->node.pfn());
    assert(head.latch.IsLocked());  // I5: born latched
    assert(head.tail_count.load() == 0 && !head.Has(Descriptor::kObsolete));
    const NodeView node(fresh->bytes.get(), fresh->node.pfn());
    assert(VerifyNode(node, map_.hash_seed(), tree_.object_id()).ok());  // T2
    ranges += node.has_high() ? 0 : 1;
  }
  for (const NodeView& node : old_) {
    assert(tree_.IsLive(node, node.level()));  // T3, T4: in use, and ours to replace
  }
  for (const Latch* latch : other_) assert(latch->IsLocked());
  assert(ranges <= kLevelMax + 1u);  // T1: one node of a level ends open
#endif
}

// Makes a record the first of a new leaf's log, which has room for it.
Status Restructure::AddRecord(NewRecord* record) {
  for (const auto& fresh : fresh_) {
    const NodeView node(fresh->bytes.get(), fresh->node.pfn());
    if (!node.is_leaf() || !node.Covers(record->key)) continue;
    const uint64_t number = map_.NextNumber();
    if (number == 0) return map_.domain().CheckWritable();
    record->leaf = fresh->node;
    record->offset = node.base_end();
    assert(record->offset + RecordBytes(record->key.size(), record->value.size()) <= node.bytes());
    EncodeRecord(fresh->bytes.get() + record->offset, record->key, record->value,
                 PackSequence(number, record->type),
                 RecordSeed(map_.hash_seed(), node.number(), record->offset));
    return Status();
  }
  return NodeDamage(old_[0].pfn(), "the leaf's range does not hold the key");
}

Status Restructure::Commit() {
  AssertState();
  for (const NodeView& node : old_) {
    change_.old_runs.push_back(
        {node.pfn(), PackOwner(node.pfn(), FrameKind::kTreeNode, node.order(), tree_.object_id())});
    freed_.push_back({node.pfn(), node.order()});
  }
  entered_ = true;
  window_.emplace(map_.domain());
  for (const auto& fresh : fresh_) {
    TUFF_COPY("smo.1", *window_, OffsetOf(fresh->node.pfn()), fresh->bytes.get(),
              kFrameSize << fresh->order);
  }
  CRASH_POINT("smo.2");
  map_.lanes().Enter(*window_, lane_, change_);
  CRASH_POINT("smo.3");
  if (Status s = TUFF_FENCE("smo.4", *window_); !s.ok()) return s;  // F1
  CRASH_POINT("smo.5");
  map_.lanes().SetOwners(*window_, change_);
  CRASH_POINT("smo.6");
  window_->Store64(change_.place, change_.new_value);
  CRASH_POINT("smo.7");
  TUFF_FLUSH("smo.8", *window_, change_.place, 8);
  Status s = TUFF_FENCE("smo.9", *window_);  // F2: committed
  CRASH_POINT("smo.10");
  // If that has failed, too: the pool is read-only now, and whoever descends comes to the new
  // nodes, which are durable.
  committed_ = true;
  if (TUFF_RETIRE("smo.obsolete")) {
    for (const NodeView& node : old_) map_.memmap().At(node.pfn()).Set(Descriptor::kObsolete);
  }
  for (const auto& fresh : fresh_) {
    map_.memmap().At(fresh->node.pfn()).Set(Descriptor::kReachable);
  }
  for (const Counter counter : counted_) map_.counters().Add(counter);
  if (!s.ok()) ReleaseAll();
  return s;
}

NodeView Restructure::LeafFor(std::string_view key) const {
  for (const auto& fresh : fresh_) {
    if (fresh->node.is_leaf() && fresh->node.Covers(key)) return fresh->node;
  }
  assert(false);
  return NodeView();
}

const Step* Restructure::OrderOfShowing() { return TUFF_IN_ORDER("smo.order"); }

Status Restructure::RetireAndFence() {
  // Mutants: what ReleaseAll does too early.
  TooEarly(TUFF_IN_ORDER("smo.release"), [&] { Unlatch(); });
  TooEarly(TUFF_IN_ORDER("smo.limbo"), [&] { GiveToLimbo(); });
  map_.lanes().Retire(*window_, lane_);
  CRASH_POINT("smo.11");
  Status s = TUFF_FENCE("smo.12", *window_);  // F3
  CRASH_POINT("smo.13");
  return s;
}

void Restructure::ReleaseAll() {
  window_.reset();
  Unlatch();
  // After a failed fence the change may or may not be on the medium: nothing is reused.
  if (committed_ && !map_.domain().failed()) GiveToLimbo();
}

void Restructure::Unlatch() {
  for (const auto& fresh : fresh_) map_.memmap().At(fresh->node.pfn()).latch.Unlock();
  for (const NodeView& node : old_) map_.memmap().At(node.pfn()).latch.Unlock();
  for (Latch* latch : other_) latch->Unlock();
  old_.clear();
  fresh_.clear();
  other_.clear();
}

void Restructure::GiveToLimbo() {
  if (TUFF_RETIRE("smo.retire")) map_.limbo().Add(freed_.data(), freed_.size());
  freed_.clear();
}

// Gives back what was prepared; keeps the latches of the first `latched_kept` old nodes.
void Restructure::Undo(size_t latched_kept) {
  window_.reset();
  for (const auto& fresh : fresh_) {
    Descriptor& head = map_.memmap().At(fresh->node.pfn());
    head.Set(Descriptor::kObsolete);
    head.latch.Unlock();
    if (!entered_) map_.allocator().Free(fresh->node.pfn(), fresh->order);
  }
  for (size_t i = latched_kept; i < old_.size(); i++) {
    map_.memmap().At(old_[i].pfn()).latch.Unlock();
  }
  for (Latch* latch : other_) latch->Unlock();
  fresh_.clear();
  old_.resize(latched_kept);
  other_.clear();
  change_ = LaneChange();
  counted_.clear();
}

}  // namespace tuff
