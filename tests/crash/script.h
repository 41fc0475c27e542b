// Scripts: what a program does with a pool after a crash; recorded, and crashed in its turn.
//
// Thread-safety: none.
#pragma once

#include <optional>
#include <vector>

#include "tests/crash/workload.h"

namespace tuff::test {

inline constexpr unsigned kScripts = 3;

struct Script {
  Operations operations;
  /// The number of the operation that reads everything, if there is one; `read` is what it found.
  std::optional<size_t> reader;
  std::shared_ptr<Contents> read = std::make_shared<Contents>();
};

/// Script `number` for a pool that holds one of the `legal` contents. 0 reads and then writes, 1
/// looks at nothing in a first mount, 2 writes before anything is read, and from another thread
/// than the one that opens. REQUIRES: number < kScripts.
Script MakeScript(unsigned number, const std::vector<Contents>& legal);

}  // namespace tuff::test
