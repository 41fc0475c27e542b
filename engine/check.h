// CheckPool: walks everything that is reachable and compares it with the frame table.
//
// Finds: nodes, records and anchors that are damaged or out of order (T1, T2), frames referred to
// twice, frames in use that nobody refers to (leaks, I4), owner words that lie, lanes not empty.
// Thread-safety: the pool must be at rest. Memory: one bit for each frame.
#pragma once

#include <string>
#include <vector>

#include "engine/catalogue.h"
#include "pagemap/page_map.h"

namespace tuff {

struct CheckReport {
  std::vector<std::string> problems;  // one line each; empty: the pool is sound
  uint64_t nodes = 0;
  uint64_t records = 0;
  uint64_t frames_in_use = 0;
  uint64_t buried = 0;     // trees in the graveyard
  unsigned depth_max = 0;  // levels of the highest tree
  unsigned order_max = 0;  // of any node
  std::string ToString() const;
};

CheckReport CheckPool(PageMap& map, Catalogue& catalogue);

/// The same for one tree. `reached` has a bit for each frame of the pool. Of a tree `in_graveyard`
/// only what is left must be sound, and nothing is said about its keys.
void CheckTree(Tree& tree, bool in_graveyard, std::vector<bool>* reached, CheckReport* report);

}  // namespace tuff
