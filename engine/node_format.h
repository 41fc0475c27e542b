// On-media: tree nodes. A node is a run of 2^order frames.
//
// Leaf:  header | fingerprints u8[count], padded to 8 | slots u16[count], padded to 8 |
//        low and high fence key, padded to 8 | base records, sorted | log of records, then zeros
// Inner: header | heads u64[count-1] | slots InnerSlot[count-1], padded to 8 |
//        low and high fence key | rests of keys, padded to 8 | child words u64[count]
#pragma once

#include "pagemap/format_table.h"
#include "pagemap/pfn.h"

namespace tuff {

inline constexpr unsigned kNodeOrderMax = 4;
inline constexpr size_t kNodeBytesMax = kFrameSize << kNodeOrderMax;
inline constexpr unsigned kLevelMax = 15;  // leaves are level 0

/// Kinds of node. The numbers are permanent.
inline constexpr uint8_t kNodeLeaf = 1;
inline constexpr uint8_t kNodeInner = 2;

// NodeHeader::flags.
inline constexpr uint8_t kNodeNoHighFence = 1;  // the range is open upwards

struct NodeHeader {
  uint64_t checksum;
  uint64_t number;
  uint64_t sequence_max;
  uint32_t object_id;
  uint8_t kind;
  uint8_t level;
  uint8_t order;
  uint8_t flags;
  uint16_t count;
  uint16_t base_end;
  uint16_t low_bytes;
  uint16_t high_bytes;
  uint16_t prefix_bytes;
  uint8_t reserved[22];
};

inline constexpr Field kNodeHeaderFields[] = {
    TUFF_FIELD(NodeHeader, checksum, Hex,
               "Checksum64 of the bytes from the next field to `base_end`, seeded with the pool's "
               "hash_seed and the pfn"),
    TUFF_FIELD(NodeHeader, number, Decimal,
               "never used before in this pool; part of the records' checksum seeds"),
    TUFF_FIELD(NodeHeader, sequence_max, Decimal,
               "leaf: the highest sequence number that its base, or a leaf it was made from, ever "
               "held; never lowered"),
    TUFF_FIELD(NodeHeader, object_id, Decimal, "the object whose tree this is"),
    TUFF_FIELD(NodeHeader, kind, Decimal, "1 leaf, 2 inner node"),
    TUFF_FIELD(NodeHeader, level, Decimal, "0 for leaves; children are one level lower"),
    TUFF_FIELD(NodeHeader, order, Decimal, "the node is 2^order frames; at most 4"),
    TUFF_FIELD(NodeHeader, flags, Hex, "bit 0: no high fence"),
    TUFF_FIELD(NodeHeader, count, Decimal,
               "leaf: records in the base; inner: children, at least 1"),
    TUFF_FIELD(NodeHeader, base_end, Decimal,
               "in 8-byte units: where the log (leaf) or the child words (inner) begin"),
    TUFF_FIELD(NodeHeader, low_bytes, Decimal,
               "length of the low fence key; keys are at or above it"),
    TUFF_FIELD(NodeHeader, high_bytes, Decimal, "length of the high fence key; keys are below it"),
    TUFF_FIELD(NodeHeader, prefix_bytes, Decimal,
               "inner: bytes common to all its keys, taken from the low fence and cut from heads "
               "and slots"),
    TUFF_FIELD(NodeHeader, reserved, Bytes, "0"),
};
TUFF_FORMAT(NodeHeader, kNodeHeaderFields,
            "Begins a tree node. The layout behind it depends on the kind; see below.");
static_assert(sizeof(NodeHeader) == 64);

/// Where the rest of a separator lies: what is behind its prefix and its first 8 bytes.
struct InnerSlot {
  uint16_t offset;
  uint16_t bytes;
};
inline constexpr Field kInnerSlotFields[] = {
    TUFF_FIELD(InnerSlot, offset, Decimal,
               "byte offset in the node of what is behind the separator's prefix and head"),
    TUFF_FIELD(InnerSlot, bytes, Decimal,
               "length of the separator behind the prefix, its head included"),
};
TUFF_FORMAT(InnerSlot, kInnerSlotFields,
            "One for each separator of an inner node. Separator i is the low fence of child i + 1; "
            "its head is the first 8 bytes behind the prefix as a big-endian number, zero-padded.");

/// A child word, and a root word: pfn in the low 40 bits, low 24 bits of the node's number above.
/// 0: no node.
constexpr uint64_t PackChild(Pfn pfn, uint64_t number) { return pfn | number << kPfnBits; }
constexpr Pfn ChildPfn(uint64_t word) { return word & ((1ull << kPfnBits) - 1); }
constexpr bool ChildTagMatches(uint64_t word, uint64_t number) {
  return word >> kPfnBits == (number & ((1ull << (64 - kPfnBits)) - 1));
}

}  // namespace tuff
