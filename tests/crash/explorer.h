// The explorer: records a workload, and opens what a crash at every moment of it could leave.
//
// First level: power fails at any fence, crash point or return of an operation. Second level: the
// pool is opened again after (a) such a power failure or (b) a kill that leaves the caches as they
// are, a script of operations is recorded, and power fails in that. Third level: the same after
// crashes in the second, that is in recoveries.
//
// Every image has a name, workload/granularity/seed/moment.image (`moment`: the number of the event
// that has not taken place; image `kill` for a kill), followed by +script/moment.image for each
// further level. It is printed with a failure, and Explore can be asked for that image alone.
// Thread-safety: none; one explorer at a time in a process (there is one step observer).
#pragma once

#include <string>

#include "tests/crash/coverage.h"
#include "tests/crash/workload.h"

namespace tuff::test {

struct ExploreOptions {
  uint64_t seed = 1;
  // About so many images of the first level, and of the others together. Of every moment none and
  // all of what may have arrived; if even that is too much, of a seeded part of the moments, with
  // the first at each step and all returns.
  uint64_t images = 500;
  uint64_t later_images = 250;
  unsigned roots = 6;         // moments from which the second level starts
  unsigned failures_max = 3;  // then it stops
  bool minimise = true;       // the images that fail
  std::string leave_out;      // id of a flush or fence: a mutant
  std::string replay;         // name of the one image that is wanted
};

/// Explores a workload in this process. `directory` is for its files.
ExploreResult Explore(const Workload& workload, Granularity granularity,
                      const std::string& directory, const ExploreOptions& options);

/// The same in a process of its own; if that dies, it is a failure. See isolate.h.
ExploreResult ExploreIsolated(const std::string& workload, Granularity granularity,
                              const ExploreOptions& options);

/// Workloads that are explored one after the other.
struct Expedition {
  std::vector<std::string> workloads;
  Granularity granularity;
  ExploreOptions options;
};

/// Each in such a process, as many at a time as there are processors. The results are in their
/// order.
std::vector<ExploreResult> ExploreAllIsolated(const std::vector<Expedition>& expeditions);

/// What is wrong with an image that a failure has left in a file; empty if nothing.
std::string ExamineKept(const std::string& path);

}  // namespace tuff::test
