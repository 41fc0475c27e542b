// TreeMender: gives a tree back what a damaged word or node has cut off, in an image's overlay.
//
// For a word that should lead to a node of some level and key range, it looks, in this order, for
//   1. an orphan: a whole node of that object, level and range which nothing refers to (the one
//      with the highest number, so that a stale one does not come back);
//   2. for an inner node, the orphans one level below, or below that, from which one is written
//      anew; what none of them covers becomes empty leaves;
//   3. for a leaf, the records that are whole in the damaged one: it is written anew with them.
// A new node takes free frames, so that the damaged one is there until the word has changed; only
// in a full pool it takes those of the damaged one.
//
// Ownership: borrows the image. Thread-safety: none.
#pragma once

#include <map>
#include <set>
#include <span>
#include <vector>

#include "engine/node_writer.h"
#include "engine/repair/pool_walk.h"

namespace tuff {

class TreeMender {
 public:
  /// `next_number`: nothing in the pool has a number at or above it. `not_free`: frames that are
  /// not to be taken, though nothing refers to them.
  TreeMender(PoolImage& image, const PoolWalkResult& walk, const std::set<Pfn>& not_free,
             uint64_t next_number);

  /// Puts a sound node, or what is left of it, behind the site's word. False: there is no room.
  bool Mend(const NodeSite& site);
  /// The same for an anchor.
  bool MendAnchor(const WalkedObject& object);
  /// Puts a record into a tree's leaf, or takes the key out; the tree must be sound. False: there
  /// is no room.
  bool Change(const WalkedObject& object, RecordType type, std::string_view key,
              std::string_view value);

  uint64_t next_number() const { return next_number_; }
  /// Stores of which no catalogue record is left: whole anchors that nothing refers to.
  std::vector<WalkedObject> FindOrphanStores() const;

 private:
  struct Orphan {
    Pfn pfn;
    uint8_t order;
    uint64_t number;
  };
  using Bytes = std::vector<std::byte>;
  // The node that is replaced: its frames are used again, its records taken.
  struct Old {
    uint64_t word = 0;  // 0: there is none
    bool mine = false;  // it is referred to by this word, and by nothing else
  };

  void FindOrphans();
  NodeView ViewOf(const Orphan& orphan) const { return image_.NodeAt(orphan.pfn, orphan.order); }
  std::span<const Orphan> OrphansIn(uint32_t object_id, int level, std::string_view low,
                                    const std::optional<std::string>& high) const;
  /// A word for a node of this level and range; 0: there is no room.
  uint64_t Cover(uint32_t object_id, int level, const std::string& low,
                 const std::optional<std::string>& high, const Old& old);
  uint64_t CoverRoot(uint32_t object_id, const Old& old);
  uint64_t WriteLeafFrom(uint32_t object_id, const std::string& low,
                         const std::optional<std::string>& high, const Old& old,
                         const RecordView* extra);
  uint64_t WriteInnerOver(uint32_t object_id, int level, const std::string& low,
                          const std::optional<std::string>& high, const Old& old);
  uint64_t Place(NodeIdentity* id, size_t bytes, const Old& old, Bytes* buffer);
  uint64_t Store(const NodeIdentity& id, const Bytes& buffer);
  std::vector<RecordView> SalvageRecords(uint32_t object_id, const Old& old) const;
  bool IsMalformed(uint32_t object_id, const RecordView& record) const;
  unsigned OrderAt(const Old& old, uint32_t object_id) const;
  bool HoldsNode(Pfn pfn) const;
  void FindClaims();
  Pfn FindFreeRun(unsigned order);
  Pfn FindFreeRun(unsigned order, bool any);
  void SetOwner(Pfn pfn, unsigned order, uint32_t object_id);
  void Free(const Old& old, uint32_t object_id, uint64_t word);

  PoolImage& image_;
  const PoolWalkResult& walk_;
  const std::set<Pfn>& not_free_;
  uint64_t next_number_;
  bool claims_known_ = false;
  FrameSet claimed_;  // frames of runs that an owner word names
  bool orphans_known_ = false;
  std::map<std::pair<uint32_t, int>, std::vector<Orphan>> orphans_;  // by object and level
  std::set<Pfn> taken_;                       // frames given to new nodes, and orphans in use
  Pfn free_from_[2][kNodeOrderMax + 1] = {};  // no run before it is free; by `any` and order
};

}  // namespace tuff
