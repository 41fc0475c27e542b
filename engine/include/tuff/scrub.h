// Scrub: the full check of a pool that is open; see Pool::Scrub.
//
// It checks both superblocks; each object's anchor; of every tree (catalogue, stores, what is being
// dropped or loaded) each node's header and base, with their checksum computed anew, its level,
// object, key range and owner word; each record's checksum in base and log, and their order. What
// it finds wrong it looks at again before it says so, since writers may have changed it meanwhile.
//
// Then the frame table: frames in use that nothing refers to, owner words of free frames, of the
// pool's own tables, and inside other frames' runs; and the lanes that nobody holds. What a writer
// is in the middle of looks like a leak; so a suspect is told only if it is there still when every
// change that was under way has ended. Of a tree that has been found damaged nothing is called a
// leak, for nobody knows what it refers to.
//
// Not judged: a lane that is held all the time; of a tree that is being loaded, owner words of
// frames that it refers to; of a tree that goes, records; what is wrong with names only (stores
// that no name leads to, or that were dropped). `tuff fsck` and `tuff scrub` see these in a pool
// that is closed. A frame that is referred to twice shows where the second reference is: it has
// another level, object or key range than its node.
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
  uint32_t object_id = 0;  ///< whose tree it is at, stores in the order of these; 0: none's
  std::string store;       ///< its name, if it is a store
};

struct ScrubOptions {
  /// Of nodes and pages of the frame table that are looked at; on average over the call. 0: no
  /// limit.
  uint64_t bytes_per_second = 0;
  /// ScrubResult::resume_token of an earlier scrub of this pool, which goes on behind what that one
  /// has seen: in another mount and process, too. Empty: from the start.
  std::string resume_from;
  /// Called after each leaf and each page of the frame table, and every 100 ms while it sleeps,
  /// from the calling thread, with no latch held. Returns false to stop. Must not throw.
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
  uint64_t bytes = 0;        ///< looked at, counted in frames
  bool finished = false;     ///< has come to the pool's end
  std::string resume_token;  ///< printable, without spaces; empty if finished
};
inline constexpr size_t kScrubProblemsMax = 10'000;

}  // namespace tuff
