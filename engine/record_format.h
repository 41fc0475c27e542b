// On-media: a record, in a leaf's base and in its log alike. 8-byte aligned.
#pragma once

#include "pagemap/checksum.h"
#include "pagemap/format_table.h"

namespace tuff {

/// What a record says about its key. The numbers are permanent.
enum class RecordType : uint8_t {
  kPut = 1,
  kDelete = 2,
  kPutByReference = 3,  // the value lies in extents
  kGroup = 4,           // in logs only: records that are there together or not at all
};

struct RecordHeader {
  uint32_t checksum;
  uint16_t key_bytes;
  uint16_t value_bytes;
  uint64_t sequence_and_type;
};

inline constexpr Field kRecordHeaderFields[] = {
    TUFF_FIELD(
        RecordHeader, checksum, Hex,
        "Checksum32 of the bytes behind this field, key and value included, seeded with the "
        "pool's hash_seed, the node's number and the record's offset in the node (plus 1 in a "
        "group)"),
    TUFF_FIELD(RecordHeader, key_bytes, Decimal, "1 to 1024; 0 for a group"),
    TUFF_FIELD(RecordHeader, value_bytes, Decimal,
               "0 for a delete; for a group, the length of its records in 8-byte units"),
    TUFF_FIELD(RecordHeader, sequence_and_type, Hex,
               "sequence number << 8 | type (1 put, 2 delete, 3 put by reference, 4 group)"),
};
TUFF_FORMAT(RecordHeader, kRecordHeaderFields,
            "Followed by the key, the value, and zeros to the next multiple of 8; in a group, by "
            "whole records, all of which the group's checksum covers.");
static_assert(sizeof(RecordHeader) == 16);

constexpr uint64_t SequenceOf(uint64_t sequence_and_type) { return sequence_and_type >> 8; }
constexpr RecordType TypeOf(uint64_t sequence_and_type) {
  return static_cast<RecordType>(sequence_and_type & 0xff);
}
constexpr uint64_t PackSequence(uint64_t sequence, RecordType type) {
  return sequence << 8 | static_cast<uint8_t>(type);
}

}  // namespace tuff
