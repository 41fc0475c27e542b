#include "engine/record.h"

#include <cassert>
#include <cstring>

#include "pagemap/steps.h"

namespace tuff {
namespace {

constexpr size_t kChecksumFrom = offsetof(RecordHeader, key_bytes);

uint32_t RecordChecksum(const std::byte* at, size_t key_bytes, size_t value_bytes, uint64_t seed) {
  return Checksum32(at + kChecksumFrom,
                    sizeof(RecordHeader) - kChecksumFrom + key_bytes + value_bytes, seed);
}

}  // namespace

bool VerifyRecord(const RecordView& view, uint64_t seed) {
  uint32_t stored = 0;
  std::memcpy(&stored, view.at, sizeof stored);
  return stored == RecordChecksum(view.at, view.key.size(), view.value.size(), seed);
}

bool ReadRecord(const std::byte* node, size_t offset, size_t end, uint64_t seed, RecordView* view) {
  if (!ParseRecord(node, offset, end, view)) return false;
  const size_t bytes = sizeof(RecordHeader) - kChecksumFrom + view->key.size() + view->value.size();
  view->hash = Hash64(view->at + kChecksumFrom, bytes);
  uint32_t stored = 0;
  std::memcpy(&stored, view->at, sizeof stored);
  return stored == static_cast<uint32_t>(ChecksumOfHash(view->hash, seed));
}

size_t EncodeRecord(std::byte* to, std::string_view key, std::string_view value,
                    uint64_t sequence_and_type, uint64_t seed) {
  const size_t bytes = RecordBytes(key.size(), value.size());
  RecordHeader header{0, static_cast<uint16_t>(key.size()), static_cast<uint16_t>(value.size()),
                      sequence_and_type};
  if (TUFF_ZERO("record.pad")) std::memset(to + bytes - 8, 0, 8);
  std::memcpy(to, &header, sizeof header);
  std::memcpy(to + sizeof header, key.data(), key.size());
  if (!value.empty()) std::memcpy(to + sizeof header + key.size(), value.data(), value.size());
  header.checksum = RecordChecksum(to, key.size(), value.size(), seed);
  std::memcpy(to, &header.checksum, sizeof header.checksum);
  return bytes;
}

size_t CopyRecord(std::byte* to, const RecordView& record, uint64_t seed) {
  if (record.hash == 0) {
    return EncodeRecord(to, record.key, record.value, record.sequence_and_type, seed);
  }
  if (TUFF_ZERO("record.copy")) std::memset(to + record.bytes - 8, 0, 8);
  std::memcpy(to, record.at, sizeof(RecordHeader) + record.key.size() + record.value.size());
  const auto checksum = static_cast<uint32_t>(ChecksumOfHash(record.hash, seed));
  std::memcpy(to, &checksum, sizeof checksum);
  return record.bytes;
}

void SealGroup(std::byte* to, size_t bytes, uint64_t sequence, uint64_t seed) {
  assert(bytes % 8 == 0);
  RecordHeader header{0, 0, static_cast<uint16_t>(bytes / 8),
                      PackSequence(sequence, RecordType::kGroup)};
  std::memcpy(to, &header, sizeof header);
  header.checksum = RecordChecksum(to, 0, bytes, seed);
  std::memcpy(to, &header.checksum, sizeof header.checksum);
}

bool FindGroup(const std::byte* node, size_t offset, size_t end, uint64_t seed, size_t* bytes) {
  if (offset % 8 != 0 || offset > end || end - offset < kGroupBytes) return false;
  RecordHeader header;
  std::memcpy(&header, node + offset, sizeof header);
  *bytes = size_t{header.value_bytes} * 8;
  return header.key_bytes == 0 && TypeOf(header.sequence_and_type) == RecordType::kGroup &&
         *bytes > 0 && *bytes <= end - offset - kGroupBytes &&
         TUFF_CHECK("group.checksum",
                    header.checksum == RecordChecksum(node + offset, 0, *bytes, seed));
}

bool RecordIsThere(std::span<const std::byte> record, uint64_t seed, uint64_t sequence_and_type) {
  RecordView view;
  return ParseRecord(record.data(), 0, record.size(), &view) && view.bytes == record.size() &&
         view.sequence_and_type == sequence_and_type && VerifyRecord(view, seed);
}

}  // namespace tuff
