// Nodes as they lie in the pool: checked access to header, base, separators and child words.
// Format: node_format.h. Whole layout and picture: docs/format.md.
//
// A NodeView does not own its bytes. What it reads is right once VerifyNode has said OK; before
// that, only header() may be looked at. Should the bytes be damaged after that, it may read
// nonsense, but nothing beyond the node's run (I8): all that it takes from a header is bounded by
// the run's order, which is not looked up there again. Thread-safety: the base is immutable, child
// words are read with acquire order.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/node_format.h"
#include "engine/record.h"
#include "pagemap/simd.h"
#include "pagemap/window.h"

namespace tuff {

constexpr size_t Pad8(size_t n) { return (n + 7) & ~size_t{7}; }

uint64_t ShortKeyHead(std::string_view text);  // KeyHead of less than 8 bytes
/// First bytes of `text` as a big-endian number, zero-padded: orders as the text does, but for
/// ties.
inline uint64_t KeyHead(std::string_view text) {
  if (text.size() < 8) return ShortKeyHead(text);
  uint64_t head = 0;
  std::memcpy(&head, text.data(), 8);
  return __builtin_bswap64(head);
}

/// As a.compare(b); most pairs are settled by their heads.
inline int CompareKeys(std::string_view a, std::string_view b) {
  const uint64_t head_a = KeyHead(a);
  const uint64_t head_b = KeyHead(b);
  return head_a < head_b ? -1 : head_a > head_b ? 1 : a.compare(b);
}

inline uint8_t Fingerprint(std::string_view key) {
  return static_cast<uint8_t>(Hash64(key.data(), key.size()));
}

class NodeView {
 public:
  NodeView() = default;
  /// Of a node whose header says how large it is.
  NodeView(const std::byte* at, Pfn pfn)
      : NodeView(at, pfn, reinterpret_cast<const NodeHeader*>(at)->order) {}
  NodeView(const std::byte* at, Pfn pfn, unsigned order)
      : at_(at), pfn_(pfn), order_(order < kNodeOrderMax ? order : kNodeOrderMax) {}

  Pfn pfn() const { return pfn_; }
  const std::byte* data() const { return at_; }
  const NodeHeader& header() const { return *reinterpret_cast<const NodeHeader*>(at_); }
  bool is_leaf() const { return header().kind == kNodeLeaf; }
  unsigned level() const { return header().level; }
  unsigned order() const { return order_; }
  size_t bytes() const { return kFrameSize << order_; }
  size_t count() const { return std::min<size_t>(header().count, bytes() / kBytesPerElement); }
  uint64_t number() const { return header().number; }
  size_t base_end() const { return std::min(size_t{header().base_end} * 8, bytes()); }  // bytes
  uint64_t child_word() const { return PackChild(pfn_, number()); }

  /// Keys of the node's range are at or above low() and, if has_high(), below high().
  std::string_view low() const { return Text(fences_offset(), header().low_bytes); }
  std::string_view high() const {
    return Text(fences_offset() + header().low_bytes, header().high_bytes);
  }
  bool has_high() const { return (header().flags & kNodeNoHighFence) == 0; }
  bool Covers(std::string_view key) const { return key >= low() && (!has_high() || key < high()); }

  /// True if the node's range holds `key`; with `before`, the keys next below it.
  bool IsRightFor(std::string_view key, bool before) const {
    return before ? low() < key && (!has_high() || key <= high()) : Covers(key);
  }

  // Leaves.
  const uint8_t* fingerprints() const {
    return reinterpret_cast<const uint8_t*>(at_ + sizeof(NodeHeader));
  }
  /// Byte offset of base record i, in key order.
  size_t RecordOffset(size_t i) const { return size_t{Read16(leaf_slots_offset() + 2 * i)} * 8; }
  /// Base record i; false if it is damaged.
  bool BaseRecord(size_t i, RecordView* view) const {
    return ParseRecord(at_, RecordOffset(i), base_end(), view);
  }
  /// Index of the first base record at or above `key`; -1 if a record on the way is damaged.
  int LowerBound(std::string_view key) const;

  // Inner nodes.
  size_t separators() const {
    const size_t n = count();
    return n - (n > 0 ? 1 : 0);
  }
  std::string_view prefix() const { return low().substr(0, header().prefix_bytes); }
  /// The child that `key` belongs to.
  size_t ChildIndex(std::string_view key) const { return CountSeparators(key, true); }
  /// The child that the largest key below `key` belongs to.
  size_t ChildIndexBefore(std::string_view key) const { return CountSeparators(key, false); }
  uint64_t ChildWord(size_t i) const {
    return Load64(at_ + std::min(base_end() + 8 * i, bytes() - 8));
  }
  /// Byte offset in the pool of child word i.
  uint64_t ChildPlace(size_t i) const { return OffsetOf(pfn_) + base_end() + 8 * i; }
  InnerSlot Slot(size_t i) const {
    InnerSlot slot;
    std::memcpy(&slot, at_ + inner_slots_offset() + sizeof slot * i, sizeof slot);
    return slot;
  }
  /// Length of separator i: of the low fence of child i + 1.
  size_t SeparatorBytes(size_t i) const { return header().prefix_bytes + size_t{Slot(i).bytes}; }
  /// Writes separator i, SeparatorBytes(i) bytes, to `to`.
  void CopySeparator(size_t i, char* to) const;
  /// The same, behind what `to` holds.
  void AppendSeparator(size_t i, std::string* to) const {
    to->resize(to->size() + SeparatorBytes(i));
    CopySeparator(i, to->data() + to->size() - SeparatorBytes(i));
  }

  size_t fences_offset() const {
    return is_leaf() ? leaf_slots_offset() + Pad8(2 * count())
                     : inner_slots_offset() + Pad8(sizeof(InnerSlot) * separators());
  }
  size_t leaf_slots_offset() const { return sizeof(NodeHeader) + Pad8(count()); }
  size_t inner_slots_offset() const { return sizeof(NodeHeader) + 8 * separators(); }

 private:
  friend Status VerifyNode(const NodeView&, uint64_t, uint32_t);
  // At least: a leaf's record takes 27 with its fingerprint and slot, an inner node's child 20. So
  // the tables of as many elements as this allows lie in the node.
  static constexpr size_t kBytesPerElement = 16;
  const uint64_t* heads() const {
    return reinterpret_cast<const uint64_t*>(at_ + sizeof(NodeHeader));
  }
  std::string_view Text(size_t offset, size_t n) const {
    const size_t end = bytes();
    if (offset > end) return {};
    return {reinterpret_cast<const char*>(at_ + offset), std::min(n, end - offset)};
  }
  uint16_t Read16(size_t offset) const {
    uint16_t value = 0;
    std::memcpy(&value, at_ + offset, sizeof value);
    return value;
  }
  size_t CountSeparators(std::string_view key, bool or_equal) const;
  int CompareWithSeparator(std::string_view tail, size_t i) const;

  const std::byte* at_ = nullptr;
  Pfn pfn_ = 0;
  unsigned order_ = 0;
};

/// Checks all that reading the node relies on: lengths, offsets, order of keys, checksum of the
/// base. REQUIRES: the node's run lies in the pool. Errors: Corruption, with the pfn and the
/// reason.
Status VerifyNode(const NodeView& node, uint64_t hash_seed, uint32_t object_id);

/// True if header and base still have the node's checksum: for who is about to copy them.
bool NodeIsWhole(const NodeView& node, uint64_t hash_seed);

/// Hash64 of what the node's checksum covers: up to `base_end`, in bytes.
uint64_t HashOfNode(const std::byte* node, size_t base_end);
/// The checksum that the node's header should have.
uint64_t NodeChecksum(const std::byte* node, size_t base_end, uint64_t hash_seed, Pfn pfn);

/// "pfn N: reason".
Status NodeDamage(Pfn pfn, const std::string& reason);

}  // namespace tuff
