#include "engine/restructure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "pagemap/rcu.h"

namespace tuff {
namespace {

std::optional<std::string_view> HighOf(const NodeView& node) {
  if (!node.has_high()) return std::nullopt;
  return node.high();
}

}  // namespace

char* Restructure::Room(size_t bytes) {
  constexpr size_t kChunk = 16384;
  assert(bytes <= kChunk);
  if (bytes > kept_room_) {
    kept_.push_back(std::make_unique_for_overwrite<char[]>(kChunk));
    kept_next_ = kept_.back().get();
    kept_room_ = kChunk;
  }
  char* const at = kept_next_;
  kept_next_ += bytes;
  kept_room_ -= bytes;
  return at;
}

std::string_view Restructure::Keep(std::string_view text) {
  char* const at = Room(text.size());
  std::copy(text.begin(), text.end(), at);
  return {at, text.size()};
}

// One node for one of at least its size, on the same level, is an exchange: it needs no more space
// in the end. So a full pool still takes deletes, and overwrites that need no split.
AllocFor Restructure::PurposeOf(const NodeIdentity& id) const {
  const auto pays = [&](const NodeView& node) {
    return node.level() == id.level && node.order() >= id.order;
  };
  const auto owes = [&](const auto& node) { return node->level == id.level; };
  const bool exchange = std::count_if(fresh_.begin(), fresh_.end(), owes) <
                        std::count_if(old_.begin(), old_.end(), pays);
  return exchange ? AllocFor::kExchange : AllocFor::kGrowth;
}

// Takes frames for a new node and bears it: latched, with descriptors of its own.
Status Restructure::AddNode(NodeIdentity* id, NewNode** node) {
  // Once frames are taken nothing may fail.
  constexpr size_t kNodesMax = 2 * (kLevelMax + 1) + 1;
  fresh_.reserve(kNodesMax);
  change_.new_runs.reserve(kNodesMax);
  counted_.reserve(4 * kNodesMax);
  auto fresh = std::make_unique<NewNode>();
  fresh->order = id->order;
  fresh->level = id->level;
  fresh->bytes = std::make_unique_for_overwrite<std::byte[]>(kFrameSize << id->order);
  id->object_id = tree_.object_id();
  id->number = map_.NextNumber();
  if (id->number == 0) return map_.domain().CheckWritable();
  id->pfn = map_.allocator().Allocate(id->order, PurposeOf(*id));
  if (id->pfn == 0) {
    return Status(
        Code::kNoSpace,
        fmt::format("{}: the pool is full; delete something or make a larger one", map_.path()));
  }
  fresh->node = NodeView(map_.base() + OffsetOf(id->pfn), id->pfn, id->order);
  __builtin_prefetch(map_.base() + OwnerWordOffset(id->pfn), 1);
  // A thread that still wants the frame's former node may hold the latch for a moment.
  Latch& latch = map_.memmap().Touch(id->pfn).latch;
  if (TUFF_ORDER("smo.born")) latch.Lock();
  change_.new_runs.push_back(
      {id->pfn, PackOwner(id->pfn, FrameKind::kTreeNode, id->order, id->object_id)});
  if (id->order > 0) counted_.push_back(Counter::kCompoundNodes);
  *node = fresh.get();
  fresh_.push_back(std::move(fresh));
  return Status();
}

// The node's bytes are complete: its descriptor says so, though nobody can come yet.
void Restructure::Seal(NewNode& fresh, size_t longest_key) {
  Descriptor& head = map_.memmap().At(fresh.node.pfn());
  Leaf::ResetTail(head, NodeView(fresh.bytes.get(), fresh.node.pfn()).base_end(), longest_key);
  head.flags.store(Descriptor::kHead | Descriptor::kVerified | Descriptor::kTailBuilt |
                       fresh.order << Descriptor::kOrderShift,
                   std::memory_order_release);
}

Status Restructure::AddLeaf(const NodePlan::Part& part, std::span<const RecordView> records,
                            std::string_view low, std::optional<std::string_view> high,
                            uint64_t sequence_max, std::vector<ChildEntry>* children) {
  NodeIdentity id;
  id.order = part.order;
  id.low = low;
  id.high = high;
  id.sequence_max = sequence_max;
  NewNode* node = nullptr;
  if (Status s = AddNode(&id, &node); !s.ok()) return s;
  const auto mine = records.subspan(part.first, part.last - part.first);
  WriteLeaf(node->bytes.get(), id, mine, map_.hash_seed());
  size_t longest_key = 0;
  for (const RecordView& record : mine) longest_key = std::max(longest_key, record.key.size());
  Seal(*node, longest_key);
  children->push_back({low, PackChild(id.pfn, id.number)});
  return Status();
}

Status Restructure::AddInner(unsigned level, const NodePlan::Part& part,
                             std::span<const ChildEntry> children, std::string_view low,
                             std::optional<std::string_view> high,
                             std::vector<ChildEntry>* parents) {
  if (level > kLevelMax) return Status(Code::kTooLarge, "the tree is too deep");
  NodeIdentity id;
  id.level = level;
  id.order = part.order;
  id.low = low;
  id.high = high;
  NewNode* node = nullptr;
  if (Status s = AddNode(&id, &node); !s.ok()) return s;
  WriteInner(node->bytes.get(), id, children.subspan(part.first, part.last - part.first),
             map_.hash_seed());
  Seal(*node, 0);
  parents->push_back({low, PackChild(id.pfn, id.number)});
  return Status();
}

void Restructure::SetWord(uint64_t place, uint64_t old_value, uint64_t new_value) {
  change_.decider = LaneDecider::kWord;
  change_.place = place;
  change_.old_value = old_value;
  change_.new_value = new_value;
  change_.object_id = tree_.object_id();
}

Status Restructure::MakeRoot() {
  other_.push_back(&tree_.anchor_latch());
  std::vector<ChildEntry> children;
  Status s = AddLeaf({0, 0, 0}, {}, "", std::nullopt, 0, &children);
  if (s.ok()) {
    SetWord(tree_.root_place(), 0, children[0].word);
    s = Commit();
  }
  if (!s.ok()) {
    Undo(0);
    return s;
  }
  return Finish([] {});
}

Status Restructure::Rewrite(const NodeView& leaf, const PendingRecord& pending, NewRecord* record) {
  return RewriteOrUndo(leaf, pending, Merging::kMay, record);
}

Status Restructure::Merge(const NodeView& leaf, const PendingRecord& pending) {
  return RewriteOrUndo(leaf, pending, Merging::kMust, nullptr);
}

Status Restructure::RewriteOrUndo(const NodeView& leaf, const PendingRecord& pending,
                                  Merging merging, NewRecord* record) {
  __builtin_prefetch(map_.base() + OwnerWordOffset(leaf.pfn()), 1);
  old_.push_back(leaf);
  bool merge_failed = false;
  Status s = RewriteLeaf(leaf, pending, merging, &merge_failed);
  if ((merge_failed || s.code() == Code::kNoSpace) && merging == Merging::kMay) {
    // A neighbour's parent was split meanwhile, or the pool is full and merging needs frames for
    // the parent, too. Do without merging.
    Undo(1);
    s = RewriteLeaf(leaf, pending, Merging::kNever, &merge_failed);
  }
  if (s.ok() && record != nullptr) s = AddRecord(record);
  if (s.ok()) s = Commit();
  if (!s.ok()) Undo(0);
  return s;
}

// What a new leaf will hold; and snapshots are given what it will not.
Status Restructure::GatherForRewrite(const Leaf& leaf, std::vector<RecordView>* records) {
  Versions* const versions = tree_.versions();
  if (versions != nullptr && versions->HasSnapshots()) {
    if (Status s = leaf.GatherAll(leaf.tail_count(), records); !s.ok()) return s;
    SEQUENCE_POINT("version.retain");
    if (TUFF_ORDER("version.keep")) {
      versions->Retain(tree_.object_id(), *records, tree_.filled_at());
    }
  }
  return leaf.Gather(leaf.tail_count(), records);
}

Status Restructure::RewriteLeaf(const NodeView& node, const PendingRecord& wanted, Merging merging,
                                bool* merge_failed) {
  PendingRecord pending = wanted;
  pending.records_per_leaf = tree_.records_per_leaf();
  const bool may_merge = merging != Merging::kNever;
  const Leaf leaf(map_, node);
  std::vector<RecordView> records;
  if (Status s = GatherForRewrite(leaf, &records); !s.ok()) return s;
  uint64_t sequence_max = leaf.SequenceMax();
  std::string_view low = node.low();
  std::optional<std::string_view> high = HighOf(node);
  Level level;
  level.old = {node};
  NodePlan plan;

  if (may_merge && (merging == Merging::kMust || LeafIsThin(records, tree_.records_per_leaf())) &&
      tree_.root_word() != node.child_word()) {
    for (const bool right : {true, false}) {
      NodeView other;
      if (!LatchNeighbour(node, right, &other)) continue;
      LatchHold other_hold(map_.memmap().At(other.pfn()).latch, std::adopt_lock);
      const Leaf neighbour(map_, other);
      std::vector<RecordView> both;
      Status s = GatherForRewrite(neighbour, &both);
      both.insert(right ? both.begin() : both.end(), records.begin(), records.end());
      const auto both_low = right ? low : other.low();
      const auto both_high = right ? HighOf(other) : high;
      // With room for its log, or it would be split again at once; but never for more space.
      const size_t frames = (1ull << node.order()) + (1ull << other.order());
      const auto plan_is_smaller = [&](bool shrinking) {
        plan = PlanLeaf(
            both, both_low, both_high,
            {pending.key, pending.bytes, shrinking, pending.group, tree_.records_per_leaf()});
        return plan.parts.size() == 1 && 1ull << plan.parts[0].order < frames;
      };
      const bool deleting = pending.shrinking || pending.bytes == 0;
      if (!s.ok() || (!plan_is_smaller(false) && !(deleting && plan_is_smaller(true)))) continue;
      old_.push_back(other);
      other_hold.HandOver();
      level.old.insert(right ? level.old.end() : level.old.begin(), other);
      records.swap(both);
      low = both_low;
      high = both_high;
      sequence_max = std::max(sequence_max, neighbour.SequenceMax());
      break;
    }
  }
  if (level.old.size() == 1) {
    if (merging == Merging::kMust) return Status(Code::kBusy, "no neighbour to merge with");
    plan = PlanLeaf(records, low, high, pending);
  }
  if (plan.parts.empty()) return NodeDamage(node.pfn(), "records do not fit any node");

  const bool split = plan.parts.size() == 2;
  const std::string_view separator = split ? Keep(plan.separator) : std::string_view();
  Status s =
      AddLeaf(plan.parts[0], records, low, split ? separator : high, sequence_max, &level.fresh);
  if (s.ok() && split) {
    s = AddLeaf(plan.parts[1], records, separator, high, sequence_max, &level.fresh);
  }
  if (!s.ok()) return s;
  counted_.push_back(split                   ? Counter::kSplits
                     : level.old.size() == 2 ? Counter::kMerges
                                             : Counter::kConsolidations);
  return Propagate(std::move(level), may_merge, merge_failed);
}

bool Restructure::LatchNeighbour(const NodeView& node, bool right, NodeView* neighbour) {
  const unsigned level = node.level();
  {
    RcuReadSection section;
    NodeView parent;
    if (!tree_.Descend(node.low(), SeekTo::kAt, level + 1, &parent).ok()) return false;
    if (parent.data() == nullptr) return false;
    const size_t i = parent.ChildIndex(node.low());
    if (ChildPfn(parent.ChildWord(i)) != node.pfn()) return false;
    if (right ? i + 1 >= parent.count() : i == 0) return false;
    const uint64_t word = parent.ChildWord(right ? i + 1 : i - 1);
    if (!tree_.Visit(word, static_cast<int>(level), neighbour).ok()) return false;
    if (!map_.memmap().At(neighbour->pfn()).latch.TryLock()) return false;
  }
  LatchHold hold(map_.memmap().At(neighbour->pfn()).latch, std::adopt_lock);
  const bool adjacent = tree_.IsLive(*neighbour, level) &&
                        (right ? node.has_high() && neighbour->low() == node.high()
                               : neighbour->has_high() && neighbour->high() == node.low());
  // What is damaged is not copied; a leaf's records are looked at as they are gathered.
  const bool usable =
      adjacent &&
      (level == 0 ? Leaf(map_, *neighbour).BuildTail().ok()
                  : TUFF_CHECK("smo.beside", NodeIsWhole(*neighbour, map_.hash_seed())));
  if (!usable) return false;
  hold.HandOver();
  return true;
}

Status Restructure::LatchParent(const Level& level, NodeView* parent) {
  const NodeView& child = level.old[0];
  uint64_t stale = 0;
  for (;;) {
    bool is_root = false;
    bool pinned = false;
    uint64_t number = 0;
    {
      RcuReadSection section;
      NodeView root;
      if (Status s = tree_.Visit(tree_.root_word(), -1, &root); !s.ok()) return s;
      if (!TUFF_CHECK("smo.root", root.level() >= level.level)) {
        return NodeDamage(root.pfn(), "root is below a node of its tree");
      }
      is_root = root.level() == level.level;
      if (!is_root) {
        if (Status s = tree_.Descend(child.low(), SeekTo::kAt, level.level + 1, parent); !s.ok()) {
          return s;
        }
        if (parent->data() == nullptr) continue;
        number = parent->number();
        // Were its frame reused while we wait, we could meet a new node there, born latched by a
        // thread that waits for a node of ours.
        pinned = TUFF_RETIRE("smo.pin");
        if (pinned) map_.limbo().Pin(parent->pfn());
      }
    }
    SEQUENCE_POINT("smo.latch");
    if (is_root) {
      Latch& latch = tree_.anchor_latch();
      latch.Lock();
      if (ChildPfn(tree_.root_word()) == child.pfn()) {
        other_.push_back(&latch);
        *parent = NodeView();
        return Status();
      }
      latch.Unlock();
      if (Status s = tree_.LedToStale(child, child.number(), &stale); !s.ok()) return s;
      continue;
    }
    Latch& latch = map_.memmap().At(parent->pfn()).latch;
    latch.Lock();
    if (pinned) map_.limbo().Unpin(parent->pfn());
    const bool live = tree_.IsLive(*parent, level.level + 1) && parent->Covers(child.low());
    if (TUFF_CHECK("smo.live", live) &&
        ChildPfn(parent->ChildWord(parent->ChildIndex(child.low()))) == child.pfn()) {
      return Status();
    }
    const bool in_use = tree_.IsInUse(*parent);
    const bool same = in_use && parent->number() == number;
    latch.Unlock();
    if (!TUFF_CHECK("smo.parent", !same))
      return NodeDamage(parent->pfn(), fmt::format("no child word for pfn {}", child.pfn()));
    if (!in_use) {
      if (Status s = tree_.LedToStale(*parent, number, &stale); !s.ok()) return s;
    }
    map_.counters().Add(Counter::kRestarts);
  }
}

// From a changed level upwards, until one word decides.
Status Restructure::Propagate(Level level, bool may_merge, bool* merge_failed) {
  for (;;) {
    NodeView parent;
    if (Status s = LatchParent(level, &parent); !s.ok()) return s;
    if (parent.data() == nullptr) return ReplaceRoot(level);
    if (level.old.size() == 1 && level.fresh.size() == 1) {
      other_.push_back(&map_.memmap().At(parent.pfn()).latch);
      const size_t i = parent.ChildIndex(level.old[0].low());
      SetWord(parent.ChildPlace(i), level.old[0].child_word(), level.fresh[0].word);
      return Status();
    }
    old_.push_back(parent);
    Level next;
    if (Status s = ReplaceInParent(parent, level, may_merge, merge_failed, &next); !s.ok()) {
      return s;
    }
    if (next.old.empty()) return Status();  // the root has shrunk
    level = std::move(next);
  }
}

Status Restructure::ReplaceRoot(const Level& level) {
  uint64_t word = level.fresh[0].word;
  if (level.fresh.size() > 1) {
    std::vector<ChildEntry> root;
    const NodePlan plan = PlanInner(level.fresh, "", std::nullopt);
    if (Status s = AddInner(level.level + 1, plan.parts[0], level.fresh, "", std::nullopt, &root);
        !s.ok()) {
      return s;
    }
    word = root[0].word;
    counted_.push_back(Counter::kRootGrowths);
  }
  SetWord(tree_.root_place(), level.old[0].child_word(), word);
  return Status();
}

void Restructure::AppendChildren(const NodeView& node, std::vector<ChildEntry>* children) {
  // Room for the new ones, too.
  children->reserve(children->size() + node.count() + 2);
  children->push_back({node.low(), node.ChildWord(0)});
  for (size_t i = 1; i < node.count(); i++) {
    const size_t bytes = node.SeparatorBytes(i - 1);
    char* const separator = Room(bytes);
    node.CopySeparator(i - 1, separator);
    children->push_back({{separator, bytes}, node.ChildWord(i)});
  }
}

// One child has been split and the parent has room: the most frequent case by far.
Status Restructure::SpliceParent(const NodeView& parent, const InnerSplice& splice,
                                 const Level& level, unsigned order, Level* next) {
  NodeIdentity id;
  id.level = level.level + 1;
  id.order = order;
  id.low = parent.low();
  id.high = HighOf(parent);
  NewNode* node = nullptr;
  if (Status s = AddNode(&id, &node); !s.ok()) return s;
  splice.Write(node->bytes.get(), id, level.fresh[0].word, level.fresh[1].word, map_.hash_seed());
  Seal(*node, 0);
  next->level = id.level;
  next->old = {parent};
  next->fresh = {{id.low, PackChild(id.pfn, id.number)}};
  return Status();
}

Status Restructure::ReplaceInParent(const NodeView& parent, const Level& level, bool may_merge,
                                    bool* merge_failed, Level* next) {
  if (!TUFF_CHECK("smo.whole", NodeIsWhole(parent, map_.hash_seed())))
    return NodeDamage(parent.pfn(), "node has a wrong checksum");
  const size_t at = parent.ChildIndex(level.old[0].low());
  if (level.old.size() == 1 && level.fresh.size() == 2) {
    const std::string_view separator = level.fresh[1].low;
    if (!TUFF_CHECK("smo.range", parent.Covers(separator) && separator != parent.low() &&
                                     parent.ChildIndex(separator) == at &&
                                     parent.ChildIndexBefore(separator) == at)) {
      return NodeDamage(level.old[0].pfn(), "the tree leads to a node of another range");
    }
    const InnerSplice splice(parent, at, separator);
    const auto order = splice.possible() ? InnerOrderFor(splice.bytes(), parent.count() + 1)
                                         : std::optional<unsigned>();
    if (order) return SpliceParent(parent, splice, level, *order, next);
  }
  const auto first = static_cast<ptrdiff_t>(at);
  std::vector<ChildEntry> children;
  AppendChildren(parent, &children);
  if (level.old.size() == 2 &&
      (static_cast<size_t>(first) + 1 >= children.size() ||
       ChildPfn(children[static_cast<size_t>(first) + 1].word) != level.old[1].pfn())) {
    *merge_failed = true;
    return Status(Code::kBusy, "neighbours no longer share a parent");
  }
  children.erase(children.begin() + first,
                 children.begin() + first + static_cast<ptrdiff_t>(level.old.size()));
  children.insert(children.begin() + first, level.fresh.begin(), level.fresh.end());

  std::string_view low = parent.low();
  std::optional<std::string_view> high = HighOf(parent);
  const bool is_root = tree_.root_word() == parent.child_word();
  if (is_root && children.size() == 1) {
    Latch& latch = tree_.anchor_latch();
    latch.Lock();
    other_.push_back(&latch);
    SetWord(tree_.root_place(), parent.child_word(), children[0].word);
    counted_.push_back(Counter::kRootShrinks);
    return Status();
  }
  next->level = level.level + 1;
  next->old = {parent};
  NodePlan plan;
  if (may_merge && !is_root && InnerIsThin(children, low, high)) {
    for (const bool right : {true, false}) {
      NodeView other;
      if (!LatchNeighbour(parent, right, &other)) continue;
      LatchHold other_hold(map_.memmap().At(other.pfn()).latch, std::adopt_lock);
      std::vector<ChildEntry> both;
      AppendChildren(other, &both);
      both.insert(right ? both.begin() : both.end(), children.begin(), children.end());
      const auto both_low = right ? low : other.low();
      const auto both_high = right ? HighOf(other) : high;
      plan = PlanInner(both, both_low, both_high);
      // Merged nodes should have room, so that they are not split again at once.
      if (plan.parts.size() != 1 ||
          InnerBytes(both, both_low, both_high) > (kFrameSize << plan.parts[0].order) / 4 * 3) {
        continue;
      }
      old_.push_back(other);
      other_hold.HandOver();
      next->old.insert(right ? next->old.end() : next->old.begin(), other);
      children.swap(both);
      low = both_low;
      high = both_high;
      counted_.push_back(Counter::kInnerMerges);
      break;
    }
  }
  if (next->old.size() == 1) plan = PlanInner(children, low, high);
  if (plan.parts.empty()) return NodeDamage(parent.pfn(), "children do not fit any node");
  const bool split = plan.parts.size() == 2;
  const std::string_view separator = split ? Keep(plan.separator) : std::string_view();
  if (split) counted_.push_back(Counter::kInnerSplits);
  if (Status s = AddInner(next->level, plan.parts[0], children, low, split ? separator : high,
                          &next->fresh);
      !s.ok() || !split) {
    return s;
  }
  return AddInner(next->level, plan.parts[1], children, separator, high, &next->fresh);
}

}  // namespace tuff
