// TreeScrub: looks at one tree leaf by leaf, beside readers and writers.
//
// A look goes down from the root in one read section: all that was reachable when it began stays as
// it is, so what is wrong there is damage. Only what is still changing needs a latch, one at a
// time: a leaf's log, and owner words, which a change of structure sets before its word decides.
// What seems wrong is looked at again, from the root, before it is believed.
//
// Ownership: borrows the tree. Thread-safety: none; each thread has its own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/repair/pool_walk.h"
#include "engine/tree.h"

namespace tuff {

class TreeScrub {
 public:
  enum class State : uint8_t {
    kInUse,
    kBuried,    // of what is left nobody changes anything while the caller keeps the worker away
    kBuilding,  // the same, but for the bulk load to which it belongs
  };
  TreeScrub(Tree& tree, ObjectKind kind, State state)
      : tree_(tree), map_(tree.map()), kind_(kind), state_(state) {}

  /// What one look has found. Nodes are those that begin at the key, and the leaf.
  struct Findings {
    std::vector<Problem> problems;
    uint64_t nodes = 0;
    uint64_t records = 0;
    uint64_t bytes = 0;
    uint64_t number_max = 0;          // of nodes and records
    std::optional<std::string> next;  // the key to go on with; nothing: that was the end
    bool gone = false;                // the store has been dropped
  };
  /// Looks at the leaf of `key`, and at the inner nodes above that it has not seen yet. What lies
  /// below a damaged node is passed over. In a pool that has crashed, builds the leaf's tail index,
  /// and cuts off what is torn. REQUIRES: no latch and no read section held.
  /// Errors: Io, ReadOnly (a write has failed).
  Status Look(const std::string& key, Findings* findings);

 private:
  enum class Outcome : uint8_t { kDone, kChanged, kFrozen };
  class Pins;
  struct Seen {
    uint64_t word;
    uint64_t number;
    unsigned order;
  };

  PoolFrames frames() const { return {map_.base(), map_.frames(), map_.hash_seed()}; }
  Result<Outcome> LookOnce(const std::string& key, Findings* findings);
  void Descend(std::string key, Findings* findings, Pins* suspects, NodeView* leaf);
  bool HasSeen(size_t depth, uint64_t word, NodeView* node) const;
  uint64_t OwnerOf(const NodeView& node) const;
  void CheckOwner(const NodeView& node, Findings* findings) const;
  Result<Outcome> CheckLog(const NodeView& node, LeafContents* contents, Findings* findings);
  void CheckRecords(const NodeView& node, LeafContents contents, Findings* findings) const;

  Tree& tree_;
  PageMap& map_;
  const ObjectKind kind_;
  const State state_;
  std::optional<std::string> begun_at_;  // the key of the first look
  std::vector<Seen> seen_;               // the inner nodes of the last descent, from the root
};

}  // namespace tuff
