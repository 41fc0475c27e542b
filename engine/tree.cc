#include "engine/tree.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <thread>

#include "engine/consolidator.h"
#include "engine/group_commit.h"
#include "engine/restructure.h"
#include "pagemap/rcu.h"

namespace tuff {
namespace {

// Attempts at room in a full pool: each waits for what is in limbo. A delete goes on as long as a
// thread may reasonably take that holds what the reserve is owed.
constexpr int kReclaimTries = 4;
constexpr int kReclaimTriesOfDelete = 200;
constexpr auto kReclaimPause = std::chrono::microseconds(100);

// Inside a write only: it needs a lane, and must not wait for one where it stands.
Status NeedsLane() { return Status(Code::kBusy, "all lanes are taken"); }

}  // namespace

Status OfAnotherRange(const NodeView& leaf) {
  return NodeDamage(leaf.pfn(), "the tree leads to a leaf of another range");
}

Status NoSuchKey() { return Status(Code::kNotFound, "no such key"); }

Status CheckKey(std::string_view key) {
  if (key.empty()) return Status(Code::kInvalidArgument, "a key has at least one byte");
  if (key.size() > kKeySizeMax) {
    return Status(Code::kTooLarge,
                  fmt::format("key of {} bytes; at most {}", key.size(), kKeySizeMax));
  }
  return Status();
}

Status CheckRecord(std::string_view key, std::string_view value) {
  if (Status s = CheckKey(key); !s.ok()) return s;
  if (value.size() > ValueSizeMax(key.size())) {
    return Status(Code::kTooLarge,
                  fmt::format("value of {} bytes; at most {} under a key of {} bytes", value.size(),
                              ValueSizeMax(key.size()), key.size()));
  }
  return Status();
}

std::byte* RecordScratch() {
  // On the heap, not in the thread's static block, so that the library can be loaded late.
  struct alignas(64) Scratch {
    std::byte bytes[kRecordSizeMax + 8];
  };
  thread_local std::unique_ptr<Scratch> scratch;
  if (!scratch) scratch = std::make_unique<Scratch>();
  return scratch->bytes;
}

Tree::Tree(PageMap& map, uint32_t object_id, Pfn anchor, Versions* versions)
    : map_(map),
      object_id_(object_id),
      anchor_(anchor),
      versions_(versions),
      group_commit_(versions != nullptr &&
                            map.domain().medium().granularity() == Granularity::kPage &&
                            !map.read_only()
                        ? std::make_unique<GroupCommit>(*this)
                        : nullptr) {}

Tree::~Tree() = default;

Status Tree::VerifyFirst(const NodeView& node, Descriptor& descriptor) {
  SEQUENCE_POINT("verify.1");
  const NodeHeader& header = node.header();
  const Pfn pfn = node.pfn();
  if (!TUFF_CHECK("node.frames",
                  header.order <= kNodeOrderMax && map_.RunInPool(pfn, header.order))) {
    return NodeDamage(pfn, "not a tree node");
  }
  const uint64_t owner = map_.memmap().OwnerWordAt(pfn);
  const uint64_t wanted = PackOwner(pfn, FrameKind::kTreeNode, header.order, object_id_);
  // One that is no head lies inside another run.
  if (!TUFF_CHECK("node.owner", owner == wanted && descriptor.Has(Descriptor::kHead))) {
    // Another thread may have replaced the node meanwhile; it has then verified it before.
    if (descriptor.Has(Descriptor::kVerified)) return Status();
    return NodeDamage(pfn,
                      fmt::format("frame table does not give this node to object {}", object_id_));
  }
  if (Status s = VerifyNode(node, map_.hash_seed(), object_id_); !s.ok()) return s;
  descriptor.Set(Descriptor::kVerified | Descriptor::kReachable |
                 node.order() << Descriptor::kOrderShift);
  return Status();
}

Status Tree::Visit(uint64_t word, int level, NodeView* node) {
  const Pfn pfn = ChildPfn(word);
  if (!TUFF_CHECK("child.frame", map_.RunInPool(pfn, 0))) {
    return NodeDamage(
        pfn, fmt::format("object {} refers to a frame outside the pool's data", object_id_));
  }
  *node = NodeView(map_.base() + OffsetOf(pfn), pfn);
  Descriptor& descriptor = map_.memmap().Touch(pfn);
  if (!descriptor.Has(Descriptor::kVerified)) [[unlikely]] {
    if (Status s = VerifyFirst(*node, descriptor); !s.ok()) return s;
  }
  *node = NodeView(node->data(), pfn, Descriptor::OrderOf(descriptor.flags.load()));
  // It may have been found to be sound by another tree.
  if (!TUFF_CHECK("child.object", node->header().object_id == object_id_)) {
    return NodeDamage(pfn, fmt::format("node belongs to object {}, not {}",
                                       node->header().object_id, object_id_));
  }
  if (!TUFF_CHECK("child.tag", ChildTagMatches(word, node->number()))) {
    return NodeDamage(pfn, "child word and node number do not match");
  }
  if (!TUFF_CHECK("child.level", level < 0 || node->level() == static_cast<unsigned>(level))) {
    return NodeDamage(pfn, "node is on the wrong level");
  }
  return Status();
}

// Visit, where there is nothing to find out and nothing wrong; has all fetched that will be needed.
inline bool Tree::VisitKnown(uint64_t word, unsigned level, NodeView* node) const {
  const Pfn pfn = ChildPfn(word);
  if (!map_.RunInPool(pfn, 0)) [[unlikely]]
    return false;
  const Memmap& memmap = map_.memmap();
  memmap.Prefetch(pfn);
  const std::byte* const at = map_.base() + OffsetOf(pfn);
  __builtin_prefetch(at);
  __builtin_prefetch(at + 64);
  __builtin_prefetch(at + 128);
  if (!memmap.IsInitialised(pfn)) [[unlikely]]
    return false;
  const uint32_t flags = memmap.At(pfn).flags.load(std::memory_order_acquire);
  const NodeView next(at, pfn, Descriptor::OrderOf(flags));
  if ((flags & Descriptor::kVerified) == 0 || !ChildTagMatches(word, next.number()) ||
      next.level() != level || next.header().object_id != object_id_) [[unlikely]] {
    return false;
  }
  *node = next;
  return true;
}

Status Tree::Descend(std::string_view key, SeekTo seek, unsigned stop, NodeView* node,
                     ParentSlot* place) {
  assert(InRcuReadSection());
  const uint64_t root = root_word();
  *node = NodeView();
  if (place != nullptr) *place = ParentSlot();
  if (root == 0) return Status();
  if (Status s = Visit(root, -1, node); !s.ok()) return s;
  while (node->level() > stop) {
    const size_t i = seek == SeekTo::kAt ? node->ChildIndex(key) : node->ChildIndexBefore(key);
    const uint64_t word = node->ChildWord(i);
    const unsigned level = node->level() - 1;
    if (place != nullptr) *place = {*node, node->number(), i, root};
    if (VisitKnown(word, level, node)) [[likely]]
      continue;
    if (Status s = Visit(word, static_cast<int>(level), node); !s.ok()) return s;
  }
  if (node->level() < stop) *node = NodeView();
  SEQUENCE_POINT("descend.1");
  return Status();
}

// To the leaf beside the one at *place, if it is still there and the key's. The parent may have
// been replaced since, and its frame be another node's.
bool Tree::StepBeside(std::string_view key, SeekTo seek, ParentSlot* place, NodeView* leaf) const {
  assert(InRcuReadSection());
  const NodeView& parent = place->parent;
  // Another root may mean another tree: a bulk load's.
  if (parent.data() == nullptr || root_word() != place->root) return false;
  SEQUENCE_POINT("scan.step");
  // Reachable at this moment: whole, and it stays while this read section lasts.
  constexpr uint32_t kReachable = Descriptor::kReachable | Descriptor::kVerified;
  const uint32_t flags = map_.memmap().At(parent.pfn()).flags.load(std::memory_order_acquire);
  if ((flags & (kReachable | Descriptor::kObsolete)) != kReachable) return false;
  if (parent.number() != place->number) return false;
  place->slot = place->Beside(seek);
  return place->slot < parent.count() && VisitKnown(parent.ChildWord(place->slot), 0, leaf) &&
         leaf->IsRightFor(key, seek == SeekTo::kBefore);
}

bool Tree::IsInUse(const NodeView& node) const {
  const Descriptor& descriptor = map_.memmap().At(node.pfn());
  assert(descriptor.latch.IsLocked());
  const uint32_t flags = descriptor.flags.load(std::memory_order_acquire);
  constexpr uint32_t kInUse = Descriptor::kHead | Descriptor::kVerified;
  return (flags & (kInUse | Descriptor::kObsolete)) == kInUse;
}

bool Tree::IsLive(const NodeView& node, unsigned level) const {
  return IsInUse(node) && node.header().object_id == object_id_ && node.level() == level;
}

Status Tree::CheckGate() const {
  switch (gate_.load(std::memory_order_acquire)) {
    case Gate::kOpen:
      return Status();
    case Gate::kFrozen:
      return Status(Code::kBusy, "the store is being filled");
    case Gate::kDropped:
      break;
  }
  return Status(Code::kNotFound, "the store has been dropped");
}

void Tree::CloseGate(Gate gate) {
  gate_.store(gate, std::memory_order_seq_cst);
  if (TUFF_ORDER("gate.seen"))
    RcuSynchronize();  // who has not seen it has left its read section, and is marked if it writes
  if (TUFF_ORDER("gate.writers")) versions_->AwaitWriters(object_id_);
}

void Tree::AwaitThaw() const {
  while (gate_.load(std::memory_order_acquire) == Gate::kFrozen) {
    std::this_thread::sleep_for(kReclaimPause);
  }
}

Status Tree::MakeRoot(unsigned lane) {
  Restructure change(*this, lane);
  Latch& latch = anchor_latch();
  latch.Lock();
  SEQUENCE_POINT("root.latched");
  if (root_word() != 0) {  // another thread was first
    latch.Unlock();
    return Status();
  }
  return change.MakeRoot();
}

Status Tree::LatchLeaf(std::string_view key, LaneHold* lane, NodeView* leaf, bool holds_others) {
  uint64_t stale = 0;
  for (;;) {
    uint64_t number = 0;
    bool pinned = false;
    {
      RcuReadSection section;
      if (Status s = CheckGate(); !s.ok()) return s;
      if (Status s = Descend(key, SeekTo::kAt, 0, leaf); !s.ok()) return s;
      if (leaf->data() != nullptr) {
        number = leaf->number();
        Leaf(map_, *leaf).PrefetchLogEnd();
        if (holds_others && !TUFF_CHECK("batch.range", leaf->Covers(key))) {
          return OfAnotherRange(*leaf);  // it may be one of those held
        }
        pinned = holds_others && TUFF_RETIRE("put.pin");
        if (pinned) map_.limbo().Pin(leaf->pfn());
      }
    }
    if (leaf->data() == nullptr) {
      if (Status s = MakeRoot(lane->Take()); !s.ok()) return s;
      continue;
    }
    SEQUENCE_POINT("put.latch");
    Descriptor& head = map_.memmap().At(leaf->pfn());
    LatchHold hold(head.latch);
    if (pinned) map_.limbo().Unpin(leaf->pfn());
    if (!TUFF_CHECK("put.live",
                    IsLive(*leaf, 0) && leaf->Covers(key))) {  // replaced since the descent
      const bool in_use = IsInUse(*leaf);
      map_.counters().Add(Counter::kRestarts);
      if (!TUFF_CHECK("put.range", !in_use || leaf->number() != number)) {
        return OfAnotherRange(*leaf);
      }
      if (Status s = in_use ? Status() : LedToStale(*leaf, number, &stale); !s.ok()) return s;
      continue;
    }
    Leaf writer(map_, *leaf);
    if (!writer.tail_whole()) [[unlikely]] {
      Status s = writer.BuildTail();
      if (s.ok()) s = writer.CutTornTail();
      if (!s.ok()) return s;
    }
    Status s = map_.domain().CheckWritable();
    if (s.ok()) hold.HandOver();
    return s;
  }
}

// Appends a record to a latched leaf with room: one flush, one fence, then shows it.
Status Tree::Append(const NodeView& node, std::string_view key, std::string_view value,
                    RecordType type) {
  Leaf leaf(map_, node);
  const Versions::InFlight in_flight(versions_);
  const uint64_t number = map_.NextNumber();
  if (number == 0) return map_.domain().CheckWritable();
  const size_t offset = leaf.tail_end();
  std::byte* const scratch = RecordScratch();
  const size_t bytes = EncodeRecord(scratch, key, value, PackSequence(number, type),
                                    RecordSeed(map_.hash_seed(), node.number(), offset));
  const uint64_t place = OffsetOf(node.pfn()) + offset;
  Status s;
  {
    WriteWindow window(map_.domain());
    CRASH_POINT("put.1");
    window.Store(place, scratch, bytes);
    CRASH_POINT("put.2");
    TUFF_FLUSH("put.3", window, place, bytes);
    InOrder(
        TUFF_IN_ORDER("put.order"), [&] { s = TUFF_FENCE("put.4", window); },
        [&] {
          CRASH_POINT("put.5");
          if (s.ok()) leaf.Publish(key, offset, bytes);
        });
  }
  return s;
}

Status Tree::CheckPrecondition(const Leaf& leaf, std::string_view key,
                               const Precondition& condition) {
  if (condition.kind == Precondition::Kind::kNone) return Status();
  RecordView record;
  auto there = leaf.Find(key, &record);
  if (!there.ok()) return there.TakeStatus();
  const bool is_there = *there && record.type() != RecordType::kDelete;
  bool as_wanted = false;
  if (condition.kind == Precondition::Kind::kSequence) {
    as_wanted = condition.sequence == (is_there ? SequenceOf(record.sequence_and_type) : 0);
  } else {
    as_wanted =
        is_there == condition.value.has_value() && (!is_there || record.value == *condition.value);
  }
  return as_wanted ? Status() : Status(Code::kConflict, "the key has changed");
}

Status Tree::WriteOnce(std::string_view key, std::string_view value, RecordType type,
                       const Precondition& precondition, LaneHold* lane) {
  const bool is_delete = type == RecordType::kDelete;
  const Versions::WriterMark mark(versions_, object_id_);
  if (is_delete && root_word() == 0) return NoSuchKey();
  NodeView node;
  if (Status s = LatchLeaf(key, lane, &node); !s.ok()) return s;
  LatchHold hold(map_.memmap().At(node.pfn()).latch, std::adopt_lock);
  Leaf leaf(map_, node);
  if (Status s = CheckPrecondition(leaf, key, precondition); !s.ok()) return s;
  if (is_delete) {
    RecordView old;
    auto found = leaf.Find(key, &old);
    if (!found.ok()) return found.TakeStatus();
    if (!*found || old.type() == RecordType::kDelete) return NoSuchKey();
  }
  const size_t bytes = RecordBytes(key.size(), value.size());
  if (is_delete ? leaf.HasRoom(bytes) : leaf.HasRoomForPut(key.size(), bytes)) {
    Status s = Append(node, key, value, type);
    if (s.ok() && is_delete && leaf.tail_count() % 2 == 0) {
      ShrinkLatched(node, key, lane, &hold);
    } else if (consolidator_ != nullptr && s.ok() && !leaf.HasRoomForPut(key.size(), bytes)) {
      consolidator_->Take({this, node, node.number(), key.size(), bytes});
    }
    return s;
  }

  if (!lane->TryTake()) return NeedsLane();
  Restructure change(*this, lane->Take());
  hold.HandOver();
  const Versions::InFlight in_flight(versions_);
  Restructure::NewRecord record{key, value, type};
  if (Status s = change.Rewrite(node, {key, bytes, is_delete}, &record); !s.ok()) return s;
  return change.Finish([&] { Leaf(map_, record.leaf).Publish(key, record.offset, bytes); });
}

Status Tree::WriteTogether(std::string_view key, std::string_view value, RecordType type,
                           const Precondition& precondition, LaneHold* lane) {
  GroupCommit::Request request{key, value, type, &precondition};
  // Who has a lane goes alone: who writes for the others may have to wait for one.
  if (lane->held() || !group_commit_->Write(&request, lane)) {
    return WriteOnce(key, value, type, precondition, lane);
  }
  if (request.status.ok() && type == RecordType::kDelete) Shrink(key, lane);
  return std::move(request.status);
}

bool MayReclaim(PageMap& map, bool shrinking, int tries) {
  const bool freed = map.limbo().Reclaim() > 0;
  if (tries == 0) return true;  // if not we, another thread may have emptied limbo a moment ago
  if (tries >= (shrinking ? kReclaimTriesOfDelete : kReclaimTries)) return false;
  if (freed || !shrinking) return freed;
  std::this_thread::sleep_for(kReclaimPause);
  return true;
}

Status Tree::Write(std::string_view key, std::string_view value, RecordType type,
                   const Precondition& precondition) {
  map_.domain().AdmitThread();
  if (Status s = CheckRecord(key, value); !s.ok()) return s;
  if (Status s = map_.domain().CheckWritable(); !s.ok()) return s;
  RecordScratch();  // made before any latch is held: it may fail
  LaneHold lane(map_.lanes());
  for (int tries = 0;; tries++) {
    Status s = group_commit_ == nullptr ? WriteOnce(key, value, type, precondition, &lane)
                                        : WriteTogether(key, value, type, precondition, &lane);
    if (s.code() == Code::kBusy) {
      lane.LetGo();  // who has frozen the gate needs one
      AwaitThaw();
      lane.Take();
      continue;
    }
    if (s.code() == Code::kNoSpace && MayReclaim(map_, type == RecordType::kDelete, tries)) {
      continue;
    }
    if (s.ok()) MarkChanged();
    if (s.code() == Code::kConflict) map_.counters().Add(Counter::kConflicts);
    return s;
  }
}

Status Tree::Put(std::string_view key, std::string_view value, const Precondition& precondition) {
  Status s = Write(key, value, RecordType::kPut, precondition);
  if (s.ok()) {
    map_.counters().Add(Counter::kPuts);
    map_.counters().Add(Counter::kUserBytesWritten, key.size() + value.size());
  }
  return s;
}

Status Tree::Delete(std::string_view key, const Precondition& precondition) {
  Status s = Write(key, {}, RecordType::kDelete, precondition);
  if (s.ok()) map_.counters().Add(Counter::kDeletes);
  return s;
}

Status Tree::WriteWithRun(std::string_view key, std::string_view value, const RunChange& change) {
  map_.domain().AdmitThread();
  if (Status s = CheckRecord(key, value); !s.ok()) return s;
  if (Status s = map_.domain().CheckWritable(); !s.ok()) return s;
  RecordScratch();
  LaneHold lane(map_.lanes());
  lane.Take();
  const bool is_delete = change.type == RecordType::kDelete;
  for (int tries = 0;; tries++) {
    Status s = WriteWithRunOnce(key, value, &lane, change);
    if (s.code() == Code::kNoSpace && MayReclaim(map_, is_delete, tries)) continue;
    if (s.ok()) MarkChanged();
    if (s.ok() && is_delete) Shrink(key, &lane);
    return s;
  }
}

}  // namespace tuff
