// What explorations have met, and its tables.
//
// Thread-safety: none.
#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tuff/options.h"

namespace tuff::test {

/// Images by step, by granularity, and by what was done.
struct Coverage {
  struct Of {
    std::array<uint64_t, 3> images{};  // by granularity
    std::set<std::string> workloads;   // those that have come to it when first recorded
  };
  std::map<std::string, Of> by_id;
  std::map<std::string, uint64_t> by_workload;  // images
  std::array<uint64_t, 3> images_by_level{};
  uint64_t moments = 0;

  uint64_t images() const;
  void Add(const Coverage& other);
};

struct ExploreResult {
  std::vector<std::string> failures;  // with the image's name
  uint64_t left_out = 0;              // flushes or fences that the mutant lacked
  Coverage coverage;

  void Add(const ExploreResult& other);
};

/// A result on its way from one process to another.
std::string ToText(const ExploreResult& result);
ExploreResult FromText(const std::string& text);

/// Crash point by granularity.
void PrintCrashPoints(const Coverage& coverage);
/// Kind of operation by kind of operation.
void PrintPairs(const Coverage& coverage);

}  // namespace tuff::test
