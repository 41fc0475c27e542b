#include "engine/log_walk.h"

#include <algorithm>

namespace tuff {

bool IsZeroFrom(const NodeView& node, size_t offset) {
  return std::all_of(node.data() + offset, node.data() + node.bytes(),
                     [](std::byte b) { return b == std::byte{0}; });
}

bool ValidRecordBehind(const NodeView& node, uint64_t hash_seed, size_t offset) {
  const auto seed = [&](size_t at) { return RecordSeed(hash_seed, node.number(), at); };
  size_t bytes = 0;
  if (FindGroup(node.data(), offset, node.bytes(), seed(offset), &bytes)) return true;
  for (size_t at = offset + 8; at + sizeof(RecordHeader) <= node.bytes(); at += 8) {
    RecordView record;
    if (ReadRecord(node.data(), at, node.bytes(), seed(at), &record) ||
        FindGroup(node.data(), at, node.bytes(), seed(at), &bytes)) {
      return true;
    }
  }
  return false;
}

size_t WalkLog(const NodeView& node, uint64_t hash_seed, size_t slots,
               std::vector<LogRecord>* records) {
  const auto seed = [&](size_t at) { return RecordSeed(hash_seed, node.number(), at); };
  size_t at = node.base_end();
  size_t group_start = 0;
  size_t group_end = 0;
  uint64_t last = node.header().sequence_max;
  while (at < node.bytes()) {
    RecordView record;
    size_t bytes = 0;
    if (at >= group_end && FindGroup(node.data(), at, node.bytes(), seed(at), &bytes)) {
      group_start = at;
      at += kGroupBytes;
      group_end = at + bytes;
      continue;
    }
    const bool in_group = at < group_end;
    if (!ParseRecord(node.data(), at, node.bytes(), &record) ||
        !TUFF_CHECK("log.checksum", VerifyRecord(record, seed(at + (in_group ? kInGroup : 0))))) {
      break;
    }
    const uint64_t sequence = SequenceOf(record.sequence_and_type);
    // A batch's records have one number.
    const bool in_order = sequence >= last && sequence > node.header().sequence_max;
    if (!TUFF_CHECK("log.sequence", in_order)) break;
    if (!TUFF_CHECK("log.slots", records->size() < slots)) break;
    if (!TUFF_CHECK("log.range", node.Covers(record.key))) break;
    records->push_back({record, in_group});
    last = sequence;
    at += record.bytes;
  }
  // A whole group has no bad records: it is damage.
  return TUFF_CHECK("group.whole", at >= group_end) ? at : group_start;
}

}  // namespace tuff
