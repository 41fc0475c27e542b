// A recording: what some operations stored, flushed and fenced, and which contents are legal at
// each moment of it.
//
// Thread-safety: none.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pagemap/recorder.h"
#include "tests/crash/workload.h"

namespace tuff::test {

struct Recording {
  std::vector<PersistEvent> events;
  Operations operations;        // all threads'; the marks in `events` number them
  std::vector<Contents> start;  // what may be there before the first of them
  /// Once this operation has returned, what it has read is what there is.
  std::optional<size_t> reader;
  Contents read;
  Status failure;  // of the first operation that failed
  uint64_t left_out = 0;
};

struct RecordOptions {
  std::string leave_out;         // a mutant
  uint64_t interleave_seed = 0;  // if not 0, the threads take turns; see turns.h
};

/// Runs the operations, one thread for each list, under a Recorder.
Recording Record(Session& session, const std::vector<Operations>& threads,
                 std::vector<Contents> start, const RecordOptions& options);

/// A moment at which power may fail.
struct Moment {
  size_t event = 0;          // just before events[event] takes effect
  const char* id = nullptr;  // the step's; null for the return of an operation
  const MemoryModel* model = nullptr;
  std::function<const std::vector<Contents>&()> legal;
  bool may_be_no_pool = false;
  /// False if neither the medium nor what is legal has changed since the moment before, so that
  /// its images have been seen.
  bool is_new = true;
};

/// Plays the recording on `model` and calls visit at every moment until it returns false.
void ForEachMoment(const Recording& recording, MemoryModel model,
                   const std::function<bool(const Moment&)>& visit);

}  // namespace tuff::test
