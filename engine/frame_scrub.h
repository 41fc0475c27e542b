// FrameScrub: looks at owner words, a page of the frame table at a time, and at lanes, beside
// readers and writers.
//
// Nobody keeps a list of the frames that trees lead to; so each tree is asked. A node's header says
// in which tree it is, on which level and from which key on, and one descent tells whether that
// tree leads to it; an anchor's owner word says which record should name it.
//
// A frame to which nothing leads is a suspect only: it may be new and not linked yet, or just
// replaced. A change sets and clears owner words between the entry of its lane and the word (or
// record) that decides. So, once for all suspects of a page, every change that is under way is
// waited for; then the owner word and the node's number must be the same as before (both: it has
// not been freed and allocated again, for no number is used twice), and the descent is repeated,
// with all that moves whole trees kept out: creating, dropping, the end of a bulk load, the
// graveyard's worker. A node that is being replaced meanwhile has lost its owner word before it
// goes, and is left alone.
//
// Ownership: borrows the pool. Thread-safety: none.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/pool_impl.h"
#include "engine/repair/pool_walk.h"
#include "engine/scrub_position.h"

namespace tuff {

class FrameScrub {
 public:
  /// `damaged` is ScrubPosition's; what is found on the way is added.
  FrameScrub(Pool::Impl& pool, std::set<uint32_t>* damaged)
      : pool_(pool), map_(*pool.map), damaged_(*damaged) {}

  struct Findings {
    std::vector<Problem> problems;
    uint64_t bytes = 0;
    std::optional<Pfn> next;  // to go on with; nothing: that was the end
  };
  /// Looks at the owner words of `from` and of the frames behind it in the same page of the frame
  /// table. REQUIRES: no latch, no mutex of the pool and no read section held.
  /// Errors: Io, ReadOnly (a write has failed).
  Status Look(Pfn from, Findings* findings);
  /// Looks at each lane that is not held all the time. REQUIRES, errors: the same.
  Status LookAtLanes(Findings* findings);

  /// The name of a store that the last look has come across; empty if it has none.
  std::string NameOf(uint32_t object_id) const;

 private:
  // What a frame with an owner word shows of itself.
  struct Head {
    Pfn pfn = 0;
    uint64_t word = 0;       // 0: it is free
    uint32_t anchor_id = 0;  // as an anchor has it
    bool is_node = false;    // what follows counts if it looks like one
    uint32_t object_id = 0;
    unsigned level = 0;
    unsigned order = 0;
    uint64_t number = 0;
    std::string low;
  };
  enum class Reached : uint8_t { kYes, kNo, kUnknown };
  enum class Trust : uint8_t { kBytes, kExamined };  // inner nodes on the way
  struct Object {
    Pfn anchor = 0;           // as the catalogue says; 0: it names none
    Pfn buried = 0;           // the same for the graveyard
    std::string name;         // a store's
    std::vector<Pfn> graves;  // anchors of trees in the graveyard whose nodes are this object's
  };

  PoolFrames frames() const { return {map_.base(), map_.frames(), map_.hash_seed()}; }
  void Tell(ProblemCode code, Pfn pfn, uint32_t object_id, std::string text, Findings* findings);
  bool SkipHole(Pfn from, Findings* findings);
  Head ReadHead(Pfn pfn) const;
  static uint64_t NumberOf(const Head& head);
  Reached IsReached(const Head& head, Trust trust);
  Reached Follow(Pfn anchor, bool buried, const Head& wanted, Trust trust) const;
  bool IsInside(Pfn pfn);
  bool MayBeOfDamaged(uint64_t word) const;
  Status Confirm(const std::vector<Head>& suspects, Findings* findings);
  void Judge(const Head& suspect, Findings* findings);
  void LookAtLane(unsigned lane, Findings* findings);
  void Forget();
  const Object& ObjectOf(uint32_t id);
  void ListGraves();

  Pool::Impl& pool_;
  PageMap& map_;
  std::set<uint32_t>& damaged_;
  uint64_t data_until_ = 0;  // byte of the pool up to which the frame table is no hole
  // Of one look; what it names stays, for the graveyard's worker is kept out.
  std::map<uint32_t, Object> objects_;
  struct Grave {
    uint32_t id;
    GraveyardEntry entry;
  };
  std::optional<std::vector<Grave>> graves_;
};

}  // namespace tuff
