// The good pools from which the fuzzer of damaged pools starts: small, made by the library, and the
// same in every run.
//
// Thread-safety: PoolBases is made at its first use, by one thread.
#pragma once

#include <string>
#include <vector>

#include "tests/fuzz/pool_image.h"

namespace tuff::test {

struct PoolBase {
  std::string name;
  SparseImage image;
  std::vector<Pfn> nodes;       // in use first, then what else passes for one
  std::vector<Pfn> anchors;     // the catalogue's first
  std::vector<unsigned> lanes;  // with an entry
};

/// Ends the process if one cannot be made, or is not sound.
const std::vector<PoolBase>& PoolBases();
/// A new pool, without stores, and closed.
SparseImage NewPool();

}  // namespace tuff::test
