// On-media: a lane, one frame for each concurrent writer, holding the structural change that the
// writer is in the middle of. See docs/architecture.md, "The lane protocol".
#pragma once

#include "pagemap/format_table.h"
#include "pagemap/pfn.h"

namespace tuff {

/// What decides whether the change happened. The numbers are permanent.
enum class LaneDecider : uint16_t {
  kWord = 1,    // the 8-byte word at `place` equals `new_value`
  kRecord = 2,  // a valid record of `new_value` (sequence and type) lies at `place`
  kRedo = 3,    // the entry itself, if all of its list of stores is there
};

struct LaneEntry {
  uint64_t state;
  uint64_t checksum;
  uint16_t decider;
  uint16_t new_runs;
  uint16_t old_runs;
  uint16_t reserved;
  uint64_t place;
  uint64_t old_value;
  uint64_t new_value;
  uint64_t record_seed;
  uint32_t record_bytes;
  uint32_t object_id;
};

inline constexpr Field kLaneEntryFields[] = {
    TUFF_FIELD(LaneEntry, state, Decimal, "0: the lane is empty; else the entry's number"),
    TUFF_FIELD(
        LaneEntry, checksum, Hex,
        "Checksum64 of the bytes behind this field and of the runs (or the stores that lie in "
        "the lane), seeded with state, lane and the pool's hash_seed"),
    TUFF_FIELD(LaneEntry, decider, Decimal,
               "1: the word at `place`; 2: the record at `place`; 3: none, these stores are made"),
    TUFF_FIELD(LaneEntry, new_runs, Decimal, "runs that the change allocates"),
    TUFF_FIELD(LaneEntry, old_runs, Decimal, "runs that the change frees"),
    TUFF_FIELD(LaneEntry, reserved, Decimal, "0"),
    TUFF_FIELD(
        LaneEntry, place, Hex,
        "byte offset in the pool of the deciding word or record; 3: of the first chunk of the "
        "list of stores, 0 if it follows in the lane"),
    TUFF_FIELD(LaneEntry, old_value, Hex, "the word before the change"),
    TUFF_FIELD(
        LaneEntry, new_value, Hex,
        "the word after it; or the record's sequence and type; 3: length of the list in bytes"),
    TUFF_FIELD(LaneEntry, record_seed, Hex, "checksum seed of the deciding record"),
    TUFF_FIELD(LaneEntry, record_bytes, Decimal, "length of the deciding record"),
    TUFF_FIELD(LaneEntry, object_id, Decimal, "object that is changed"),
};
TUFF_FORMAT(LaneEntry, kLaneEntryFields,
            "Lies at the start of a lane's frame, followed by `new_runs` and then `old_runs` times "
            "LaneRun.");

struct LaneRun {
  uint64_t pfn;
  uint64_t owner;
};

inline constexpr Field kLaneRunFields[] = {
    TUFF_FIELD(LaneRun, pfn, Decimal, "first frame of the run"),
    TUFF_FIELD(LaneRun, owner, Hex, "its owner word while it is in use"),
};
TUFF_FORMAT(LaneRun, kLaneRunFields, "A run of frames that the change allocates or frees.");

/// Bytes of a list of stores that fit behind one entry, and the most that a list may have.
inline constexpr size_t kLaneInlineBytes = kFrameSize - sizeof(LaneEntry);
inline constexpr uint64_t kRedoBytesMax = 64ull << 20;

struct RedoStore {
  uint64_t place;
  uint64_t bytes;
};
inline constexpr Field kRedoStoreFields[] = {
    TUFF_FIELD(RedoStore, place, Hex, "byte offset in the pool; a multiple of 8"),
    TUFF_FIELD(RedoStore, bytes, Decimal, "how many bytes to store there; a multiple of 8"),
};
TUFF_FORMAT(
    RedoStore, kRedoStoreFields,
    "One store of a list, followed by its bytes. A list lies in a lane behind its entry, or "
    "cut up in chunks.");

struct RedoChunk {
  uint64_t checksum;
  uint64_t next;
  uint64_t bytes;
};
inline constexpr Field kRedoChunkFields[] = {
    TUFF_FIELD(
        RedoChunk, checksum, Hex,
        "Checksum64 of the chunk's part of the list, seeded with that of the next two fields, "
        "which is seeded with the entry's number, the chunk's index and the pool's hash_seed"),
    TUFF_FIELD(RedoChunk, next, Hex, "byte offset in the pool of the next chunk; 0: none"),
    TUFF_FIELD(RedoChunk, bytes, Decimal, "of the list, behind this head"),
};
TUFF_FORMAT(RedoChunk, kRedoChunkFields,
            "Lies at the start of a run that has no owner: it is free, but for the entry.");

/// Runs that fit behind one entry.
inline constexpr size_t kLaneRunsMax = (kFrameSize - sizeof(LaneEntry)) / sizeof(LaneRun);

}  // namespace tuff
