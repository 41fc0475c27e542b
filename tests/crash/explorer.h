// The explorer: records a workload, and opens what a crash at every moment of it could leave.
//
// First level: power fails at any fence, crash point or return of an operation. Second level: the
// pool is opened again after (a) such a power failure or (b) a kill that leaves the caches as they
// are, a script of operations is recorded, and power fails in that.
//
// Every image has a name, `workload/granularity/seed/moment.image` at the first level and
// `workload/granularity/seed/moment.image+script/moment.image` at the second (image `kill` for a
// kill), printed with a failure. TUFF_CRASH_REPLAY=<name> explores that image only.
// Thread-safety: none; one explorer at a time in a process (there is one step observer).
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/crash/crash_image.h"
#include "tests/crash/workload.h"

namespace tuff::test {

struct ExploreOptions {
  uint64_t seed = 1;
  // Of the moments so many are explored; always the first at each step of each level, and the
  // returns of the first level.
  unsigned moments_percent = 100;
  unsigned images_per_moment = 300;
  unsigned second_images_per_moment = 6;
  unsigned second_roots = 6;  // moments of the first level from which the second starts
  unsigned failures_max = 3;  // then it stops
  std::string leave_out;      // id of a flush or fence: a mutant
  std::string replay;         // name of the one image that is wanted
};

/// Images and workloads by step id.
struct Coverage {
  struct Of {
    uint64_t images = 0;
    std::set<std::string> workloads;
  };
  std::map<std::string, Of> by_id;
  uint64_t images = 0;
  uint64_t second_level_images = 0;
  uint64_t moments = 0;
};

struct ExploreResult {
  std::vector<std::string> failures;  // with the image's name
  uint64_t left_out = 0;              // flushes or fences that the mutant lacked
  Coverage coverage;
};

/// Explores a workload in this process. `directory` is for its files.
ExploreResult Explore(const Workload& workload, Granularity granularity,
                      const std::string& directory, const ExploreOptions& options);

/// The same in a process of its own; if that dies, it is a failure. See isolate.h.
ExploreResult ExploreIsolated(const std::string& workload, Granularity granularity,
                              const ExploreOptions& options);

}  // namespace tuff::test
