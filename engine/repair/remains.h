// What is left of a leaf: its records, whether its base is whole or not.
//
// Ownership: views point into the node. Thread-safety: pure functions.
#pragma once

#include <vector>

#include "engine/node.h"

namespace tuff {

struct Remains {
  std::vector<RecordView> records;  // the newest of each key, by key; deletes too
  bool log_is_damaged = false;      // no crash explains what is wrong with it
  bool all_of_base = false;         // as many base records as the header names
};

/// Of a leaf that VerifyNode has said OK of. A torn tail is cut off if the pool has `crashed`;
/// where that does not explain it, valid records behind what is damaged count as well.
Remains ReadWholeLeaf(const NodeView& node, uint64_t hash_seed, bool crashed);

/// Of a node that is damaged: each record whose own checksum is right, wherever it lies. The node
/// may be anything.
Remains ReadDamagedLeaf(const NodeView& node, uint64_t hash_seed, bool crashed);

}  // namespace tuff
