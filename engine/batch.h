// BatchWriter: writes to many keys of any trees that come true together.
//
//   1  latch the leaf of every key, in order of (object, key), making room in each on the way
//   2  check what must be true; else Conflict, and nothing has happened
//   3  take one number for all
//   4  one leaf: append one group record, one fence. Several: redo log (redo.h), three fences
//   5  show the records to readers, who pass over the number until all are shown; unlatch
//
// A leaf with too little room is rewritten, and if need be split, by a change of its own that stays
// whatever becomes of the batch.
// Thread-safety: one object per batch and thread.
#pragma once

#include <vector>

#include "engine/tree.h"
#include "pagemap/redo.h"

namespace tuff {

struct BatchOp {
  Tree* tree = nullptr;
  std::string_view key;
  std::string_view value;
  RecordType type = RecordType::kPut;
  bool writes = true;  // false: only the condition counts
  Precondition condition = {};
};

class BatchWriter {
 public:
  BatchWriter(PageMap& map, Versions& versions) : map_(map), versions_(versions) {}
  BatchWriter(const BatchWriter&) = delete;
  BatchWriter& operator=(const BatchWriter&) = delete;

  /// REQUIRES: one op for each key, by object id and key; keys and values have been checked.
  /// Errors: Conflict, NoSpace, NotFound (a dropped store), ReadOnly, Corruption, Io.
  Status Write(std::vector<BatchOp> ops);

 private:
  /// A latched leaf and the ops that fall into it.
  struct Held {
    Tree* tree;
    NodeView node;
    size_t first;
    size_t last;
  };
  struct Placed {
    size_t op;
    size_t offset;
    size_t bytes;
  };

  Status Attempt(LaneHold* lane);
  size_t Prefetch(size_t first);
  Status LatchAll(LaneHold* lane);
  Status MakeRoom(const Held& held, LaneHold* lane, bool* had_room);
  size_t EndOfLeaf(const NodeView& node, size_t first) const;
  Status CheckConditions();
  Status LeaveOutIdleDeletes();
  Status Append(LaneHold* lane);
  size_t Encode(const Held& held, uint64_t number, bool in_group, std::vector<std::byte>* image,
                std::vector<Placed>* placed);
  void Show(const Held& held, const std::vector<Placed>& placed, bool in_group);
  void Unlatch();
  void ShrinkAfterDeletes(LaneHold* lane);
  void CompactDense(LaneHold* lane);
  void Count();

  PageMap& map_;
  Versions& versions_;
  std::vector<BatchOp> ops_;
  std::vector<bool> idle_;  // deletes of what is not there, for this attempt
  std::vector<Held> held_;
  std::vector<size_t> dense_;  // first ops of leaves that got about as much as a log holds
};

}  // namespace tuff
