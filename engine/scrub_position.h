// ScrubPosition: how far a scrub has come, and its text, with which it goes on later.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace tuff {

struct ScrubPosition {
  enum class Phase : uint8_t { kCatalogue, kObjects, kBuried, kFrames, kLanes, kEnd };
  Phase phase = Phase::kCatalogue;
  uint64_t object_id = 0;  // this one is next, or one behind it
  std::string key;         // from this key on; empty: from its anchor
  uint64_t pfn = 0;        // the owner word of this frame is next
  uint64_t mount = 0;      // that it began in
  bool sound = true;       // nothing wrong has been found so far
  static constexpr uint32_t kAnyObject = 0;
  std::set<uint32_t> damaged;  // of whose trees something is out of reach; kAnyObject: of any's

  /// To the next object of this phase.
  void Pass(uint64_t id) {
    object_id = id + 1;
    key.clear();
  }
  void Enter(Phase next) {
    phase = next;
    object_id = 0;
    key.clear();
  }
};

/// `pool` is a number that the pool's uuid gives.
std::string FormatPosition(const ScrubPosition& position, uint64_t pool);
/// False if the text is not one of FormatPosition for this pool.
bool ParsePosition(std::string_view text, uint64_t pool, ScrubPosition* position);

}  // namespace tuff
