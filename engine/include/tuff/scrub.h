// Scrub: the full check of a pool that is open; see Pool::Scrub.
//
// It checks both superblocks; each object's anchor; of every tree (catalogue, stores, what is being
// dropped or loaded) each node's header and base, with their checksum computed anew, its level,
// object, key range and owner word; each record's checksum in base and log, and their order. What
// it finds wrong it looks at again before it says so, since writers may have changed it meanwhile.
//
// Not judged, since writers change them all the time: frames in use that nobody refers to, frames
// referred to twice, owner words of free frames, lanes; of a tree that is being loaded, owner
// words; of a tree that goes, records. `tuff fsck` and `tuff scrub` see these in a pool that is
// closed.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tuff {

struct ScrubProgress {
  uint64_t nodes = 0;  ///< looked at in this call, like the rest
  uint64_t records = 0;
  uint64_t bytes = 0;
  uint64_t problems = 0;
  uint32_t object_id = 0;  ///< whose tree it is at; stores come in the order of these
  std::string store;       ///< its name, if it is a store
};

struct ScrubOptions {
  /// Of nodes that are looked at; on average over the call. 0: no limit.
  uint64_t bytes_per_second = 0;
  /// ScrubResult::resume_token of an earlier scrub of this pool, which goes on behind what that one
  /// has seen: in another mount and process, too. Empty: from the start.
  std::string resume_from;
  /// Called after each leaf, and every 100 ms while it sleeps, from the calling thread, with no
  /// latch held. Returns false to stop. Must not throw.
  std::function<bool(const ScrubProgress&)> progress;
};

struct ScrubProblem {
  uint16_t code = 0;       ///< permanent, as in docs/fsck.md
  std::string name;        ///< the same
  uint64_t pfn = 0;        ///< where
  uint32_t object_id = 0;  ///< whose; 0: the pool's
  std::string store;       ///< its name, if it is a store that is in use
  std::string text;        ///< what is wrong, in words
};

/// What one call has seen; beside writers, counts are about right.
struct ScrubResult {
  std::vector<ScrubProblem> problems;  ///< at most kScrubProblemsMax
  uint64_t problems_left_out = 0;      ///< beyond that
  uint64_t nodes = 0;
  uint64_t records = 0;
  uint64_t bytes = 0;        ///< of the nodes looked at
  bool finished = false;     ///< has come to the pool's end
  std::string resume_token;  ///< printable, without spaces; empty if finished
};
inline constexpr size_t kScrubProblemsMax = 10'000;

}  // namespace tuff
