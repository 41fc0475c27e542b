#include "tests/fuzz/pool_edits.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "engine/node.h"
#include "engine/object_format.h"
#include "engine/record.h"
#include "pagemap/frame_format.h"
#include "pagemap/lane_format.h"
#include "pagemap/superblock_format.h"

namespace tuff::test {
namespace {

// Values at which a check may be off by one.
uint64_t OddValue(uint64_t i, uint64_t frames) {
  const uint64_t values[] = {
      0,
      1,
      7,
      8,
      16,
      64,
      kKeySizeMax,
      kKeySizeMax + 1,
      kRecordSizeMax,
      kFrameSize - 1,
      kFrameSize,
      kNodeBytesMax,
      0x7fff,
      0x8000,
      0xffff,
      0xfff8,
      UINT32_MAX,
      1ull << 31,
      1ull << 40,
      (1ull << 40) - 1,
      (1ull << 56) - 1,
      1ull << 56,
      1ull << 63,
      ~0ull,
      ~7ull,
      ~0ull - sizeof(RedoChunk) + 1,
      frames,
      frames - 1,
      OffsetOf(frames),
      OffsetOf(frames) - 8,
      OffsetOf(kCatalogueAnchorPfn) + offsetof(Anchor, root),
      OffsetOf(kLanesPfn),
      OffsetOf(FrameTablePfn(0)),
      OffsetOf(MemmapPfn(0)),
  };
  return values[i % std::size(values)];
}

class Editor {
 public:
  explicit Editor(const PoolBase& base) : base_(base), image_(base.image) {}

  void Apply(const Edit& edit);
  void Sign();
  const SparseImage& image() const { return image_.image(); }

 private:
  // Node i of the base, and behind them those that have been made since.
  Pfn Node(uint64_t i) const {
    const size_t nodes = base_.nodes.size();
    return i >= nodes && i - nodes < grown_.size() ? grown_[i - nodes] : base_.nodes[i % nodes];
  }
  unsigned Lane(uint64_t i) const {
    return i < base_.lanes.size() ? base_.lanes[i] : static_cast<unsigned>(i % kLanes);
  }
  uint64_t NodeWord(uint64_t i) const {
    return PackChild(Node(i), image_.Get<NodeHeader>(OffsetOf(Node(i))).number);
  }

  void ChangeField(const Edit& edit, uint64_t place, const FormatTable& table);
  void ChangeWord(const Edit& edit, uint64_t place, size_t bytes);
  void ChangeInNode(const Edit& edit);
  void ChangeLane(const Edit& edit);
  void ChangeRecord(const Edit& edit, Pfn pfn, size_t at, bool value);
  void CopyNode(Pfn from, Pfn to);
  void MoveRecord(const Edit& edit);
  void CutLog(const Edit& edit);
  void GrowRoot(const Edit& edit);
  // Byte offsets of what lies in a leaf.
  size_t BaseRecordAt(const std::vector<std::byte>& node, uint64_t part) const;
  std::vector<size_t> LogRecords(const std::vector<std::byte>& node) const;

  const PoolBase& base_;
  PoolImage image_;
  // What must pass for whole, and what must not.
  std::map<Pfn, uint8_t> nodes_;  // kLeaveXxx
  std::set<Pfn> superblocks_;
  std::set<Pfn> anchors_;
  std::set<Pfn> owners_;
  std::set<unsigned> lanes_;
  bool live_status_ = false;
  std::vector<Pfn> grown_;
};

void Editor::ChangeWord(const Edit& edit, uint64_t place, size_t bytes) {
  bytes = std::min(bytes, sizeof(uint64_t));
  uint64_t value = 0;
  const std::vector<std::byte> before = image_.Read(place, bytes);
  std::memcpy(&value, before.data(), bytes);
  switch (static_cast<EditOp>(edit.op % kEditOps)) {
    case EditOp::kSet:
      value = edit.value;
      break;
    case EditOp::kAdd:
      value += edit.value;
      break;
    case EditOp::kXor:
      value ^= edit.value;
      break;
    case EditOp::kOdd:
      value = OddValue(edit.value, image_.frames());
      break;
    case EditOp::kNode:
      value = NodeWord(edit.value);
      break;
  }
  image_.Write(place, reinterpret_cast<const std::byte*>(&value), bytes);
}

void Editor::ChangeField(const Edit& edit, uint64_t place, const FormatTable& table) {
  const Field& field = table.fields[edit.field % table.fields.size()];
  const size_t words = (field.size + 7) / 8;
  const size_t skip = edit.part % words * 8;
  ChangeWord(edit, place + field.offset + (words > 1 ? skip : 0), field.size);
}

size_t Editor::BaseRecordAt(const std::vector<std::byte>& node, uint64_t part) const {
  NodeHeader header;
  std::memcpy(&header, node.data(), sizeof header);
  const size_t slot =
      sizeof header + Pad8(header.count) + 2 * (header.count == 0 ? 0 : part % header.count);
  uint16_t offset = 0;
  if (slot + sizeof offset <= node.size()) std::memcpy(&offset, node.data() + slot, sizeof offset);
  return size_t{offset} * 8;
}

std::vector<size_t> Editor::LogRecords(const std::vector<std::byte>& node) const {
  NodeHeader header;
  std::memcpy(&header, node.data(), sizeof header);
  std::vector<size_t> places;
  for (size_t at = size_t{header.base_end} * 8; at + sizeof(RecordHeader) <= node.size();) {
    places.push_back(at);
    RecordHeader record;
    std::memcpy(&record, node.data() + at, sizeof record);
    if (record.sequence_and_type == 0) break;  // the end: where the next one goes
    const bool group = TypeOf(record.sequence_and_type) == RecordType::kGroup;
    at += group ? kGroupBytes : RecordBytes(record.key_bytes, record.value_bytes);
  }
  if (places.empty()) places.push_back(0);
  return places;
}

void Editor::ChangeRecord(const Edit& edit, Pfn pfn, size_t at, bool value) {
  const uint64_t place = OffsetOf(pfn) + at;
  if (!value) return ChangeField(edit, place, kRecordHeaderTable);
  const auto header = image_.Get<RecordHeader>(place);
  const auto& table = edit.field < 128 ? kCatalogueEntryTable : kGraveyardEntryTable;
  ChangeField(edit, place + sizeof header + header.key_bytes, table);
}

void Editor::ChangeInNode(const Edit& edit) {
  const Pfn pfn = Node(edit.which);
  const uint64_t place = OffsetOf(pfn);
  const std::vector<std::byte> bytes = image_.ReadNode(pfn);
  const NodeView node(bytes.data(), pfn);
  const size_t i = node.count() == 0 ? 0 : edit.part % node.count();
  const auto places = LogRecords(bytes);
  const size_t in_log = places[edit.part % places.size()];
  switch (static_cast<EditKind>(edit.kind % kEditKinds)) {
    case EditKind::kNodeHeader:
      ChangeField(edit, place, kNodeHeaderTable);
      break;
    case EditKind::kLeafSlot:
      ChangeWord(edit, place + node.leaf_slots_offset() + 2 * i, 2);
      break;
    case EditKind::kInnerHead:
      ChangeWord(edit, place + sizeof(NodeHeader) + 8 * i, 8);
      break;
    case EditKind::kInnerSlot:
      ChangeField(edit, place + sizeof(NodeHeader) + 8 * (node.count() - 1) + 4 * i,
                  kInnerSlotTable);
      break;
    case EditKind::kChildWord:
      ChangeWord(edit, place + node.base_end() + 8 * i, 8);
      break;
    case EditKind::kBaseRecord:
    case EditKind::kRecordValue:
      ChangeRecord(edit, pfn, BaseRecordAt(bytes, edit.part),
                   edit.kind % kEditKinds == static_cast<uint8_t>(EditKind::kRecordValue));
      break;
    case EditKind::kLogRecord:
      ChangeRecord(edit, pfn, in_log, false);
      break;
    case EditKind::kLogValue:
      ChangeRecord(edit, pfn, in_log, true);
      break;
    default:
      ChangeWord(edit, place + edit.part % bytes.size(), 8);
      break;  // kNodeBytes
  }
  nodes_[pfn] |= edit.leave;
}

void Editor::ChangeLane(const Edit& edit) {
  const unsigned lane = Lane(edit.which);
  const uint64_t place = OffsetOf(kLanesPfn + lane);
  const auto entry = image_.Get<LaneEntry>(place);
  uint64_t at = place + sizeof entry;
  switch (static_cast<EditKind>(edit.kind % kEditKinds)) {
    case EditKind::kLaneEntry:
      ChangeField(edit, place, kLaneEntryTable);
      break;
    case EditKind::kLaneRun:
      ChangeField(edit, at + edit.part % kLaneRunsMax * sizeof(LaneRun), kLaneRunTable);
      break;
    case EditKind::kRedoStore:
      if (entry.place != 0) at = entry.place + sizeof(RedoChunk);
      for (unsigned i = 0; i < edit.part % 8; i++) {
        at += sizeof(RedoStore) + image_.Get<RedoStore>(at).bytes;
      }
      ChangeField(edit, at, kRedoStoreTable);
      break;
    default:  // kRedoChunk
      at = entry.place;
      for (unsigned i = 0; i < edit.part % 4; i++) at = image_.Get<RedoChunk>(at).next;
      ChangeField(edit, at, kRedoChunkTable);
      break;
  }
  if ((edit.leave & kLeaveStructure) == 0) lanes_.insert(lane);
}

void Editor::CopyNode(Pfn from, Pfn to) {
  const std::vector<std::byte> bytes = image_.ReadNode(from);
  image_.Write(OffsetOf(to), bytes.data(), bytes.size());
}

void Editor::MoveRecord(const Edit& edit) {
  const std::vector<std::byte> from = image_.ReadNode(Node(edit.which));
  const size_t at = BaseRecordAt(from, edit.part);
  RecordView record;
  if (!ParseRecord(from.data(), at, from.size(), &record)) return;
  const Pfn to = Node(edit.value);
  image_.Write(OffsetOf(to) + LogRecords(image_.ReadNode(to)).back(), record.at, record.bytes);
  nodes_[to] |= edit.leave;
}

void Editor::CutLog(const Edit& edit) {
  const Pfn pfn = Node(edit.which);
  const std::vector<std::byte> node = image_.ReadNode(pfn);
  const size_t from = edit.part % node.size();
  const std::vector<std::byte> zeros(node.size() - from);
  image_.Write(OffsetOf(pfn) + from, zeros.data(), zeros.size());
  nodes_[pfn] |= edit.leave;
}

void Editor::GrowRoot(const Edit& edit) {
  const Pfn anchor = base_.anchors[edit.which % base_.anchors.size()];
  const uint64_t root_place = OffsetOf(anchor) + offsetof(Anchor, root);
  const auto root = image_.Get<uint64_t>(root_place);
  const auto below = image_.Get<NodeHeader>(OffsetOf(ChildPfn(root)));
  const Pfn pfn = image_.frames() - 1 - edit.part % kBlockFrames;
  const size_t separators = edit.field % 4;
  NodeHeader header{};
  header.number = below.number + 1 + (edit.value & 0xff);
  header.object_id = below.object_id;
  header.kind = kNodeInner;
  header.level = static_cast<uint8_t>(below.level + 1);
  header.flags = kNodeNoHighFence;
  header.count = static_cast<uint16_t>(separators + 1);
  const size_t slots = sizeof header + 8 * separators;
  const size_t words = slots + Pad8(sizeof(InnerSlot) * separators);
  header.base_end = static_cast<uint16_t>(words / 8);
  image_.Set(OffsetOf(pfn), header);
  for (size_t i = 0; i <= separators; i++) {
    image_.Set(OffsetOf(pfn) + words + 8 * i, root);  // they all lead there
    if (i == separators) break;
    image_.Set(OffsetOf(pfn) + sizeof header + 8 * i, KeyHead(std::string(1, "kpz"[i])));
    image_.Set(OffsetOf(pfn) + slots + sizeof(InnerSlot) * i, InnerSlot{0, 1});
  }
  image_.Set(OwnerWordOffset(pfn), PackOwner(pfn, FrameKind::kTreeNode, 0, below.object_id));
  image_.Set(root_place, PackChild(pfn, header.number));
  nodes_[pfn] |= edit.leave;
  grown_.push_back(pfn);
}

void Editor::Apply(const Edit& edit) {
  const bool sign = (edit.leave & kLeaveStructure) == 0;
  switch (static_cast<EditKind>(edit.kind % kEditKinds)) {
    case EditKind::kSuperblock:
      for (const Pfn copy : {kSuperblockPfn, kMirrorPfn}) {
        if (edit.which % 3 != 2 && edit.which % 3 != copy) continue;
        ChangeField(edit, OffsetOf(copy), kSuperblockTable);
        if (sign) superblocks_.insert(copy);
      }
      break;
    case EditKind::kLiveStatus:
      ChangeField(edit, kLiveStatusOffset, kLiveStatusTable);
      live_status_ |= sign;
      break;
    case EditKind::kOwnerWord: {
      const Pfn pfn = Node(edit.which) + edit.part % 32;
      ChangeField(edit, OwnerWordOffset(pfn), kOwnerWordTable);
      if (sign) owners_.insert(pfn);
      break;
    }
    case EditKind::kAnchor: {
      const Pfn pfn = base_.anchors[edit.which % base_.anchors.size()];
      ChangeField(edit, OffsetOf(pfn), kAnchorTable);
      if (sign) anchors_.insert(pfn);
      break;
    }
    case EditKind::kLaneEntry:
    case EditKind::kLaneRun:
    case EditKind::kRedoStore:
    case EditKind::kRedoChunk:
      ChangeLane(edit);
      break;
    case EditKind::kCopyNode:
      CopyNode(Node(edit.value), Node(edit.which));
      nodes_[Node(edit.which)] |= edit.leave;
      break;
    case EditKind::kMoveRecord:
      MoveRecord(edit);
      break;
    case EditKind::kCopyLane: {
      const auto frame = image_.Read(OffsetOf(kLanesPfn + Lane(edit.value)), kFrameSize);
      image_.Write(OffsetOf(kLanesPfn + Lane(edit.which)), frame.data(), frame.size());
      if (sign) lanes_.insert(Lane(edit.which));
      break;
    }
    case EditKind::kCutLog:
      CutLog(edit);
      break;
    case EditKind::kGrowRoot:
      GrowRoot(edit);
      break;
    default:
      ChangeInNode(edit);
      break;
  }
}

void Editor::Sign() {
  const uint64_t seed_before = PoolImage(base_.image).HashSeed();
  for (const Pfn pfn : superblocks_) image_.SignSuperblock(pfn);
  if (live_status_) image_.SignLiveStatus();
  if (image_.HashSeed() != seed_before && !superblocks_.empty()) {
    // All of the pool with the new seed, or nothing of it would be looked at.
    for (const Pfn pfn : base_.nodes) nodes_.emplace(pfn, 0);
    anchors_.insert(base_.anchors.begin(), base_.anchors.end());
    lanes_.insert(base_.lanes.begin(), base_.lanes.end());
  }
  for (const Pfn pfn : owners_) image_.SignOwner(pfn);
  for (const Pfn pfn : anchors_) image_.SignAnchor(pfn);
  for (const auto& [pfn, leave] : nodes_) {
    if ((leave & kLeaveStructure) == 0) image_.SignNode(pfn, (leave & kLeaveRecords) == 0);
  }
  for (const unsigned lane : lanes_) image_.SignLane(lane);
}

}  // namespace

SparseImage ApplyEdits(const PoolBase& base, std::span<const Edit> edits) {
  Editor editor(base);
  for (const Edit& edit : edits) editor.Apply(edit);
  editor.Sign();
  return editor.image();
}

}  // namespace tuff::test
