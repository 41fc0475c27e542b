// GroupCommit: puts and deletes of one leaf that share a fence (PAGE granularity only).
//
// Under PAGE a writer holds its leaf's latch for as long as a disk takes to sync; those who want
// the same leaf would each wait for a sync of their own. So a writer first queues for its leaf. The
// first one leads: it waits a moment for those it has reason to expect (as SyncGroup does), latches
// the leaf, appends what all have queued as one group record, fences once, and tells them. What
// does not fit in there is left to its own thread.
//
// Ownership: one for each store. Thread-safety: all functions from any thread.
#pragma once

#include <array>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <vector>

#include "engine/tree.h"

namespace tuff {

class GroupCommit {
 public:
  struct Request {
    std::string_view key;
    std::string_view value;
    RecordType type;
    const Precondition* precondition;
    enum class State : uint8_t { kWaiting, kDone, kAlone } state = State::kWaiting;
    Status status = {};
  };

  explicit GroupCommit(Tree& tree) : tree_(tree), map_(tree.map()) {}

  /// Writes the record, perhaps with others'. False: the caller must write it by itself.
  /// REQUIRES: no lane held; those who wait here wait for one who may need it.
  bool Write(Request* request, LaneHold* lane);

 private:
  struct Queue {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Request*> waiting;  // guarded by mutex, as all of it
    size_t expected = 1;
    bool led = false;
  };
  // Those of a group that will be appended, with what they need. Its memory is taken before any
  // commit.
  struct Group {
    std::vector<Request*> members;
    std::vector<size_t> offsets;  // of their records in the leaf
    std::vector<std::byte> image;
    size_t bytes = 0;  // with the group's head
    size_t longest_key = 0;
    bool shrinking = true;
    void Reserve(const std::vector<Request*>& wanted);
  };

  Queue& QueueOf(std::string_view key);
  Status Append(const std::vector<Request*>& taken, Group* group, LaneHold* lane);
  /// Whom the leaf's contents allow, one for each key; the others find out alone.
  std::vector<Request*> Wanted(const Leaf& leaf, const std::vector<Request*>& taken);
  /// Takes in those for whom the leaf has room. Never fails.
  void Gather(const Leaf& leaf, const std::vector<Request*>& wanted, bool fresh, Group* group);
  Status Answer(const Leaf& leaf, const Request& request);
  Status StoreRecords(WriteWindow& window, const NodeView& node, Group* group);
  void Show(const NodeView& node, const Group& group);
  Status Rewrite(const NodeView& node, const std::vector<Request*>& wanted, Group* group,
                 LatchHold* hold, LaneHold* lane);

  Tree& tree_;
  PageMap& map_;
  std::array<Queue, 64> queues_;
};

}  // namespace tuff
