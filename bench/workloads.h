// The workloads of the suite, by name. What each does: bench/README.md.
// Thread-safety: none.
#pragma once

#include <span>
#include <string_view>

#include "cell.h"

namespace tuff::bench {

struct Workload {
  std::string_view name;
  /// What must be done to the database before.
  enum class Needs : uint8_t {
    kEmpty,     ///< made anew
    kFilled,    ///< and filled, unless an earlier workload of the cell has
    kExisting,  ///< left by another cell; the workload opens it itself
  };
  Needs needs;
  void (*run)(Cell& cell);
};

std::span<const Workload> PlainWorkloads();
std::span<const Workload> YcsbWorkloads();
std::span<const Workload> ReopenWorkloads();

/// Null: there is none of that name.
const Workload* FindWorkload(std::string_view name);

}  // namespace tuff::bench
