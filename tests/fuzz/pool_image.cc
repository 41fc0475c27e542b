#include "tests/fuzz/pool_image.h"

#include <algorithm>

#include "engine/node.h"
#include "engine/object_format.h"
#include "engine/record.h"
#include "pagemap/checksum.h"
#include "pagemap/frame_format.h"
#include "pagemap/lane_format.h"
#include "pagemap/superblock_format.h"

namespace tuff::test {
namespace {

constexpr size_t kLine = MemoryModel::kLineSize;
constexpr uint64_t kChunksMax = 64;  // a chain may be a circle

// Makes the record at byte `at` right, if it can be one. `in_group`: kInGroup or 0.
size_t SignRecord(std::vector<std::byte>* node, size_t at, uint64_t seed, uint64_t number,
                  size_t in_group) {
  RecordView record;
  if (!ParseRecord(node->data(), at, node->size(), &record)) return 0;
  constexpr size_t kFrom = offsetof(RecordHeader, key_bytes);
  const size_t covered = sizeof(RecordHeader) - kFrom + record.key.size() + record.value.size();
  const uint32_t checksum =
      Checksum32(record.at + kFrom, covered, RecordSeed(seed, number, at + in_group));
  std::memcpy(node->data() + at, &checksum, sizeof checksum);
  return record.bytes;
}

// The same for a group with its records.
size_t SignGroup(std::vector<std::byte>* node, size_t at, uint64_t seed, uint64_t number) {
  RecordHeader header;
  if (at > node->size() || node->size() - at < sizeof header) return 0;
  std::memcpy(&header, node->data() + at, sizeof header);
  const size_t bytes = size_t{header.value_bytes} * 8;
  if (TypeOf(header.sequence_and_type) != RecordType::kGroup || bytes == 0 ||
      bytes > node->size() - at - sizeof header) {
    return 0;
  }
  const size_t end = at + sizeof header + bytes;
  for (size_t in = at + sizeof header; in < end;) {
    const size_t n = SignRecord(node, in, seed, number, kInGroup);
    if (n == 0) break;
    in += n;
  }
  constexpr size_t kFrom = offsetof(RecordHeader, key_bytes);
  const uint32_t checksum = Checksum32(node->data() + at + kFrom, sizeof header - kFrom + bytes,
                                       RecordSeed(seed, number, at));
  std::memcpy(node->data() + at, &checksum, sizeof checksum);
  return end - at;
}

void SignRecords(std::vector<std::byte>* node, uint64_t seed) {
  NodeHeader header;
  std::memcpy(&header, node->data(), sizeof header);
  const size_t slots = sizeof header + Pad8(header.count);
  for (size_t i = 0; i < header.count && slots + 2 * i + 2 <= node->size(); i++) {
    uint16_t slot = 0;
    std::memcpy(&slot, node->data() + slots + 2 * i, sizeof slot);
    SignRecord(node, size_t{slot} * 8, seed, header.number, 0);
  }
  for (size_t at = size_t{header.base_end} * 8; at < node->size();) {
    size_t n = SignRecord(node, at, seed, header.number, 0);
    if (n == 0) n = SignGroup(node, at, seed, header.number);
    if (n == 0) break;
    at += n;
  }
}

}  // namespace

std::vector<std::byte> PoolImage::Read(uint64_t offset, size_t n) const {
  std::vector<std::byte> bytes(n);
  for (size_t done = 0; done < n;) {
    const uint64_t at = offset + done;
    const size_t in_line = at % kLine;
    const size_t part = std::min(n - done, kLine - in_line);
    if (at >= offset && at < image_.bytes()) {
      const SparseImage::Line line = image_.LineAt(at - in_line);
      std::memcpy(bytes.data() + done, line.data() + in_line, part);
    }
    done += part;
  }
  return bytes;
}

void PoolImage::Write(uint64_t offset, const std::byte* from, size_t n) {
  for (size_t done = 0; done < n;) {
    const uint64_t at = offset + done;
    const size_t in_line = at % kLine;
    const size_t part = std::min(n - done, kLine - in_line);
    if (at >= offset && at < image_.bytes()) {
      SparseImage::Line line = image_.LineAt(at - in_line);
      std::memcpy(line.data() + in_line, from + done, part);
      image_.SetLine(at - in_line, line);
    }
    done += part;
  }
}

std::vector<std::byte> PoolImage::ReadNode(Pfn pfn) const {
  const auto header = Get<NodeHeader>(OffsetOf(pfn));
  uint64_t run = header.order <= kNodeOrderMax ? 1ull << header.order : 1;
  if (pfn + run > frames()) run = 1;
  return Read(OffsetOf(pfn), OffsetOf(run));
}

uint64_t PoolImage::HashSeed() const {
  const auto first = Get<Superblock>(OffsetOf(kSuperblockPfn));
  const auto second = Get<Superblock>(OffsetOf(kMirrorPfn));
  return second.sequence > first.sequence ? second.hash_seed : first.hash_seed;
}

void PoolImage::SignSuperblock(Pfn pfn) {
  auto superblock = Get<Superblock>(OffsetOf(pfn));
  constexpr size_t kFrom = offsetof(Superblock, sequence);
  superblock.checksum = Checksum64(reinterpret_cast<const std::byte*>(&superblock) + kFrom,
                                   sizeof superblock - kFrom, 0);
  Set(OffsetOf(pfn), superblock);
}

void PoolImage::SignLiveStatus() {
  auto status = Get<LiveStatus>(kLiveStatusOffset);
  constexpr size_t kFrom = offsetof(LiveStatus, mount_nonce);
  status.checksum =
      Checksum64(reinterpret_cast<const std::byte*>(&status) + kFrom, sizeof status - kFrom, 0);
  Set(kLiveStatusOffset, status);
}

void PoolImage::SignOwner(Pfn pfn) {
  auto owner = Get<OwnerWord>(OwnerWordOffset(pfn));
  owner.check = OwnerCheck(pfn, owner);
  Set(OwnerWordOffset(pfn), owner);
}

void PoolImage::SignAnchor(Pfn pfn) {
  auto anchor = Get<Anchor>(OffsetOf(pfn));
  constexpr size_t kFrom = offsetof(Anchor, object_id);
  anchor.checksum = Checksum64(reinterpret_cast<const std::byte*>(&anchor) + kFrom,
                               offsetof(Anchor, root) - kFrom, HashSeed() ^ Mix64(pfn));
  Set(OffsetOf(pfn), anchor);
}

void PoolImage::SignNode(Pfn pfn, bool records) {
  std::vector<std::byte> node = ReadNode(pfn);
  NodeHeader header;
  std::memcpy(&header, node.data(), sizeof header);
  if (records && header.kind == kNodeLeaf) SignRecords(&node, HashSeed());
  const size_t base_end = size_t{header.base_end} * 8;
  if (base_end >= sizeof header && base_end <= node.size()) {
    header.checksum = NodeChecksum(node.data(), base_end, HashSeed(), pfn);
    std::memcpy(node.data(), &header.checksum, sizeof header.checksum);
  }
  Write(OffsetOf(pfn), node.data(), node.size());
}

size_t PoolImage::EntryBytes(const LaneEntry& entry) {
  size_t bytes = sizeof entry + (size_t{entry.new_runs} + entry.old_runs) * sizeof(LaneRun);
  const bool redo = entry.decider == static_cast<uint16_t>(LaneDecider::kRedo);
  if (redo && entry.place == 0) bytes += std::min<uint64_t>(entry.new_value, kFrameSize);
  return std::min(bytes, kFrameSize);
}

void PoolImage::SignLane(unsigned lane) {
  const uint64_t at = OffsetOf(kLanesPfn + lane);
  auto entry = Get<LaneEntry>(at);
  const bool redo = entry.decider == static_cast<uint16_t>(LaneDecider::kRedo);
  uint64_t next = redo ? entry.place : 0;
  for (uint64_t i = 0; next != 0 && i < kChunksMax; i++) {
    auto chunk = Get<RedoChunk>(next);
    if (chunk.bytes > image_.bytes()) break;
    const std::vector<std::byte> part = Read(next + sizeof chunk, chunk.bytes);
    constexpr size_t kFrom = offsetof(RedoChunk, next);
    const uint64_t head =
        Checksum64(reinterpret_cast<const std::byte*>(&chunk) + kFrom, sizeof chunk - kFrom,
                   HashSeed() ^ Mix64(entry.state ^ Mix64(i)));
    chunk.checksum = Checksum64(part.data(), part.size(), head);
    Set(next, chunk);
    next = chunk.next;
  }
  const size_t bytes = EntryBytes(entry);
  const std::vector<std::byte> whole = Read(at, bytes);
  constexpr size_t kFrom = offsetof(LaneEntry, decider);
  entry.checksum =
      Checksum64(whole.data() + kFrom, bytes - kFrom, HashSeed() ^ Mix64(entry.state + lane));
  Set(at, entry);
}

}  // namespace tuff::test
