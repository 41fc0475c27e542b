// On-media: the frame table's owner words. One aligned 8-byte word per frame; 0 is a free frame.
// Only the head of a run has one: its order says how many frames it covers; the others' stay 0.
#pragma once

#include "pagemap/checksum.h"
#include "pagemap/format_table.h"
#include "pagemap/pfn.h"

namespace tuff {

/// Who owns a run of frames. The numbers are permanent.
enum class FrameKind : uint8_t {
  kFree = 0,
  kMetadata = 1,     // an object's anchor
  kTreeNode = 2,     // a leaf or an inner node
  kExtent = 3,       // part of a large value
  kCachedBlock = 4,  // a volume's block
  kBatchLog = 5,     // a write batch that is being applied
  kRaw = 6,          // a raw object's own
  kQuarantined = 7,  // damaged medium: never handed out
};
inline constexpr uint8_t kFrameKindLast = 7;

struct OwnerWord {
  uint8_t kind;
  uint8_t order;
  uint8_t check;
  uint8_t reserved;
  uint32_t object_id;
};

inline constexpr Field kOwnerWordFields[] = {
    TUFF_FIELD(OwnerWord, kind, Decimal,
               "0 free, 1 metadata, 2 tree node, 3 extent, 4 cached block, 5 batch log, 6 raw, 7 "
               "quarantined"),
    TUFF_FIELD(OwnerWord, order, Decimal, "the run is 2^order frames, aligned to its size"),
    TUFF_FIELD(OwnerWord, check, Hex,
               "low byte of Mix64 over the word with this byte 0, mixed with the pfn"),
    TUFF_FIELD(OwnerWord, reserved, Decimal, "0"),
    TUFF_FIELD(OwnerWord, object_id, Decimal, "the object that owns the run"),
};
TUFF_FORMAT(OwnerWord, kOwnerWordFields,
            "One for each frame of a section, in pfn order, in the section's frame table. Changed "
            "by aligned 8-byte stores only.");
static_assert(sizeof(OwnerWord) == 8);

constexpr uint8_t OwnerCheck(Pfn pfn, OwnerWord owner) {
  owner.check = 0;
  return static_cast<uint8_t>(Mix64(std::bit_cast<uint64_t>(owner) ^ Mix64(pfn + 1)));
}

/// The word that gives the run at `pfn` to an object.
constexpr uint64_t PackOwner(Pfn pfn, FrameKind kind, unsigned order, uint32_t object_id) {
  OwnerWord owner{static_cast<uint8_t>(kind), static_cast<uint8_t>(order), 0, 0, object_id};
  owner.check = OwnerCheck(pfn, owner);
  return std::bit_cast<uint64_t>(owner);
}

constexpr OwnerWord UnpackOwner(uint64_t word) { return std::bit_cast<OwnerWord>(word); }

/// True if a non-zero word read at `pfn` can be believed: kind, order, alignment, check byte.
constexpr bool OwnerIsValid(Pfn pfn, uint64_t word) {
  const OwnerWord owner = UnpackOwner(word);
  return owner.kind != 0 && owner.kind <= kFrameKindLast && owner.order <= kOrderMax &&
         (pfn & ((1ull << owner.order) - 1)) == 0 && owner.reserved == 0 &&
         owner.check == OwnerCheck(pfn, owner);
}

}  // namespace tuff
