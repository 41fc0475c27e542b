// Tree, where records own a run of frames: the record and the run appear, or go, together.

#include "engine/restructure.h"
#include "engine/tree.h"

namespace tuff {

Status Tree::AppendWithRun(const NodeView& node, std::string_view key, std::string_view value,
                           unsigned lane, const RunChange& with) {
  Leaf leaf(map_, node);
  const uint64_t number = map_.NextNumber();
  if (number == 0) return map_.domain().CheckWritable();
  const size_t offset = leaf.tail_end();
  const uint64_t place = OffsetOf(node.pfn()) + offset;
  LaneChange change;
  change.decider = LaneDecider::kRecord;
  change.place = place;
  change.new_value = PackSequence(number, with.type);
  change.record_seed = RecordSeed(map_.hash_seed(), node.number(), offset);
  change.object_id = object_id_;
  (with.type == RecordType::kPut ? change.new_runs : change.old_runs).push_back(with.run);
  std::byte* const scratch = RecordScratch();
  const size_t bytes = EncodeRecord(scratch, key, value, change.new_value, change.record_seed);
  change.record_bytes = static_cast<uint32_t>(bytes);

  WriteWindow window(map_.domain());
  if (!with.frame.empty()) {
    TUFF_COPY("object.1", window, OffsetOf(with.run.pfn), with.frame.data(), with.frame.size());
  }
  CRASH_POINT("object.2");
  map_.lanes().Enter(window, lane, change);
  if (Status s = TUFF_FENCE("object.3", window); !s.ok()) return s;  // F1
  CRASH_POINT("object.4");
  map_.lanes().SetOwners(window, change);
  CRASH_POINT("object.5");
  window.Store(place, scratch, bytes);
  TUFF_FLUSH("object.6", window, place, bytes);
  if (Status s = TUFF_FENCE("object.7", window); !s.ok()) return s;  // F2: committed
  CRASH_POINT("object.8");
  map_.lanes().Retire(window, lane);
  if (Status s = TUFF_FENCE("object.9", window); !s.ok()) return s;  // F3
  CRASH_POINT("object.10");
  leaf.Publish(key, offset, bytes);
  return Status();
}

Status Tree::PutWithRun(std::string_view key, std::string_view value, const LaneRun& run,
                        std::span<const std::byte> frame) {
  return WriteWithRun(key, value, {RecordType::kPut, run, frame});
}

Status Tree::DeleteWithRun(std::string_view key, const LaneRun& run) {
  map_.memmap().Touch(run.pfn);  // or its page block would be initialised with the run free already
  if (Status s = WriteWithRun(key, {}, {RecordType::kDelete, run, {}}); !s.ok()) return s;
  const Limbo::Run freed{run.pfn, UnpackOwner(run.owner).order};
  if (TUFF_RETIRE("object.retire")) map_.limbo().Add(&freed, 1);
  return Status();
}

Status Tree::WriteWithRunOnce(std::string_view key, std::string_view value, LaneHold* lane,
                              const RunChange& change) {
  const size_t bytes = RecordBytes(key.size(), value.size());
  const bool is_delete = change.type == RecordType::kDelete;
  for (;;) {
    NodeView node;
    if (Status s = LatchLeaf(key, lane, &node); !s.ok()) return s;
    LatchHold hold(map_.memmap().At(node.pfn()).latch, std::adopt_lock);
    const Leaf leaf(map_, node);
    if (is_delete ? leaf.HasRoom(bytes) : leaf.HasRoomForPut(key.size(), bytes)) {
      return AppendWithRun(node, key, value, lane->Take(), change);
    }
    Restructure rewrite(*this, lane->Take());
    hold.HandOver();
    if (Status s = rewrite.Rewrite(node, {key, bytes, is_delete}); !s.ok()) return s;
    if (Status s = rewrite.Finish([] {}); !s.ok()) return s;
  }
}

}  // namespace tuff
