// Graveyard: trees that go, and the worker thread that dismantles them.
//
// Dropped stores' trees, and those that a bulk load builds until it is finished, hang at anchors
// which the graveyard's own tree lists; so nothing leaks, whatever happens when. The worker frees a
// tree from its leaves upwards, some frames at a time, by a child word: when word i of an inner
// node becomes 0, what words up to i led to is gone. It begins again where it was after a crash.
// The graveyard is an object of the catalogue under a name that no store can have.
//
// Thread-safety: all functions from any thread; mutex_ guards what is in use. Ownership: borrows
// page map and catalogue; Stop before they go.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "engine/catalogue.h"
#include "engine/tree.h"
#include "engine/versions.h"

namespace tuff {

inline constexpr std::string_view kGraveyardName = "/graveyard";

class Graveyard {
 public:
  Graveyard(PageMap& map, Catalogue& catalogue, Versions& versions)
      : map_(map), catalogue_(catalogue), versions_(versions) {}
  ~Graveyard() { Stop(); }
  Graveyard(const Graveyard&) = delete;
  Graveyard& operator=(const Graveyard&) = delete;

  /// Makes the graveyard if there is none, and has the next mount look into it.
  Status Prepare();
  /// Moves a store's record from the catalogue here, in one event. REQUIRES: its gate is closed.
  Status Bury(const ObjectInfo& store);

  /// A new anchor here, for a tree of `tree_object_id` that is being built. The worker leaves it
  /// alone until LetGo.
  Result<ObjectInfo> NewBuilding(uint32_t tree_object_id);
  void LetGo(uint32_t building_id);

  /// Has the worker look for work; starts it if need be.
  void Wake();
  /// Waits until there is no work, or the worker has met an error: which it returns.
  Status AwaitIdle();
  /// The worker changes the pool only with this held, so who holds it finds a pool at rest.
  std::mutex& step_mutex() { return step_mutex_; }
  /// Ends the worker between two steps. If all is done, the next mount need not look.
  void Stop();

 private:
  class Dismantler;
  void Run();
  void Tell(LogLevel level, const Status& status);
  Status DismantleAll();
  Status DismantleEntry(std::string_view key, const GraveyardEntry& entry);
  /// The next entry that is not being built, above `after`; false: none.
  Result<bool> NextEntry(const std::string& after, std::string* key, GraveyardEntry* entry);
  Result<Tree*> OpenTree();

  PageMap& map_;
  Catalogue& catalogue_;
  Versions& versions_;
  std::mutex step_mutex_;  // before mutex_ and all latches
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<Tree> tree_;    // guarded by mutex_ until it is made
  std::set<uint32_t> buildings_;  // what follows, too
  std::thread worker_;
  int burying_ = 0;
  bool stop_ = false;
  bool work_ = false;  // somebody has asked since the worker last began
  bool busy_ = false;
  Status last_;  // how the last round went
  std::atomic<bool> stopping_{false};
};

/// Index of the first child of `node`, an inner node of a tree that is being dismantled, that may
/// still be there.
size_t FirstChildLeft(const NodeView& node);

/// A graveyard record's entry; false if it cannot be one.
bool ParseGraveyardRecord(std::string_view key, std::string_view value, uint32_t* id,
                          GraveyardEntry* entry);

}  // namespace tuff
