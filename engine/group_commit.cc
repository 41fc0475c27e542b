#include "engine/group_commit.h"

#include <algorithm>

#include "engine/restructure.h"
#include "pagemap/checksum.h"
#include "pagemap/rcu.h"

namespace tuff {
namespace {

using State = GroupCommit::Request::State;

// What a new leaf's log holds in any case.
constexpr size_t kGroupMax = Descriptor::kTailSlots;

}  // namespace

// By where the leaf's range begins, which stays when the leaf is rewritten.
GroupCommit::Queue& GroupCommit::QueueOf(std::string_view key) {
  RcuReadSection section;
  NodeView node;
  uint64_t hash = 0;
  if (tree_.Descend(key, SeekTo::kAt, 0, &node).ok() && node.data() != nullptr) {
    hash = Hash64(node.low().data(), node.low().size());
  }
  return queues_[hash % queues_.size()];
}

bool GroupCommit::Write(Request* request, LaneHold* lane) {
  Queue& queue = QueueOf(request->key);
  std::unique_lock lock(queue.mutex);
  queue.waiting.push_back(request);
  if (queue.led) queue.changed.notify_all();  // the leader may be waiting for this one
  queue.changed.wait(lock, [&] { return request->state != State::kWaiting || !queue.led; });
  if (request->state != State::kWaiting) return request->state == State::kDone;

  queue.led = true;
  const auto patience = map_.domain().sync_group().Patience();
  if (queue.waiting.size() < queue.expected) {
    queue.changed.wait_for(lock, patience, [&] { return queue.waiting.size() >= queue.expected; });
  }
  // Its own record goes first, wherever it stands in the queue.
  std::swap(queue.waiting.front(), *std::find(queue.waiting.begin(), queue.waiting.end(), request));
  std::vector<Request*> taken = std::move(queue.waiting);
  queue.waiting.clear();
  lock.unlock();
  Group group;
  Status s;
  try {
    s = Append(taken, &group, lane);
  } catch (const std::bad_alloc&) {
    s = Status(Code::kNoMemory, "out of memory");
  }
  lock.lock();
  // After a failed append each finds out for itself; but not what may have been written.
  for (Request* r : group.members) {
    if (s.ok() || map_.domain().failed()) {
      r->status = s;
      r->state = State::kDone;
    }
  }
  for (Request* r : taken) {
    if (r->state == State::kWaiting) r->state = State::kAlone;
  }
  queue.led = false;
  queue.expected = taken.size() + queue.waiting.size();
  queue.changed.notify_all();
  return request->state == State::kDone;
}

// OK if the record is to be written; else its answer.
Status GroupCommit::Answer(const Leaf& leaf, const Request& request) {
  if (Status s = tree_.CheckPrecondition(leaf, request.key, *request.precondition); !s.ok()) {
    return s;
  }
  if (request.type != RecordType::kDelete) return Status();
  RecordView old;
  auto there = leaf.Find(request.key, &old);
  if (!there.ok()) return there.TakeStatus();
  if (!*there || old.type() == RecordType::kDelete) return Status(Code::kNotFound, "no such key");
  return Status();
}

std::vector<GroupCommit::Request*> GroupCommit::Wanted(const Leaf& leaf,
                                                       const std::vector<Request*>& taken) {
  std::vector<Request*> wanted;
  for (Request* r : taken) {
    const auto same_key = [&](const Request* other) { return other->key == r->key; };
    if (leaf.node().Covers(r->key) && std::none_of(wanted.begin(), wanted.end(), same_key) &&
        Answer(leaf, *r).ok()) {
      wanted.push_back(r);
    }
  }
  return wanted;
}

void GroupCommit::Group::Reserve(const std::vector<Request*>& wanted) {
  size_t most = kGroupBytes;
  for (const Request* r : wanted) most += RecordBytes(r->key.size(), r->value.size());
  members.reserve(wanted.size());
  offsets.reserve(wanted.size());
  image.reserve(std::min(most, kNodeBytesMax));
}

void GroupCommit::Gather(const Leaf& leaf, const std::vector<Request*>& wanted, bool fresh,
                         Group* group) {
  group->members.clear();
  group->bytes = wanted.size() > 1 ? kGroupBytes : 0;
  group->longest_key = 0;
  group->shrinking = true;
  for (Request* r : wanted) {
    if (group->members.size() == kGroupMax || !leaf.node().Covers(r->key)) continue;
    const size_t bytes = group->bytes + RecordBytes(r->key.size(), r->value.size());
    const size_t longest = std::max(group->longest_key, r->key.size());
    const bool shrinking = group->shrinking && r->type == RecordType::kDelete;
    const size_t n = group->members.size() + 1;
    const bool fits =
        fresh || shrinking ? leaf.HasRoom(bytes, n) : leaf.HasRoomForPut(longest, bytes, n);
    if (!fits) continue;
    group->members.push_back(r);
    group->bytes = bytes;
    group->longest_key = longest;
    group->shrinking = shrinking;
  }
}

Status GroupCommit::Append(const std::vector<Request*>& taken, Group* group, LaneHold* lane) {
  const Versions::WriterMark mark(tree_.versions(), tree_.object_id());
  NodeView node;
  if (Status s = tree_.LatchLeaf(taken[0]->key, lane, &node); !s.ok()) return s;
  LatchHold hold(map_.memmap().At(node.pfn()).latch, std::adopt_lock);
  const Leaf leaf(map_, node);
  const std::vector<Request*> wanted = Wanted(leaf, taken);
  if (wanted.empty()) return Status();
  group->Reserve(wanted);
  Gather(leaf, wanted, false, group);
  const bool leader_fits = !group->members.empty() && group->members[0] == taken[0];
  if (!leader_fits && wanted[0] == taken[0]) {  // full: a new leaf may have room for all
    group->members.clear();
    return Rewrite(node, wanted, group, &hold, lane);
  }
  if (group->members.empty()) return Status();
  const Versions::InFlight in_flight(tree_.versions());
  Status s;
  {
    WriteWindow window(map_.domain());
    CRASH_POINT("group.6");
    s = StoreRecords(window, node, group);
    CRASH_POINT("group.7");
    InOrder(
        TUFF_IN_ORDER("group.order"),
        [&] {
          if (s.ok()) s = TUFF_FENCE("group.8", window);
          CRASH_POINT("group.9");
        },
        [&] {
          if (s.ok()) Show(node, *group);
        });
  }
  return s;
}

// Makes room for all in the leader's leaf; the records share the fence that retires the lane.
Status GroupCommit::Rewrite(const NodeView& node, const std::vector<Request*>& wanted, Group* group,
                            LatchHold* hold, LaneHold* lane) {
  size_t bytes = wanted.size() > 1 ? kGroupBytes : 0;
  bool shrinking = true;
  for (const Request* r : wanted) {
    const size_t more = RecordBytes(r->key.size(), r->value.size());
    if (r != wanted[0] && bytes + more > kRecordSizeMax) continue;
    bytes += more;
    shrinking = shrinking && r->type == RecordType::kDelete;
  }
  if (!lane->TryTake()) return Status(Code::kBusy, "all lanes are taken");
  Restructure change(tree_, lane->Take());
  hold->HandOver();
  if (Status s = change.Rewrite(node, {wanted[0]->key, bytes, shrinking}); !s.ok()) return s;
  // Committed: until Finish nothing may fail.
  const NodeView fresh = change.LeafFor(wanted[0]->key);
  Gather(Leaf(map_, fresh), wanted, true, group);
  const Versions::InFlight in_flight(tree_.versions());
  Status stored = StoreRecords(change.window(), fresh, group);
  Status s = change.Finish([&] {
    if (stored.ok()) Show(fresh, *group);
  });
  return stored.ok() ? std::move(s) : std::move(stored);
}

Status GroupCommit::StoreRecords(WriteWindow& window, const NodeView& node, Group* group) {
  const size_t start = Leaf(map_, node).tail_end();
  const bool in_group = group->members.size() > 1;
  std::vector<std::byte>& image = group->image;
  group->offsets.clear();
  image.assign(in_group ? kGroupBytes : 0, std::byte{0});
  uint64_t first = 0;
  for (const Request* r : group->members) {
    const uint64_t number = map_.NextNumber();
    if (number == 0) return map_.domain().CheckWritable();
    if (first == 0) first = number;
    const size_t offset = start + image.size();
    group->offsets.push_back(offset);
    image.resize(image.size() + RecordBytes(r->key.size(), r->value.size()));
    EncodeRecord(image.data() + offset - start, r->key, r->value, PackSequence(number, r->type),
                 RecordSeed(map_.hash_seed(), node.number(), offset + (in_group ? kInGroup : 0)));
  }
  if (image.empty()) return Status();
  if (in_group) {
    SealGroup(image.data(), image.size() - kGroupBytes, first,
              RecordSeed(map_.hash_seed(), node.number(), start));
    map_.counters().Add(Counter::kGroupCommits);
  }
  window.Store(OffsetOf(node.pfn()) + start, image.data(), image.size());
  TUFF_FLUSH("group.10", window, OffsetOf(node.pfn()) + start, image.size());
  return Status();
}

void GroupCommit::Show(const NodeView& node, const Group& group) {
  Leaf leaf(map_, node);
  const bool in_group = group.members.size() > 1;
  for (size_t i = 0; i < group.members.size(); i++) {
    const Request& r = *group.members[i];
    leaf.Publish(r.key, group.offsets[i], RecordBytes(r.key.size(), r.value.size()), in_group);
  }
}

}  // namespace tuff
