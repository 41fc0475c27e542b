#include "pagemap/redo.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "pagemap/checksum.h"

namespace tuff {
namespace {

constexpr size_t kStoreHeadBytes = sizeof(RedoStore);
constexpr size_t kChecksumFrom = offsetof(RedoChunk, next);

size_t ChunkRoom(unsigned order) { return OffsetOf(1ull << order) - sizeof(RedoChunk); }

uint64_t ChunkChecksum(const RedoChunk& chunk, std::span<const std::byte> payload, uint64_t state,
                       uint64_t index, uint64_t hash_seed) {
  const auto* head = reinterpret_cast<const std::byte*>(&chunk) + kChecksumFrom;
  const uint64_t of_head =
      Checksum64(head, sizeof chunk - kChecksumFrom, hash_seed ^ Mix64(state ^ Mix64(index)));
  return Checksum64(payload.data(), payload.size(), of_head);
}

// What redo may touch: frames that hold data, anchors among them, and no table of the pool's.
bool PlaceIsSane(uint64_t place, uint64_t bytes, uint64_t frames) {
  if (place % 8 != 0 || bytes % 8 != 0 || bytes == 0 || place >= OffsetOf(frames) ||
      bytes > OffsetOf(frames) - place) {
    return false;
  }
  for (Pfn pfn = place >> kFrameShift; pfn <= (place + bytes - 1) >> kFrameShift; pfn++) {
    if (IsReserved(pfn) && pfn != kCatalogueAnchorPfn) return false;
  }
  return true;
}

bool StoreFits(const RedoStore& head, std::span<const std::byte> stores) {
  return TUFF_CHECK("redo.store", head.bytes <= stores.size());
}

// Calls use(place, bytes) for each store of a list. False: it is malformed.
template <typename Use>
bool ForEachStore(std::span<const std::byte> stores, const Use& use) {
  while (!stores.empty()) {
    RedoStore head;
    if (stores.size() < sizeof head) return false;
    std::memcpy(&head, stores.data(), sizeof head);
    stores = stores.subspan(sizeof head);
    if (!StoreFits(head, stores)) return false;
    if (!use(head.place, stores.first(head.bytes))) return false;
    stores = stores.subspan(head.bytes);
  }
  return true;
}

}  // namespace

void RedoLog::Add(uint64_t place, std::span<const std::byte> bytes) {
  assert(place % 8 == 0 && bytes.size() % 8 == 0);
  const RedoStore head{place, bytes.size()};
  const size_t at = stores_.size();
  stores_.resize(at + kStoreHeadBytes + bytes.size());
  std::memcpy(stores_.data() + at, &head, sizeof head);
  std::memcpy(stores_.data() + at + sizeof head, bytes.data(), bytes.size());
}

Status RedoLog::Prepare() {
  if (stores_.size() <= kLaneInlineBytes) return Status();
  unsigned order = kOrderMax;
  for (size_t left = stores_.size(); left > 0;) {
    while (order > 0 && ChunkRoom(order - 1) >= left) order--;
    if (chunks_.size() == chunks_.capacity()) chunks_.reserve(2 * chunks_.size() + 8);
    const Pfn pfn = allocator_.Allocate(order, AllocFor::kGrowth);
    if (pfn != 0) {
      chunks_.push_back({pfn, order});
      left -= std::min(left, ChunkRoom(order));
    } else if (order == 0) {
      FreeChunks();
      return Status(Code::kNoSpace,
                    fmt::format("{}: no room for the log of a batch of {} bytes; write smaller "
                                "ones, or delete something",
                                domain_.medium().path(), stores_.size()));
    } else {
      order--;
    }
  }
  return Status();
}

void RedoLog::FreeChunks() {
  // After a failed fence the entry may be on the medium: nothing is reused.
  if (!domain_.failed()) {
    for (const Chunk& chunk : chunks_) allocator_.Free(chunk.pfn, chunk.order);
  }
  chunks_.clear();
}

void RedoLog::WriteChunks(WriteWindow& window, uint64_t state) {
  std::span<const std::byte> left(stores_);
  for (size_t i = 0; i < chunks_.size(); i++) {
    const auto payload = left.first(std::min(left.size(), ChunkRoom(chunks_[i].order)));
    left = left.subspan(payload.size());
    RedoChunk chunk{};
    chunk.next = i + 1 < chunks_.size() ? OffsetOf(chunks_[i + 1].pfn) : 0;
    chunk.bytes = payload.size();
    chunk.checksum = ChunkChecksum(chunk, payload, state, i, lanes_.hash_seed());
    const uint64_t place = OffsetOf(chunks_[i].pfn);
    window.Store(place, &chunk, sizeof chunk);
    TUFF_FLUSH("batch.1", window, place, sizeof chunk);
    TUFF_COPY("batch.2", window, place + sizeof chunk, payload.data(), payload.size());
  }
}

Status RedoLog::CommitAndApply(WriteWindow& window) {
  const uint64_t state = lanes_.NextEntryNumber();
  const bool in_lane = chunks_.empty();
  WriteChunks(window, state);
  CRASH_POINT("batch.3");
  lanes_.EnterRedo(window, lane_, state, stores_, in_lane ? 0 : OffsetOf(chunks_[0].pfn));
  CRASH_POINT("batch.4");
  if (Status s = TUFF_FENCE("batch.5", window); !s.ok()) return s;  // committed
  CRASH_POINT("batch.6");
  [[maybe_unused]] const bool sound = ForEachStore(stores_, [&](uint64_t place, auto bytes) {
    if (bytes.size() == 8) {  // perhaps a word that readers follow
      uint64_t word = 0;
      std::memcpy(&word, bytes.data(), sizeof word);
      window.Store64(place, word);
    } else {
      window.Store(place, bytes.data(), bytes.size());
    }
    FlushStore(window, place, bytes.size());
    return true;
  });
  assert(sound);
  if (Status s = TUFF_FENCE("batch.9", window); !s.ok()) return s;  // all stores made
  CRASH_POINT("batch.10");
  lanes_.Retire(window, lane_);
  CRASH_POINT("batch.11");
  Status s = TUFF_FENCE("batch.12", window);
  CRASH_POINT("batch.13");
  return s;
}

void RedoLog::FlushStore(WriteWindow& window, uint64_t place, size_t bytes) {
  CRASH_POINT("batch.7");
  TUFF_FLUSH("batch.8", window, place, bytes);
}

std::vector<std::byte> RedoLog::ReadStores(WriteWindow* window, const std::byte* base,
                                           const LaneEntry& entry, unsigned lane,
                                           uint64_t hash_seed, uint64_t frames) {
  std::vector<std::byte> stores;
  const uint64_t total = entry.new_value;
  if (entry.place == 0) {
    const std::byte* from = base + OffsetOf(kLanesPfn + lane) + sizeof entry;
    if (TUFF_CHECK("redo.inline", total <= kLaneInlineBytes)) stores.assign(from, from + total);
    return stores;
  }
  if (!TUFF_CHECK("redo.max", total <= kRedoBytesMax)) return stores;
  uint64_t at = entry.place;
  for (uint64_t i = 0; at != 0 && stores.size() < total; i++) {
    RedoChunk chunk;
    if (!TUFF_CHECK("redo.place", PlaceIsSane(at, sizeof chunk, frames))) return {};
    std::memcpy(&chunk, base + at, sizeof chunk);
    if (!TUFF_CHECK("redo.bytes", PlaceIsSane(at, sizeof chunk + chunk.bytes, frames) &&
                                      chunk.bytes <= total - stores.size() && chunk.bytes != 0)) {
      return {};
    }
    const std::span payload(base + at + sizeof chunk, chunk.bytes);
    if (!TUFF_CHECK("redo.checksum",
                    chunk.checksum == ChunkChecksum(chunk, payload, entry.state, i, hash_seed))) {
      return {};
    }
    if (window != nullptr) TUFF_FLUSH("recover.14", *window, at, sizeof chunk + chunk.bytes);
    stores.insert(stores.end(), payload.begin(), payload.end());
    at = chunk.next;
  }
  if (!TUFF_CHECK("redo.whole", stores.size() == total)) stores.clear();
  return stores;
}

std::optional<std::vector<RedoStore>> RedoLog::ListStores(std::span<const std::byte> stores,
                                                          uint64_t frames) {
  std::vector<RedoStore> list;
  const bool sane = ForEachStore(stores, [&](uint64_t place, auto bytes) {
    list.push_back({place, bytes.size()});
    return PlaceIsSane(place, bytes.size(), frames);
  });
  if (!sane) return std::nullopt;
  return list;
}

bool RedoLog::Replay(WriteWindow& window, std::span<const std::byte> stores, uint64_t frames) {
  const bool sane = ForEachStore(
      stores, [&](uint64_t place, auto bytes) { return PlaceIsSane(place, bytes.size(), frames); });
  if (!TUFF_CHECK("redo.target", sane)) return false;
  return ForEachStore(stores, [&](uint64_t place, auto bytes) {
    window.Store(place, bytes.data(), bytes.size());
    FlushReplayed(window, place, bytes.size());
    return true;
  });
}

void RedoLog::FlushReplayed(WriteWindow& window, uint64_t place, size_t bytes) {
  CRASH_POINT("recover.15");
  TUFF_FLUSH("recover.16", window, place, bytes);
}

}  // namespace tuff
