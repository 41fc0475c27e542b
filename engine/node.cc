#include "engine/node.h"

#include <fmt/format.h>

#include <algorithm>

#include "pagemap/checksum.h"

namespace tuff {

uint64_t ShortKeyHead(std::string_view text) {
  uint64_t head = 0;
  for (size_t i = 0; i < text.size(); i++) {
    head |= uint64_t{static_cast<uint8_t>(text[i])} << (56 - 8 * i);
  }
  return head;
}

int NodeView::LowerBound(std::string_view key) const {
  int low = 0;
  int high = static_cast<int>(count());
  while (low < high) {
    const int middle = (low + high) / 2;
    RecordView record;
    if (!BaseRecord(static_cast<size_t>(middle), &record)) return -1;
    if (record.key < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Orders `tail` (a key without the node's prefix; its head is known to equal the separator's)
// against separator i: negative, zero or positive.
int NodeView::CompareWithSeparator(std::string_view tail, size_t i) const {
  const InnerSlot slot = Slot(i);
  if (slot.bytes <= 8 || tail.size() <= 8) {
    // Equal heads, one of them whole: what is longer is greater ("a" < "a\0").
    return tail.size() < slot.bytes ? -1 : tail.size() > slot.bytes ? 1 : 0;
  }
  return tail.substr(8).compare(Text(slot.offset, slot.bytes - 8u));
}

size_t NodeView::CountSeparators(std::string_view key, bool or_equal) const {
  const size_t n = separators();
  const std::string_view tail = key.substr(std::min<size_t>(header().prefix_bytes, key.size()));
  const uint64_t head = KeyHead(tail);
  const std::byte* const words = at_ + base_end();
  size_t below = CountLessSorted(heads(), n, head, [&](size_t first) {
    __builtin_prefetch(words + 8 * first);  // where the child word will be
    __builtin_prefetch(words + 8 * first + 64);
    __builtin_prefetch(words + 8 * first + 128);
  });
  if (below == n || heads()[below] != head) return below;
  // Ties: they are settled on whole keys.
  size_t behind = below + CountLessSorted(heads() + below, n - below, head + 1);
  if (head == UINT64_MAX) behind = n;
  while (below < behind) {
    const size_t middle = (below + behind) / 2;
    const int order = CompareWithSeparator(tail, middle);
    if (order > 0 || (order == 0 && or_equal)) {
      below = middle + 1;
    } else {
      behind = middle;
    }
  }
  return below;
}

void NodeView::CopySeparator(size_t i, char* to) const {
  const InnerSlot slot = Slot(i);
  const uint64_t head = __builtin_bswap64(heads()[i]);
  to = std::copy_n(prefix().data(), prefix().size(), to);
  std::memcpy(to, &head, std::min<size_t>(slot.bytes, 8));
  if (slot.bytes <= 8) return;
  const std::string_view rest = Text(slot.offset, slot.bytes - 8u);
  std::copy_n(rest.data(), rest.size(), to + 8);
}

uint64_t HashOfNode(const std::byte* node, size_t base_end) {
  constexpr size_t kFrom = offsetof(NodeHeader, number);
  return Hash64(node + kFrom, base_end - kFrom);
}

uint64_t NodeChecksum(const std::byte* node, size_t base_end, uint64_t hash_seed, Pfn pfn) {
  return ChecksumOfHash(HashOfNode(node, base_end), hash_seed ^ Mix64(pfn));
}

bool NodeIsWhole(const NodeView& node, uint64_t hash_seed) {
  const size_t end = node.base_end();
  return end >= sizeof(NodeHeader) &&
         node.header().checksum == NodeChecksum(node.data(), end, hash_seed, node.pfn());
}

Status NodeDamage(Pfn pfn, const std::string& reason) {
  return Status(Code::kCorruption,
                fmt::format("pfn {}: {}; save what 'tuff dump' can read", pfn, reason));
}

namespace {

Status VerifyHeader(const NodeView& node) {
  const NodeHeader& header = node.header();
  const bool leaf = header.kind == kNodeLeaf;
  if (!TUFF_CHECK("node.kind", leaf || header.kind == kNodeInner)) {
    return NodeDamage(node.pfn(), "not a tree node");
  }
  if (!TUFF_CHECK("node.level", leaf == (header.level == 0) && header.level <= kLevelMax)) {
    return NodeDamage(node.pfn(), "node has an impossible level");
  }
  if (!TUFF_CHECK("node.children", leaf || header.count != 0)) {
    return NodeDamage(node.pfn(), "inner node without children");
  }
  if (!TUFF_CHECK("node.fences", header.low_bytes <= kKeySizeMax &&
                                     header.high_bytes <= kKeySizeMax &&
                                     header.prefix_bytes <= header.low_bytes &&
                                     node.has_high() == (header.high_bytes != 0))) {
    return NodeDamage(node.pfn(), "node has impossible fence keys");
  }
  // The view is kept within the node's run, whatever the header says.
  const bool fits = header.order == node.order() && header.count == node.count() &&
                    size_t{header.base_end} * 8 == node.base_end();
  const size_t tables = node.fences_offset() + Pad8(size_t{header.low_bytes} + header.high_bytes);
  const size_t end = node.base_end() + (leaf ? 0 : 8 * size_t{header.count});
  if (!TUFF_CHECK("node.parts", fits && tables <= node.base_end() && end <= node.bytes())) {
    return NodeDamage(node.pfn(), "node's parts do not fit into it");
  }
  return Status();
}

Status VerifyLeaf(const NodeView& node) {
  if (!TUFF_CHECK("leaf.fences", !node.has_high() || node.low() < node.high())) {
    return NodeDamage(node.pfn(), "fence keys out of order");
  }
  std::string_view last;
  const size_t records =
      node.fences_offset() + Pad8(size_t{node.header().low_bytes} + node.header().high_bytes);
  for (size_t i = 0; i < node.count(); i++) {
    RecordView record;
    const bool is_record = node.RecordOffset(i) >= records && node.BaseRecord(i, &record);
    if (!TUFF_CHECK("leaf.record", is_record)) {
      return NodeDamage(node.pfn(), fmt::format("base record {} is not a record", i));
    }
    const bool in_order = (i == 0 || record.key > last) && node.Covers(record.key);
    if (!TUFF_CHECK("leaf.order", in_order)) {
      return NodeDamage(node.pfn(), fmt::format("base record {} is out of order", i));
    }
    last = record.key;
  }
  return Status();
}

}  // namespace

Status VerifyNode(const NodeView& node, uint64_t hash_seed, uint32_t object_id) {
  if (Status s = VerifyHeader(node); !s.ok()) return s;
  const NodeHeader& header = node.header();
  const uint64_t checksum = NodeChecksum(node.data(), node.base_end(), hash_seed, node.pfn());
  if (!TUFF_CHECK("node.checksum", header.checksum == checksum)) {
    return NodeDamage(node.pfn(), "node has a wrong checksum");
  }
  if (!TUFF_CHECK("node.object", header.object_id == object_id)) {
    return NodeDamage(
        node.pfn(), fmt::format("node belongs to object {}, not {}", header.object_id, object_id));
  }
  if (node.is_leaf()) return VerifyLeaf(node);

  if (!TUFF_CHECK("inner.fences", !node.has_high() || node.low() < node.high())) {
    return NodeDamage(node.pfn(), "fence keys out of order");
  }
  std::string last(node.low());
  std::string next;
  for (size_t i = 0; i < node.separators(); i++) {
    const InnerSlot slot = node.Slot(i);
    const size_t rest = slot.bytes > 8 ? slot.bytes - 8u : 0;
    if (!TUFF_CHECK("inner.separator", node.SeparatorBytes(i) <= kKeySizeMax &&
                                           slot.offset <= node.base_end() &&
                                           rest <= node.base_end() - slot.offset)) {
      return NodeDamage(node.pfn(), fmt::format("separator {} is out of bounds", i));
    }
    next.clear();
    node.AppendSeparator(i, &next);
    if (!TUFF_CHECK("inner.order", next > last && node.Covers(next))) {
      return NodeDamage(node.pfn(), fmt::format("separator {} is out of order", i));
    }
    last.swap(next);
  }
  return Status();
}

}  // namespace tuff
