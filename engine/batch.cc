#include "engine/batch.h"

#include <algorithm>
#include <utility>

#include "engine/restructure.h"

namespace tuff {

Status BatchWriter::Write(std::vector<BatchOp> ops) {
  map_.domain().AdmitThread();
  if (Status s = map_.domain().CheckWritable(); !s.ok()) return s;
  ops_ = std::move(ops);
  if (ops_.empty()) return Status();
  RecordScratch();
  const bool shrinking = std::all_of(ops_.begin(), ops_.end(), [](const BatchOp& op) {
    return !op.writes || op.type == RecordType::kDelete;
  });
  LaneHold lane(map_.lanes());
  for (int tries = 0;; tries++) {
    lane.Take();
    Status s = Attempt(&lane);
    if (s.code() == Code::kBusy) {
      lane.LetGo();  // who has frozen the gate needs one
      for (const BatchOp& op : ops_) op.tree->AwaitThaw();
      continue;
    }
    if (s.code() == Code::kNoSpace && MayReclaim(map_, shrinking, tries)) continue;
    if (s.ok()) {
      Count();
      ShrinkAfterDeletes(&lane);
      CompactDense(&lane);
    }
    if (s.code() == Code::kConflict) map_.counters().Add(Counter::kConflicts);
    return s;
  }
}

Status BatchWriter::Attempt(LaneHold* lane) {
  const Versions::WriterMark mark(&versions_, Versions::WriterMark::kAllObjects);
  struct Unlatcher {
    ~Unlatcher() { writer->Unlatch(); }
    BatchWriter* writer;
  } unlatcher{this};
  held_.clear();
  dense_.clear();
  idle_.assign(ops_.size(), false);
  if (Status s = LatchAll(lane); !s.ok()) return s;
  SEQUENCE_POINT("batch.latched");
  if (Status s = CheckConditions(); !s.ok()) return s;
  if (Status s = LeaveOutIdleDeletes(); !s.ok()) return s;
  return Append(lane);
}

void BatchWriter::Unlatch() {
  for (const Held& held : held_) map_.memmap().At(held.node.pfn()).latch.Unlock();
  held_.clear();
}

// The first op at or behind `first` that falls into another leaf.
size_t BatchWriter::EndOfLeaf(const NodeView& node, size_t first) const {
  size_t last = first;
  while (last < ops_.size() && ops_[last].tree == ops_[first].tree && node.Covers(ops_[last].key)) {
    last++;
  }
  return last;
}

// Starts fetching what the next ops of one tree need; returns the first op that it has left out.
size_t BatchWriter::Prefetch(size_t first) {
  std::array<std::string_view, Tree::kInterleaved> keys;
  size_t n = 0;
  while (n < keys.size() && first + n < ops_.size() && ops_[first + n].tree == ops_[first].tree) {
    keys[n] = ops_[first + n].key;
    n++;
  }
  if (n > 1) ops_[first].tree->PrefetchForWrites(std::span(keys).first(n));
  return first + n;
}

Status BatchWriter::LatchAll(LaneHold* lane) {
  held_.reserve(ops_.size());  // noting a latch must not fail
  size_t prefetched = 0;
  for (size_t i = 0; i < ops_.size();) {
    if (i >= prefetched) prefetched = Prefetch(i);
    NodeView node;
    Status s = ops_[i].tree->LatchLeaf(ops_[i].key, lane, &node, !held_.empty());
    if (!s.ok()) return s;
    const Held held{ops_[i].tree, node, i, EndOfLeaf(node, i)};
    bool had_room = false;
    if (s = MakeRoom(held, lane, &had_room); !s.ok()) return s;
    if (!had_room) continue;  // the leaf has been replaced: latch what is there now
    held_.push_back(held);
    i = held.last;
  }
  return Status();
}

// If the leaf has room it stays latched; else it has been rewritten and nothing is latched, as
// after an error.
Status BatchWriter::MakeRoom(const Held& held, LaneHold* lane, bool* had_room) {
  LatchHold hold(map_.memmap().At(held.node.pfn()).latch, std::adopt_lock);
  std::vector<PendingRecord> group;
  size_t bytes = 0;
  size_t longest_key = 0;
  bool shrinking = true;
  for (size_t i = held.first; i < held.last; i++) {
    const BatchOp& op = ops_[i];
    if (!op.writes) continue;
    group.push_back({op.key, RecordBytes(op.key.size(), op.value.size())});
    bytes += group.back().bytes;
    longest_key = std::max(longest_key, op.key.size());
    shrinking = shrinking && op.type == RecordType::kDelete;
  }
  const size_t head_bytes = group.size() > 1 ? kGroupBytes : 0;  // one delete needs no more room
  bytes += head_bytes;
  const Leaf leaf(map_, held.node);
  *had_room = group.empty() || (shrinking ? leaf.HasRoom(bytes, group.size())
                                          : leaf.HasRoomForPut(longest_key, bytes, group.size()));
  if (*had_room) {
    hold.HandOver();
    return Status();
  }
  Restructure change(*held.tree, lane->Take());
  hold.HandOver();
  // At least what the look above asks for.
  const size_t least = group[0].bytes + head_bytes + (shrinking ? 0 : Pad8(longest_key) + 8);
  const PendingRecord pending{group[0].key, least, shrinking, group};
  if (Status s = change.Rewrite(held.node, pending); !s.ok()) return s;
  return change.Finish([] {});
}

Status BatchWriter::CheckConditions() {
  for (const Held& held : held_) {
    const Leaf leaf(map_, held.node);
    for (size_t i = held.first; i < held.last; i++) {
      Status s = held.tree->CheckPrecondition(leaf, ops_[i].key, ops_[i].condition);
      if (!s.ok()) return s;
    }
  }
  return Status();
}

Status BatchWriter::LeaveOutIdleDeletes() {
  for (const Held& held : held_) {
    const Leaf leaf(map_, held.node);
    for (size_t i = held.first; i < held.last; i++) {
      if (!ops_[i].writes || ops_[i].type != RecordType::kDelete) continue;
      RecordView record;
      auto there = leaf.Find(ops_[i].key, &record);
      if (!there.ok()) return there.TakeStatus();
      idle_[i] = !*there || record.type() == RecordType::kDelete;
    }
  }
  return Status();
}

// Adds what the leaf's log gets, from its end on, to `image`; returns where that begins in it.
size_t BatchWriter::Encode(const Held& held, uint64_t number, bool in_group,
                           std::vector<std::byte>* image, std::vector<Placed>* placed) {
  const size_t start = image->size();
  size_t offset = Leaf(map_, held.node).tail_end() + (in_group ? kGroupBytes : 0);
  if (in_group) image->resize(start + kGroupBytes);
  for (size_t i = held.first; i < held.last; i++) {
    const BatchOp& op = ops_[i];
    if (!op.writes || idle_[i]) continue;
    const size_t at = image->size();
    const size_t bytes = RecordBytes(op.key.size(), op.value.size());
    image->resize(at + bytes);
    EncodeRecord(
        image->data() + at, op.key, op.value, PackSequence(number, op.type),
        RecordSeed(map_.hash_seed(), held.node.number(), offset + (in_group ? kInGroup : 0)));
    placed->push_back({i, offset, bytes});
    offset += bytes;
  }
  return start;
}

void BatchWriter::Show(const Held& held, const std::vector<Placed>& placed, bool in_group) {
  Leaf leaf(map_, held.node);
  for (const Placed& p : placed) leaf.Publish(ops_[p.op].key, p.offset, p.bytes, in_group);
}

Status BatchWriter::Append(LaneHold* lane) {
  std::vector<const Held*> written;
  size_t writes = 0;
  for (const Held& held : held_) {
    size_t here = 0;
    for (size_t i = held.first; i < held.last; i++) here += ops_[i].writes && !idle_[i] ? 1 : 0;
    if (here > 0) written.push_back(&held);
    writes += here;
  }
  if (writes == 0) return Status();
  const bool one_leaf = written.size() == 1;
  const bool in_group = one_leaf && writes > 1;
  std::vector<std::byte> image;
  std::vector<std::vector<Placed>> placed(written.size());
  RedoLog redo(map_.domain(), map_.lanes(), map_.allocator(), lane->Take());
  dense_.reserve(written.size());  // after the commit nothing may fail

  Versions::InFlight in_flight(&versions_);
  const uint64_t number = map_.NextNumber();
  if (number == 0) return map_.domain().CheckWritable();
  for (size_t i = 0; i < written.size(); i++) {
    image.clear();
    Encode(*written[i], number, in_group, &image, &placed[i]);
    const NodeView& node = written[i]->node;
    const size_t end = Leaf(map_, node).tail_end();
    if (in_group) {
      SealGroup(image.data(), image.size() - kGroupBytes, number,
                RecordSeed(map_.hash_seed(), node.number(), end));
    }
    if (!one_leaf) redo.Add(OffsetOf(node.pfn()) + end, image);
  }
  if (Status s = redo.Prepare(); !s.ok()) return s;
  bool shown = false;
  const auto show = [&] {
    if (std::exchange(shown, true)) return;
    if (TUFF_ORDER("version.pend")) in_flight.Pend(number);
    for (size_t i = 0; i < written.size(); i++) {
      if (2 * placed[i].size() > TailSlots(written[i]->node.order())) {
        dense_.push_back(written[i]->first);
      }
      Show(*written[i], placed[i], in_group);
      SEQUENCE_POINT("batch.shown");
    }
  };
  {
    WriteWindow window(map_.domain());
    Status s;
    if (one_leaf) {
      const NodeView& node = written[0]->node;
      const uint64_t place = OffsetOf(node.pfn()) + Leaf(map_, node).tail_end();
      CRASH_POINT("group.1");
      window.Store(place, image.data(), image.size());
      CRASH_POINT("group.2");
      TUFF_FLUSH("group.3", window, place, image.size());
      TooEarly(TUFF_IN_ORDER("batch.order"), show);
      s = TUFF_FENCE("group.4", window);  // committed
      CRASH_POINT("group.5");
    } else {
      TooEarly(TUFF_IN_ORDER("redo.order"), show);
      s = redo.CommitAndApply(window);
    }
    if (!s.ok()) return s;
  }
  show();
  return Status();
}

void BatchWriter::Count() {
  uint64_t puts = 0;
  uint64_t deletes = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < ops_.size(); i++) {
    const BatchOp& op = ops_[i];
    if (!op.writes) continue;
    op.tree->MarkChanged();
    if (op.type == RecordType::kPut) {
      puts++;
      bytes += op.key.size() + op.value.size();
    } else if (!idle_[i]) {
      deletes++;
    }
  }
  if (puts + deletes == 0) return;
  Counters& counters = map_.counters();
  counters.Add(Counter::kBatches);
  counters.Add(Counter::kBatchOperations, puts + deletes);
  counters.Add(Counter::kPuts, puts);
  counters.Add(Counter::kDeletes, deletes);
  counters.Add(Counter::kUserBytesWritten, bytes);
}

// Leaves that hold what their logs had room for would stay less than half full for ever, if keys
// ascend.
void BatchWriter::CompactDense(LaneHold* lane) {
  for (const size_t i : dense_) ops_[i].tree->Compact(ops_[i].key, lane);
}

// One look for each run of deleted keys that may have lain in one leaf.
void BatchWriter::ShrinkAfterDeletes(LaneHold* lane) {
  constexpr size_t kEvery = 8;
  size_t deleted = 0;
  for (size_t i = 0; i < ops_.size(); i++) {
    if (!ops_[i].writes || idle_[i] || ops_[i].type != RecordType::kDelete) continue;
    if (deleted++ % kEvery == 0) ops_[i].tree->Shrink(ops_[i].key, lane);
  }
}

}  // namespace tuff
