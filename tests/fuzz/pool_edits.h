// An input of the pool fuzzer: which good pool, how it is opened and written to, and a list of
// edits, each of 16 bytes. Every input means something: numbers are taken modulo what there is.
//
// Inputs outlive the code: kinds and operations are never renumbered.
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tests/fuzz/pool_bases.h"

namespace tuff::test {

/// What an edit changes.
enum class EditKind : uint8_t {
  kSuperblock,  // which: copy; 2: both
  kLiveStatus,
  kOwnerWord,  // of node `which`'s frame, or of those after it: part
  kAnchor,
  kLaneEntry,
  kLaneRun,    // run `part` of lane `which`
  kRedoStore,  // store `part` of lane `which`
  kRedoChunk,  // chunk `part` of lane `which`
  kNodeHeader,
  kLeafSlot,
  kInnerHead,
  kInnerSlot,
  kChildWord,
  kBaseRecord,   // field of its header
  kLogRecord,    // the same, counted from the log's start; a group's head counts for one
  kRecordValue,  // of base record `part`: as the entry of a catalogue or a graveyard
  kLogValue,     // of log record `part`
  kNodeBytes,    // 8 bytes at byte `part` of the node
  kCopyNode,     // node `which` becomes a copy of node `value`
  kMoveRecord,   // base record `part` of node `which` goes to the end of the log of node `value`
  kCopyLane,     // lane `which` becomes a copy of lane `value`
  kCutLog,       // the log of node `which` is zeroed from byte `part` on
  kGrowRoot,  // anchor `which`: a root above the root, with 1 + `field` % 4 words for it, in frame
              // `part` from the end
  kLast = kGrowRoot,
};
inline constexpr uint8_t kEditKinds = static_cast<uint8_t>(EditKind::kLast) + 1;

/// What happens to a field.
enum class EditOp : uint8_t { kSet, kAdd, kXor, kOdd, kNode, kLast = kNode };
inline constexpr uint8_t kEditOps = static_cast<uint8_t>(EditOp::kLast) + 1;

// Bits of Edit::leave: checksums that stay wrong.
inline constexpr uint8_t kLeaveStructure = 1;
inline constexpr uint8_t kLeaveRecords = 2;

struct Edit {
  uint8_t kind;
  uint8_t which;
  uint16_t part;
  uint8_t field;
  uint8_t op;
  uint8_t leave;
  uint8_t reserved;
  uint64_t value;
};
static_assert(sizeof(Edit) == 16);

struct PoolInput {
  uint8_t base;
  uint8_t options;  // kRunXxx
  uint8_t writes;   // bits: what is written
  uint8_t seed;     // of what is written
};
static_assert(sizeof(PoolInput) == 4);
inline constexpr size_t kEditsMax = 24;

/// The base with all edits made and then the checksums made right, but for those left alone.
SparseImage ApplyEdits(const PoolBase& base, std::span<const Edit> edits);

}  // namespace tuff::test
