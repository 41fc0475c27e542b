// WalkLog: what a leaf's log holds, read from its bytes alone, without a mount.
//
// What a mount shows of a leaf (Leaf::BuildTail) and what is salvaged of one that no mount reads
// are found here. Ownership: views point into the node. Thread-safety: pure functions; of a leaf
// in use the caller holds the latch.
#pragma once

#include <vector>

#include "engine/node.h"

namespace tuff {

struct LogRecord {
  RecordView record;
  bool in_group;
};

/// Appends the log's whole records up to the first that is not; returns the byte offset in the node
/// where they end. What is behind that is torn, damaged, or zeros. At most `slots` records.
/// REQUIRES: the node is a leaf that VerifyNode has said OK of.
size_t WalkLog(const NodeView& node, uint64_t hash_seed, size_t slots,
               std::vector<LogRecord>* records);

/// True if a whole record or group begins behind byte `offset`, or a group there: no crash explains
/// what is wrong at `offset` then.
bool ValidRecordBehind(const NodeView& node, uint64_t hash_seed, size_t offset);

/// True if all bytes from `offset` to the node's end are zero.
bool IsZeroFrom(const NodeView& node, size_t offset);

}  // namespace tuff
