#include "engine/repair/blank_node.h"

#include <algorithm>
#include <cstring>

namespace tuff {
namespace {

// Calls group(offset, bytes, sequence) before those of a group, record(view, in_group) for each
// valid record, and bad(offset) for each word that belongs to none and is not zero.
template <typename OnGroup, typename OnRecord, typename OnBad>
void ForEachRecord(const NodeView& node, uint64_t hash_seed, size_t at, size_t to,
                   const OnGroup& on_group, const OnRecord& on_record, const OnBad& on_bad) {
  const auto seed = [&](size_t offset) { return RecordSeed(hash_seed, node.number(), offset); };
  while (at + 8 <= to) {
    RecordView record;
    size_t bytes = 0;
    if (FindGroup(node.data(), at, to, seed(at), &bytes)) {
      on_group(at, bytes);
      at += kGroupBytes;
    } else if (ReadRecord(node.data(), at, to, seed(at), &record)) {
      on_record(record, 0);
      at += record.bytes;
    } else if (ReadRecord(node.data(), at, to, seed(at + kInGroup), &record)) {
      on_record(record, kInGroup);
      at += record.bytes;
    } else {
      if (Load64(node.data() + at) != 0) on_bad(at);
      at += 8;
    }
  }
}

NodeHeader HeaderOf(const NodeView& node) {
  NodeHeader header;
  std::memcpy(&header, node.data(), sizeof header);
  return header;
}

}  // namespace

void NodeBlanker::Record(const NodeView& node, const RecordView& record, size_t in_group,
                         std::byte* copy) const {
  std::string value = value_of_ ? value_of_(record.key, record.value) : "";
  value.resize(record.value.size());
  EncodeRecord(copy + record.offset, KeyOf(record.key), value, record.sequence_and_type,
               RecordSeed(hash_seed_, node.number(), record.offset + in_group));
}

bool NodeBlanker::Records(const NodeView& node, size_t from, size_t to, bool mark,
                          std::byte* copy) const {
  struct Group {
    size_t at, bytes;
  };
  std::vector<Group> groups;
  size_t first_bad = SIZE_MAX;
  ForEachRecord(
      node, hash_seed_, from, to,
      [&](size_t at, size_t bytes) {
        groups.push_back({at, bytes});
      },
      [&](const RecordView& record, size_t in_group) { Record(node, record, in_group, copy); },
      [&](size_t at) { first_bad = std::min(first_bad, at); });
  for (const Group& group : groups) {
    RecordHeader header;
    std::memcpy(&header, node.data() + group.at, sizeof header);
    SealGroup(copy + group.at, group.bytes, SequenceOf(header.sequence_and_type),
              RecordSeed(hash_seed_, node.number(), group.at));
  }
  if (mark && first_bad != SIZE_MAX) {
    const uint64_t kNoRecord = 1;
    std::memcpy(copy + first_bad, &kNoRecord, sizeof kNoRecord);
  }
  return first_bad == SIZE_MAX;
}

void NodeBlanker::Fences(const NodeView& node, std::byte* copy) const {
  const std::string fences = KeyOf(node.low()) + KeyOf(node.high());
  std::memcpy(copy + node.fences_offset(), fences.data(), fences.size());
}

void NodeBlanker::Leaf(const NodeView& node, std::byte* copy) const {
  std::memcpy(copy + sizeof(NodeHeader), node.data() + sizeof(NodeHeader),
              node.fences_offset() - sizeof(NodeHeader));
  for (size_t i = 0; i < node.count(); i++) {
    RecordView record;
    if (!node.BaseRecord(i, &record)) continue;
    Record(node, record, 0, copy);
    copy[sizeof(NodeHeader) + i] = std::byte{Fingerprint(KeyOf(record.key))};
  }
}

void NodeBlanker::Inner(const NodeView& node, std::byte* copy) const {
  std::memcpy(copy + node.inner_slots_offset(), node.data() + node.inner_slots_offset(),
              sizeof(InnerSlot) * node.separators());
  for (size_t i = 0; i < node.separators(); i++) {
    std::string separator;
    node.AppendSeparator(i, &separator);
    const std::string tail = KeyOf(separator).substr(node.header().prefix_bytes);
    const uint64_t head = KeyHead(tail);
    std::memcpy(copy + sizeof(NodeHeader) + 8 * i, &head, sizeof head);
    if (tail.size() > 8) std::memcpy(copy + node.Slot(i).offset, tail.data() + 8, tail.size() - 8);
  }
  for (size_t i = 0; i < node.count(); i++) {
    const uint64_t word = ChildWord(node.ChildWord(i));
    std::memcpy(copy + node.base_end() + 8 * i, &word, sizeof word);
  }
}

std::vector<std::byte> NodeBlanker::Whole(const NodeView& node, bool* withheld) const {
  std::vector<std::byte> bytes(node.bytes());
  std::byte* const copy = bytes.data();
  NodeHeader header = HeaderOf(node);
  std::memset(header.reserved, 0, sizeof header.reserved);
  std::memcpy(copy, &header, sizeof header);
  Fences(node, copy);
  if (node.is_leaf()) {
    Leaf(node, copy);
    if (!Records(node, node.base_end(), node.bytes(), true, copy)) *withheld = true;
  } else {
    Inner(node, copy);
  }
  header.checksum = NodeChecksum(copy, node.base_end(), hash_seed_, node.pfn());
  std::memcpy(copy, &header, sizeof header);
  return bytes;
}

std::vector<std::byte> NodeBlanker::Damaged(const NodeView& node, uint32_t object_id) const {
  std::vector<std::byte> bytes(node.bytes());
  Records(node, sizeof(NodeHeader), node.bytes(), false, bytes.data());
  NodeHeader header = HeaderOf(node);
  std::memset(header.reserved, 0, sizeof header.reserved);
  const bool may_be_header = header.object_id == object_id && header.order == node.order() &&
                             (header.kind == kNodeLeaf || header.kind == kNodeInner) &&
                             header.level <= kLevelMax &&
                             size_t{header.base_end} * 8 <= node.bytes() &&
                             header.number < 1ull << 56 && header.sequence_max < 1ull << 56;
  if (!may_be_header) return bytes;
  std::memcpy(bytes.data(), &header, sizeof header);
  // Where nothing but zeros was damaged: it is to stay so.
  const NodeView copy(bytes.data(), node.pfn(), node.order());
  if (NodeIsWhole(copy, hash_seed_)) header.checksum ^= 1;
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

void NodeBlanker::ForEachKey(const NodeView& node, bool whole, uint64_t hash_seed,
                             const std::function<void(std::string_view)>& use) {
  size_t from = sizeof(NodeHeader);
  if (whole) {
    use(node.low());
    use(node.high());
    from = node.base_end();
    RecordView record;
    for (size_t i = 0; i < node.count() && node.is_leaf(); i++) {
      if (node.BaseRecord(i, &record)) use(record.key);
    }
    std::string separator;
    for (size_t i = 0; i < node.separators() && !node.is_leaf(); i++) {
      separator.clear();
      node.AppendSeparator(i, &separator);
      use(separator);
    }
    if (!node.is_leaf()) return;
  }
  ForEachRecord(
      node, hash_seed, from, node.bytes(), [](size_t, size_t) {},
      [&](const RecordView& record, size_t) { use(record.key); }, [](size_t) {});
}

}  // namespace tuff
