// LaneList: a live lane as it lies there, with the list of stores that it commits, to be looked at
// or written elsewhere; nothing is done about it.
//
// Ownership: borrows nothing. Thread-safety: none.
#pragma once

#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/image.h"
#include "pagemap/lane_format.h"

namespace tuff {

struct LaneList {
  struct Chunk {
    uint64_t place;  // byte offset in the pool
    RedoChunk head;
  };
  LaneEntry entry{};
  std::vector<std::byte> runs;    // LaneRuns as they lie there
  std::vector<std::byte> stores;  // of a redo entry
  std::vector<Chunk> chunks;

  bool is_redo() const { return entry.decider == static_cast<uint16_t>(LaneDecider::kRedo); }
  /// Its chunks are there and whole, if it needs any.
  bool is_whole() const { return !is_redo() || stores.size() == entry.new_value; }
};

/// What lane `lane` holds. Nothing: its entry is not whole, or it is empty.
std::optional<LaneList> ReadLaneList(const PoolImage& image, unsigned lane);

/// The lane's frame and its chunks with right checksums: calls use(place, bytes) for each.
void WriteLaneList(LaneList list, unsigned lane, uint64_t hash_seed,
                   const std::function<void(uint64_t, const std::vector<std::byte>&)>& use);

/// Calls use(place, bytes) for each store of a list, as far as that is well-formed.
template <typename Use>
void ForEachStoreOf(std::vector<std::byte>& stores, const Use& use) {
  for (size_t at = 0; stores.size() - at >= sizeof(RedoStore);) {
    RedoStore head;
    std::memcpy(&head, stores.data() + at, sizeof head);
    at += sizeof head;
    if (head.bytes > stores.size() - at) return;
    use(head.place, std::span(stores.data() + at, head.bytes));
    at += head.bytes;
  }
}

}  // namespace tuff
