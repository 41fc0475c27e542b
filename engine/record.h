// Records: writing, finding and checking them in a node's bytes. Format: record_format.h.
//
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "engine/record_format.h"
#include "tuff/options.h"

namespace tuff {

/// The bytes a record takes, padding included.
constexpr size_t RecordBytes(size_t key_bytes, size_t value_bytes) {
  return (sizeof(RecordHeader) + key_bytes + value_bytes + 7) & ~size_t{7};
}

/// A record whose bounds have been checked; the views point into the node.
struct RecordView {
  const std::byte* at = nullptr;
  size_t offset = 0;  // bytes from the node's start
  size_t bytes = 0;   // padding included
  std::string_view key;
  std::string_view value;
  uint64_t sequence_and_type = 0;
  uint64_t hash = 0;  // Hash64 of what the checksum covers, once it has been verified; or 0

  RecordType type() const { return TypeOf(sequence_and_type); }
};

/// Added to the offset in the seed of a record in a group: torn from its group, it is no record.
inline constexpr size_t kInGroup = 1;

/// Checksum seed of the record at byte `offset` of node `node_number`.
constexpr uint64_t RecordSeed(uint64_t hash_seed, uint64_t node_number, size_t offset) {
  return hash_seed ^ Mix64(node_number * 0x9e3779b97f4a7c15ull + offset);
}

/// Reads the record at byte `offset` of a node of `end` bytes. False if it is not one: out of
/// bounds, impossible lengths or type. The checksum is not looked at.
inline bool ParseRecord(const std::byte* node, size_t offset, size_t end, RecordView* view) {
  if (offset % 8 != 0 || offset > end || end - offset < sizeof(RecordHeader)) return false;
  RecordHeader header;
  std::memcpy(&header, node + offset, sizeof header);
  const size_t bytes = RecordBytes(header.key_bytes, header.value_bytes);
  if (header.key_bytes == 0 || header.key_bytes > kKeySizeMax || bytes > kRecordSizeMax ||
      bytes > end - offset) {
    return false;
  }
  const RecordType type = TypeOf(header.sequence_and_type);
  if (type != RecordType::kPut && type != RecordType::kDelete) return false;
  const char* text = reinterpret_cast<const char*>(node + offset + sizeof header);
  view->at = node + offset;
  view->offset = offset;
  view->bytes = bytes;
  view->key = {text, header.key_bytes};
  view->value = {text + header.key_bytes, header.value_bytes};
  view->sequence_and_type = header.sequence_and_type;
  return true;
}

/// True if the checksum is right.
bool VerifyRecord(const RecordView& view, uint64_t seed);
/// ParseRecord and VerifyRecord in one; keeps the hash for a CopyRecord.
bool ReadRecord(const std::byte* node, size_t offset, size_t end, uint64_t seed, RecordView* view);

/// Writes a record to `to` (RecordBytes() bytes, padding zeroed); returns its size.
size_t EncodeRecord(std::byte* to, std::string_view key, std::string_view value,
                    uint64_t sequence_and_type, uint64_t seed);
/// The same from a record, without hashing it again if its hash is known.
size_t CopyRecord(std::byte* to, const RecordView& record, uint64_t seed);

/// Bytes in front of a group's records.
inline constexpr size_t kGroupBytes = sizeof(RecordHeader);
/// Makes a group of the `bytes` bytes of records that lie behind its head at `to`.
void SealGroup(std::byte* to, size_t bytes, uint64_t sequence, uint64_t seed);
/// True if a group begins at byte `offset` of a node of `end` bytes and its checksum is right;
/// `*bytes` is the length of its records.
bool FindGroup(const std::byte* node, size_t offset, size_t end, uint64_t seed, size_t* bytes);

/// True if `record` holds a whole record with this seed, sequence and type: what recovery asks.
bool RecordIsThere(std::span<const std::byte> record, uint64_t seed, uint64_t sequence_and_type);

}  // namespace tuff
