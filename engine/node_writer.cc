#include "engine/node_writer.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "pagemap/descriptor.h"

namespace tuff {
namespace {

size_t FenceBytes(std::string_view low, std::optional<std::string_view> high) {
  return low.size() + (high ? high->size() : 0);
}

size_t CommonPrefix(std::string_view a, std::string_view b) {
  const size_t n = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(n), b.begin()).first - a.begin());
}

// What all keys of [low, high) begin with.
size_t RangePrefix(std::string_view low, std::optional<std::string_view> high) {
  return high ? CommonPrefix(low, *high) : 0;
}

NodeHeader MakeHeader(const NodeIdentity& id, size_t count) {
  NodeHeader header{};
  header.number = id.number;
  header.sequence_max = id.sequence_max;
  header.object_id = id.object_id;
  header.kind = id.level == 0 ? kNodeLeaf : kNodeInner;
  header.level = static_cast<uint8_t>(id.level);
  header.order = static_cast<uint8_t>(id.order);
  header.flags = id.high ? 0 : kNodeNoHighFence;
  header.count = static_cast<uint16_t>(count);
  header.low_bytes = static_cast<uint16_t>(id.low.size());
  header.high_bytes = static_cast<uint16_t>(id.high ? id.high->size() : 0);
  return header;
}

void PutText(std::byte* to, size_t* at, std::string_view text) {
  if (!text.empty()) std::memcpy(to + *at, text.data(), text.size());
  *at += text.size();
}

void PutFences(std::byte* to, size_t* at, const NodeIdentity& id) {
  PutText(to, at, id.low);
  if (id.high) PutText(to, at, *id.high);
}

void Seal(std::byte* to, NodeHeader* header, size_t base_end, Pfn pfn, uint64_t hash_seed) {
  header->base_end = static_cast<uint16_t>(base_end / 8);
  std::memcpy(to, header, sizeof *header);
  header->checksum = NodeChecksum(to, base_end, hash_seed, pfn);
  std::memcpy(to, header, sizeof *header);
}

size_t TotalBytes(std::span<const RecordView> records) {
  size_t bytes = 0;
  for (const RecordView& record : records) bytes += record.bytes;
  return bytes;
}

// The smallest order whose node holds `records` records of this size.
unsigned OrderFor(size_t element_bytes, size_t elements) {
  unsigned order = 0;
  while (order < kNodeOrderMax && (kFrameSize << order) < element_bytes * elements) order++;
  return order;
}

constexpr size_t kChildrenPerInnerMin = 32;

// Log room that a new leaf of this order should have, at most what its tail index can name. More
// room means fewer rewrites, and fewer records for each leaf that a scan verifies. Where a rewrite
// copies many bytes it is worth more (docs/performance.md has what was measured).
size_t LogRoomWanted(unsigned order, size_t average_record) {
  const size_t node = kFrameSize << order;
  const size_t wanted = order == 0 ? std::max(node / 6, 4 * average_record) : node / 8 * 3;
  return std::min(wanted, (Descriptor::kTailSlots << order) * average_record);
}

// The element at which the sizes in front of it reach half of the total.
template <typename Element, typename Size>
size_t Middle(std::span<const Element> elements, const Size& size) {
  size_t total = 0;
  for (const Element& element : elements) total += size(element);
  size_t sum = 0;
  for (size_t i = 0; i + 1 < elements.size(); i++) {
    sum += size(elements[i]);
    if (2 * sum >= total) return i + 1;
  }
  return elements.size() - 1;
}

}  // namespace

unsigned LeafOrderFor(size_t average, size_t records_per_leaf) {
  return OrderFor(average, records_per_leaf);
}

size_t LeafBaseBytes(std::span<const RecordView> records, std::string_view low,
                     std::optional<std::string_view> high) {
  return sizeof(NodeHeader) + Pad8(records.size()) + Pad8(2 * records.size()) +
         Pad8(FenceBytes(low, high)) + TotalBytes(records);
}

void WriteLeaf(std::byte* to, const NodeIdentity& id, std::span<const RecordView> records,
               uint64_t hash_seed) {
  NodeHeader header = MakeHeader(id, records.size());
  std::byte* const fingerprints = to + sizeof header;
  std::byte* const slots = fingerprints + Pad8(records.size());
  size_t at = static_cast<size_t>(slots - to) + Pad8(2 * records.size());
  if (TUFF_ZERO("leaf.pad")) std::memset(to, 0, Pad8(at + FenceBytes(id.low, id.high)));
  PutFences(to, &at, id);
  at = Pad8(at);
  for (size_t i = 0; i < records.size(); i++) {
    const RecordView& record = records[i];
    fingerprints[i] = static_cast<std::byte>(Fingerprint(record.key));
    const auto slot = static_cast<uint16_t>(at / 8);
    std::memcpy(slots + 2 * i, &slot, sizeof slot);
    at += CopyRecord(to + at, record, RecordSeed(hash_seed, id.number, at));
  }
  if (TUFF_ZERO("leaf.log")) std::memset(to + at, 0, (kFrameSize << id.order) - at);
  Seal(to, &header, at, id.pfn, hash_seed);
}

size_t InnerBytes(std::span<const ChildEntry> children, std::string_view low,
                  std::optional<std::string_view> high) {
  const size_t prefix = RangePrefix(low, high);
  const size_t separators = children.size() - 1;
  size_t text = FenceBytes(low, high);
  for (size_t i = 1; i < children.size(); i++) {
    const size_t tail = children[i].low.size() - prefix;
    text += tail > 8 ? tail - 8 : 0;
  }
  return sizeof(NodeHeader) + 8 * separators + Pad8(sizeof(InnerSlot) * separators) + Pad8(text) +
         8 * children.size();
}

void WriteInner(std::byte* to, const NodeIdentity& id, std::span<const ChildEntry> children,
                uint64_t hash_seed) {
  if (TUFF_ZERO("inner.pad")) std::memset(to, 0, kFrameSize << id.order);
  NodeHeader header = MakeHeader(id, children.size());
  const size_t prefix = RangePrefix(id.low, id.high);
  header.prefix_bytes = static_cast<uint16_t>(prefix);
  const size_t separators = children.size() - 1;
  std::byte* const heads = to + sizeof header;
  std::byte* const slots = heads + 8 * separators;
  size_t at = static_cast<size_t>(slots - to) + Pad8(sizeof(InnerSlot) * separators);
  PutFences(to, &at, id);
  for (size_t i = 0; i < separators; i++) {
    const std::string_view tail = children[i + 1].low.substr(prefix);
    const uint64_t head = KeyHead(tail);
    std::memcpy(heads + 8 * i, &head, 8);
    const InnerSlot slot{static_cast<uint16_t>(at), static_cast<uint16_t>(tail.size())};
    std::memcpy(slots + sizeof slot * i, &slot, sizeof slot);
    if (tail.size() > 8) PutText(to, &at, tail.substr(8));
  }
  at = Pad8(at);
  for (size_t i = 0; i < children.size(); i++) {
    std::memcpy(to + at + 8 * i, &children[i].word, 8);
  }
  Seal(to, &header, at, id.pfn, hash_seed);
}

namespace {

// Copies n elements of `size` bytes with room for a new one at `at`; returns where that is.
std::byte* CopyAround(std::byte* to, const std::byte* from, size_t n, size_t at, size_t size) {
  std::memcpy(to, from, at * size);
  std::memcpy(to + (at + 1) * size, from + at * size, (n - at) * size);
  return to + at * size;
}

}  // namespace

InnerSplice::InnerSplice(const NodeView& old, size_t at, std::string_view separator)
    : old_(old), at_(at) {
  if (!separator.starts_with(old.prefix())) return;
  tail_ = separator.substr(old.prefix().size());
  const size_t text = old.fences_offset();
  size_t end = text + old.header().low_bytes + old.header().high_bytes;
  for (size_t i = 0; i < old.separators(); i++) {
    const InnerSlot slot = old.Slot(i);
    if (slot.offset < text) return;
    end = std::max(end, slot.offset + size_t{slot.bytes > 8 ? slot.bytes - 8u : 0});
  }
  text_bytes_ = end - text;
  possible_ = true;
}

size_t InnerSplice::bytes() const {
  const size_t separators = old_.separators() + 1;
  const size_t rest = tail_.size() > 8 ? tail_.size() - 8 : 0;
  return sizeof(NodeHeader) + 8 * separators + Pad8(sizeof(InnerSlot) * separators) +
         Pad8(text_bytes_ + rest) + 8 * (separators + 1);
}

void InnerSplice::Write(std::byte* to, const NodeIdentity& id, uint64_t left, uint64_t right,
                        uint64_t hash_seed) const {
  assert(possible_ && bytes() <= kFrameSize << id.order);
  const size_t n = old_.separators();
  NodeHeader header = MakeHeader(id, n + 2);
  header.prefix_bytes = old_.header().prefix_bytes;
  std::byte* const heads = to + sizeof header;
  std::byte* const slots = heads + 8 * (n + 1);
  const size_t slots_end = static_cast<size_t>(slots - to) + sizeof(InnerSlot) * (n + 1);
  const size_t text = Pad8(slots_end);
  if (TUFF_ZERO("splice.slots")) std::memset(to + slots_end, 0, text - slots_end);
  size_t end = text + text_bytes_;
  const InnerSlot slot{static_cast<uint16_t>(end), static_cast<uint16_t>(tail_.size())};

  const uint64_t head = KeyHead(tail_);
  std::memcpy(CopyAround(heads, old_.data() + sizeof header, n, at_, 8), &head, 8);
  const std::byte* const old_slots = old_.data() + old_.inner_slots_offset();
  std::memcpy(CopyAround(slots, old_slots, n, at_, sizeof slot), &slot, sizeof slot);
  const size_t moved_by = text - old_.fences_offset();
  for (size_t i = 0; i <= n; i++) {
    if (i == at_) continue;
    InnerSlot moved;
    std::memcpy(&moved, slots + sizeof moved * i, sizeof moved);
    moved.offset = static_cast<uint16_t>(moved.offset + moved_by);
    std::memcpy(slots + sizeof moved * i, &moved, sizeof moved);
  }
  std::memcpy(to + text, old_.data() + old_.fences_offset(), text_bytes_);
  if (tail_.size() > 8) PutText(to, &end, tail_.substr(8));
  const size_t words = Pad8(end);
  if (TUFF_ZERO("splice.text")) std::memset(to + end, 0, words - end);
  std::byte* const place =
      CopyAround(to + words, old_.data() + old_.base_end(), n + 1, at_, sizeof left);
  std::memcpy(place, &left, sizeof left);
  std::memcpy(place + sizeof left, &right, sizeof right);
  const size_t all = words + 8 * (n + 2);
  if (TUFF_ZERO("splice.rest")) std::memset(to + all, 0, (kFrameSize << id.order) - all);
  Seal(to, &header, words, id.pfn, hash_seed);
}

namespace {

// Lays `records` into two leaves of `order`, the second from `middle` on. False if they do not fit.
bool SplitLeafAt(size_t middle, unsigned order, std::span<const RecordView> records,
                 std::string_view low, std::optional<std::string_view> high,
                 const PendingRecord& pending, size_t spare, NodePlan* plan) {
  const size_t n = records.size();
  const std::string_view left = middle > 0 ? records[middle - 1].key : pending.key;
  const std::string_view right = middle < n ? records[middle].key : pending.key;
  if (left >= right) return false;  // one record, to be overwritten: it needs the larger node
  const std::string_view separator = ShortestSeparator(left, right);
  const bool pending_left = pending.key < separator;
  const size_t node = kFrameSize << order;
  const size_t left_bytes = LeafBaseBytes(records.first(middle), low, separator);
  const size_t right_bytes = LeafBaseBytes(records.subspan(middle), separator, high);
  if (left_bytes + (pending_left ? pending.bytes : 0) + spare > node ||
      right_bytes + (pending_left ? 0 : pending.bytes) + spare > node) {
    return false;
  }
  plan->parts = {{0, middle, order}, {middle, n, order}};
  plan->separator = separator;
  return true;
}

// Splits records and pending records, taken together, in the middle, or where the left one's log is
// full. What is pending may need further splits.
bool SplitForGroup(unsigned order, std::span<const RecordView> records, std::string_view low,
                   std::optional<std::string_view> high, std::span<const PendingRecord> group,
                   size_t spare, NodePlan* plan) {
  size_t total = TotalBytes(records);
  for (const PendingRecord& pending : group) total += pending.bytes;
  size_t sum = 0;
  size_t r = 0;
  size_t middle = 0;  // the last place so far where a separator can be
  std::string_view left;
  std::string separator;
  const size_t slots = size_t{Descriptor::kTailSlots} << order;
  for (size_t g = 0; (2 * sum < total && g <= slots) || separator.empty();) {
    if (r == records.size() && g == group.size()) break;
    const bool from_records =
        g == group.size() || (r < records.size() && records[r].key <= group[g].key);
    const std::string_view right = from_records ? records[r].key : group[g].key;
    if (sum > 0 && left < right) {
      separator = ShortestSeparator(left, right);
      middle = r;
    }
    sum += from_records ? records[r++].bytes : group[g++].bytes;
    left = right;
  }
  if (separator.empty()) return false;
  const size_t room = (kFrameSize << order) - spare;
  plan->separator = separator;
  plan->parts = {{0, middle, order}, {middle, records.size(), order}};
  return LeafBaseBytes(records.first(middle), low, separator) <= room &&
         LeafBaseBytes(records.subspan(middle), separator, high) <= room;
}

NodePlan PlanLeafForGroup(std::span<const RecordView> records, std::string_view low,
                          std::optional<std::string_view> high, const PendingRecord& pending) {
  NodePlan plan;
  const std::span group = pending.group;
  size_t longest_key = 0;
  size_t largest = 0;
  size_t bytes = kGroupBytes;
  for (const RecordView& record : records) longest_key = std::max(longest_key, record.key.size());
  for (const PendingRecord& p : group) {
    longest_key = std::max(longest_key, p.key.size());
    largest = std::max(largest, p.bytes);
    bytes += p.bytes;
  }
  const size_t one = LeafBaseBytes(records, low, high);
  const size_t least = one + bytes + (pending.shrinking ? RecordBytes(longest_key, 0) : 0);
  const size_t most = one + bytes + PutRoom(longest_key, longest_key, group.size());
  const auto fits = [&](size_t needed, unsigned order) {
    return group.size() <= size_t{Descriptor::kTailSlots} << order && needed <= kFrameSize << order;
  };
  for (unsigned order = 0; pending.shrinking && order <= kNodeOrderMax; order++) {
    if (!fits(least, order)) continue;
    plan.parts = {{0, records.size(), order}};
    return plan;
  }
  const size_t average = (TotalBytes(records) + bytes) / (records.size() + group.size());
  const size_t spare = largest + kGroupBytes + PutRoom(longest_key, longest_key, 1);
  for (unsigned order = OrderFor(average, pending.records_per_leaf); order <= kNodeOrderMax;
       order++) {
    if (fits(most, order)) {
      plan.parts = {{0, records.size(), order}};
      return plan;
    }
    if (spare > kFrameSize << order) continue;
    // All old records may go to one side: they fill a largest node but for what it keeps free
    // anyway.
    const size_t kept = order < kNodeOrderMax ? spare : ShrinkRoom(longest_key, 1);
    if (SplitForGroup(order, records, low, high, group, kept, &plan)) return plan;
  }
  return NodePlan();
}

}  // namespace

NodePlan PlanLeaf(std::span<const RecordView> records, std::string_view low,
                  std::optional<std::string_view> high, const PendingRecord& pending) {
  if (pending.group.size() > 1) return PlanLeafForGroup(records, low, high, pending);
  NodePlan plan;
  const size_t n = records.size();
  const size_t one = LeafBaseBytes(records, low, high);
  size_t total = 0;
  size_t longest_key = pending.key.size();
  for (const RecordView& record : records) {
    total += record.bytes;
    longest_key = std::max(longest_key, record.key.size());
  }
  if (pending.shrinking) {
    const size_t least = one + std::max(pending.bytes, RecordBytes(longest_key, 0));
    for (unsigned order = 0; order <= kNodeOrderMax; order++) {
      if (least > kFrameSize << order) continue;
      plan.parts = {{0, n, order}};
      return plan;
    }
  }
  const size_t spare = ShrinkRoom(longest_key, 1);
  const size_t elements = std::max<size_t>(1, n + (pending.bytes > 0 ? 1 : 0));
  const size_t average = (total + pending.bytes) / elements;

  // Ascending keys: leave the left leaf full instead of half empty.
  const bool appending = !high && pending.bytes > 0 && n > 0 && records[n - 1].key < pending.key;
  for (unsigned order = OrderFor(average, pending.records_per_leaf); order <= kNodeOrderMax;
       order++) {
    const size_t room = std::max(pending.bytes + spare, LogRoomWanted(order, average));
    if (one + room <= kFrameSize << order) {
      plan.parts = {{0, n, order}};
      return plan;
    }
    if (n == 0) continue;
    const size_t middle = n == 1 ? (pending.key < records[0].key ? 0 : 1)
                                 : Middle(records, [](const RecordView& r) { return r.bytes; });
    if (appending && SplitLeafAt(n, order, records, low, high, pending, spare, &plan)) return plan;
    if (SplitLeafAt(middle, order, records, low, high, pending, spare, &plan)) return plan;
  }
  return plan;
}

std::optional<unsigned> InnerOrderFor(size_t bytes, size_t children) {
  const unsigned order = OrderFor(bytes / children, kChildrenPerInnerMin);
  if (bytes > kFrameSize << order) return std::nullopt;
  return order;
}

NodePlan PlanInner(std::span<const ChildEntry> children, std::string_view low,
                   std::optional<std::string_view> high) {
  NodePlan plan;
  const size_t n = children.size();
  const size_t one = InnerBytes(children, low, high);
  unsigned order = OrderFor(one / n, kChildrenPerInnerMin);
  for (; order <= kNodeOrderMax; order++) {
    const size_t node = kFrameSize << order;
    if (one <= node) {
      plan.parts = {{0, n, order}};
      return plan;
    }
    if (n < 4) continue;
    const size_t middle = std::clamp<size_t>(
        Middle(children, [](const ChildEntry& c) { return c.low.size() + 20; }), 2, n - 2);
    const std::string_view separator = children[middle].low;
    if (InnerBytes(children.first(middle), low, separator) <= node &&
        InnerBytes(children.subspan(middle), separator, high) <= node) {
      plan.parts = {{0, middle, order}, {middle, n, order}};
      plan.separator = separator;
      return plan;
    }
  }
  return plan;
}

bool LeafIsThin(std::span<const RecordView> records, size_t records_per_leaf) {
  if (records.empty()) return true;
  const size_t bytes = TotalBytes(records);
  return bytes < (kFrameSize << OrderFor(bytes / records.size(), records_per_leaf)) / 4;
}

bool InnerIsThin(std::span<const ChildEntry> children, std::string_view low,
                 std::optional<std::string_view> high) {
  const size_t bytes = InnerBytes(children, low, high);
  return bytes < (kFrameSize << OrderFor(bytes / children.size(), kChildrenPerInnerMin)) / 4;
}

std::string_view ShortestSeparator(std::string_view left, std::string_view right) {
  return right.substr(0, CommonPrefix(left, right) + 1);
}

}  // namespace tuff
