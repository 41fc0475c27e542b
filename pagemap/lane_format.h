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
    TUFF_FIELD(LaneEntry, checksum, Hex,
               "Checksum64 of the bytes behind this field and of the runs, seeded with state, lane "
               "and the pool's hash_seed"),
    TUFF_FIELD(LaneEntry, decider, Decimal, "1: the word at `place`; 2: the record at `place`"),
    TUFF_FIELD(LaneEntry, new_runs, Decimal, "runs that the change allocates"),
    TUFF_FIELD(LaneEntry, old_runs, Decimal, "runs that the change frees"),
    TUFF_FIELD(LaneEntry, reserved, Decimal, "0"),
    TUFF_FIELD(LaneEntry, place, Hex, "byte offset in the pool of the deciding word or record"),
    TUFF_FIELD(LaneEntry, old_value, Hex, "the word before the change"),
    TUFF_FIELD(LaneEntry, new_value, Hex, "the word after it; or the record's sequence and type"),
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

/// Runs that fit behind one entry.
inline constexpr size_t kLaneRunsMax = (kFrameSize - sizeof(LaneEntry)) / sizeof(LaneRun);

}  // namespace tuff
