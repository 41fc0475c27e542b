#include "engine/repair/lane_list.h"

#include <cstring>

#include "pagemap/checksum.h"

namespace tuff {
namespace {

// Both as docs/format.md, "Checksums", has them.
uint64_t EntryChecksum(const std::vector<std::byte>& entry, uint64_t state, unsigned lane,
                       uint64_t hash_seed) {
  constexpr size_t kFrom = offsetof(LaneEntry, decider);
  return Checksum64(entry.data() + kFrom, entry.size() - kFrom, hash_seed ^ Mix64(state + lane));
}

uint64_t ChunkChecksum(const RedoChunk& chunk, const std::byte* payload, uint64_t state,
                       uint64_t index, uint64_t hash_seed) {
  constexpr size_t kFrom = offsetof(RedoChunk, next);
  const auto* const head = reinterpret_cast<const std::byte*>(&chunk) + kFrom;
  const uint64_t of_head =
      Checksum64(head, sizeof chunk - kFrom, hash_seed ^ Mix64(state ^ Mix64(index)));
  return Checksum64(payload, chunk.bytes, of_head);
}

// A chunk lies in frames that hold data.
bool Fits(const PoolImage& image, uint64_t place, uint64_t bytes) {
  const uint64_t end = OffsetOf(image.frames());
  if (place % 8 != 0 || place >= end || bytes > end - place) return false;
  for (uint64_t at = place; at < place + bytes; at += kFrameSize) {
    if (!image.Holds(at >> kFrameShift, 0)) return false;
  }
  return image.Holds((place + bytes - 1) >> kFrameShift, 0);
}

void ReadChunks(const PoolImage& image, LaneList* list) {
  const uint64_t total = list->entry.new_value;
  uint64_t place = list->entry.place;
  for (uint64_t i = 0; place != 0 && list->stores.size() < total; i++) {
    if (!Fits(image, place, sizeof(RedoChunk))) return;
    LaneList::Chunk chunk{place, {}};
    std::memcpy(&chunk.head, image.base() + place, sizeof chunk.head);
    const uint64_t bytes = chunk.head.bytes;
    if (bytes == 0 || bytes > total - list->stores.size() ||
        !Fits(image, place, sizeof chunk.head + bytes)) {
      return;
    }
    const std::byte* const payload = image.base() + place + sizeof chunk.head;
    if (chunk.head.checksum !=
        ChunkChecksum(chunk.head, payload, list->entry.state, i, image.hash_seed())) {
      return;
    }
    list->stores.insert(list->stores.end(), payload, payload + bytes);
    list->chunks.push_back(chunk);
    place = chunk.head.next;
  }
}

}  // namespace

std::optional<LaneList> ReadLaneList(const PoolImage& image, unsigned lane) {
  const std::byte* const at = image.base() + OffsetOf(kLanesPfn + lane);
  LaneList list;
  std::memcpy(&list.entry, at, sizeof list.entry);
  const LaneEntry& entry = list.entry;
  const size_t runs = size_t{entry.new_runs} + entry.old_runs;
  if (entry.state == 0 || runs > kLaneRunsMax) return std::nullopt;
  size_t bytes = sizeof entry + runs * sizeof(LaneRun);
  list.runs.assign(at + sizeof entry, at + bytes);
  const bool is_inline = list.is_redo() && entry.place == 0;
  if (is_inline) {
    if (entry.new_value > kFrameSize - bytes) return std::nullopt;
    list.stores.assign(at + bytes, at + bytes + entry.new_value);
    bytes += entry.new_value;
  }
  const std::vector<std::byte> all(at, at + bytes);
  if (entry.checksum != EntryChecksum(all, entry.state, lane, image.hash_seed())) {
    return std::nullopt;
  }
  if (list.is_redo() && !is_inline && entry.new_value <= kRedoBytesMax) ReadChunks(image, &list);
  return list;
}

void WriteLaneList(LaneList list, unsigned lane, uint64_t hash_seed,
                   const std::function<void(uint64_t, const std::vector<std::byte>&)>& use) {
  const std::byte* from = list.stores.data();
  for (size_t i = 0; i < list.chunks.size(); i++) {
    auto& [place, head] = list.chunks[i];
    head.checksum = ChunkChecksum(head, from, list.entry.state, i, hash_seed);
    std::vector<std::byte> bytes(sizeof head + head.bytes);
    std::memcpy(bytes.data(), &head, sizeof head);
    std::memcpy(bytes.data() + sizeof head, from, head.bytes);
    from += head.bytes;
    use(place, bytes);
  }
  std::vector<std::byte> bytes(sizeof list.entry);
  bytes.insert(bytes.end(), list.runs.begin(), list.runs.end());
  if (list.chunks.empty()) bytes.insert(bytes.end(), list.stores.begin(), list.stores.end());
  std::memcpy(bytes.data(), &list.entry, sizeof list.entry);
  list.entry.checksum = EntryChecksum(bytes, list.entry.state, lane, hash_seed);
  std::memcpy(bytes.data(), &list.entry, sizeof list.entry);
  use(OffsetOf(kLanesPfn + lane), bytes);
}

}  // namespace tuff
