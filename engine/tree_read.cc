// Tree, the reading half: single and multiple look-ups, pinning values and leaves.

#include <algorithm>

#include "engine/tree.h"
#include "pagemap/rcu.h"

namespace tuff {
namespace {

// Of a key that is not in the leaf; or damage above would hide it.
bool IsWhereItWouldBe(const NodeView& leaf, std::string_view key) {
  return TUFF_CHECK("get.range", leaf.Covers(key));
}

}  // namespace

Status Tree::LedToStale(const NodeView& node, uint64_t number, uint64_t* stale) const {
  // After a failed fence the word stays swung to what has been given up.
  if (map_.domain().failed()) return map_.domain().CheckWritable();
  if (!TUFF_CHECK("child.stale", *stale != number))
    return NodeDamage(node.pfn(), "the tree leads to a node out of use");
  *stale = number;
  return Status();
}

// `number` is the leaf's, as the read section has seen it; `stale`: see LedToStale.
Status Tree::BuildTail(const NodeView& leaf, uint64_t number, uint64_t* stale) {
  LatchHold hold(map_.memmap().At(leaf.pfn()).latch);
  if (IsLive(leaf, 0)) return Leaf(map_, leaf).BuildTail();
  return IsInUse(leaf) ? Status() : LedToStale(leaf, number, stale);
}

// The newest record in the leaf that a reader at `sequence` may see.
Result<bool> Tree::FindIn(const Leaf& leaf, std::string_view key, uint64_t sequence,
                          RecordView* record) const {
  if (sequence != kNewest) {
    return leaf.Find(key, record, [&](uint64_t number) { return number <= sequence; });
  }
  return leaf.Find(key, record, [&](uint64_t number) {
    return versions_ == nullptr || !versions_->IsPending(number);
  });
}

// The version that has left the leaves and a reader at `sequence` may see; null if there is none.
Result<KeptVersionPtr> Tree::FindKept(std::string_view key, uint64_t sequence) const {
  SEQUENCE_POINT("version.find");
  if (versions_ == nullptr) return KeptVersionPtr();
  return versions_->Find(object_id_, key, sequence);
}

// Finds `key` and calls use(found): inside the read section, if it lies in a leaf.
template <typename Use>
Status Tree::FindAnd(std::string_view key, uint64_t sequence, const Use& use) {
  map_.domain().AdmitThread();
  if (Status s = CheckKey(key); !s.ok()) return s;
  FoundValue found;
  bool may_be_kept = false;
  uint64_t stale = 0;
  for (;;) {
    NodeView node;
    uint64_t number = 0;
    {
      RcuReadSection section;
      if (gate_.load(std::memory_order_acquire) == Gate::kDropped) return CheckGate();
      if (Status s = Descend(key, SeekTo::kAt, 0, &node); !s.ok()) return s;
      if (node.data() == nullptr) break;
      number = node.number();
      const Leaf leaf(map_, node);
      if (leaf.tail_built()) [[likely]] {
        if (sequence < filled_at()) {  // all of it is younger
          may_be_kept = true;
          break;
        }
        RecordView record;
        auto there = FindIn(leaf, key, sequence, &record);
        if (!there.ok()) return there.TakeStatus();
        if (*there && record.type() != RecordType::kDelete) {
          found.value = record.value;
          found.pfn = node.pfn();
          found.sequence = SequenceOf(record.sequence_and_type);
          use(found);
          map_.counters().Add(Counter::kGets);
          return Status();
        }
        if (!*there && !IsWhereItWouldBe(node, key)) [[unlikely]]
          return OfAnotherRange(node);
        may_be_kept = !*there && sequence < node.header().sequence_max;
        break;
      }
      number = node.number();
    }
    if (Status s = BuildTail(node, number, &stale); !s.ok()) return s;
  }
  if (may_be_kept) {
    auto kept = FindKept(key, sequence);
    if (!kept.ok()) return kept.TakeStatus();
    if (*kept != nullptr) {
      found.value = (*kept)->value;
      found.sequence = (*kept)->sequence;
      found.kept = std::move(*kept);
      use(found);
      map_.counters().Add(Counter::kGets);
      return Status();
    }
  }
  map_.counters().Add(Counter::kGetsNotFound);
  return NoSuchKey();
}

Status Tree::Get(std::string_view key, uint64_t sequence, std::string* value,
                 uint64_t* found_sequence) {
  return FindAnd(key, sequence, [&](const FoundValue& found) {
    value->assign(found.value);
    if (found_sequence != nullptr) *found_sequence = found.sequence;
  });
}

Status Tree::GetPinned(std::string_view key, uint64_t sequence, FoundValue* value) {
  return FindAnd(key, sequence, [&](const FoundValue& found) {
    *value = found;
    if (found.pfn == 0) return;
    map_.limbo().Pin(found.pfn);
    pins_.fetch_add(1, std::memory_order_relaxed);
  });
}

void Tree::Unpin(Pfn pfn) {
  map_.limbo().Unpin(pfn);
  pins_.fetch_sub(1, std::memory_order_relaxed);
}

void Tree::PrefetchNode(Pfn pfn, size_t lines) const {
  if (!map_.RunInPool(pfn, 0)) return;
  map_.memmap().Prefetch(pfn);
  const std::byte* at = map_.base() + OffsetOf(pfn);
  for (size_t i = 0; i < lines; i++) __builtin_prefetch(at + 64 * i);
}

// One level at a time for all keys, so that the next level's misses are all under way at once.
// Leaves nodes empty where the path is not plain: those are looked up one by one.
void Tree::DescendTogether(std::span<const std::string_view> keys, uint64_t sequence,
                           NodeView* nodes) {
  constexpr size_t kInnerLines = 12;
  constexpr size_t kLeafLines = 4;
  std::array<uint64_t, kInterleaved> words;
  NodeView root;
  if (gate_.load(std::memory_order_acquire) == Gate::kDropped) return;
  if (sequence < filled_at()) return;
  if (root_word() == 0 || !Visit(root_word(), -1, &root).ok()) return;
  std::fill_n(nodes, keys.size(), root);
  for (unsigned level = root.level(); level > 0; level--) {
    for (size_t i = 0; i < keys.size(); i++) {
      if (nodes[i].data() == nullptr) continue;
      words[i] = nodes[i].ChildWord(nodes[i].ChildIndex(keys[i]));
      PrefetchNode(ChildPfn(words[i]), level > 1 ? kInnerLines : kLeafLines);
    }
    for (size_t i = 0; i < keys.size(); i++) {
      if (nodes[i].data() == nullptr) continue;
      if (!Visit(words[i], static_cast<int>(level) - 1, &nodes[i]).ok()) nodes[i] = NodeView();
    }
  }
}

void Tree::PrefetchForWrites(std::span<const std::string_view> keys) {
  assert(keys.size() <= kInterleaved);
  RcuReadSection section;
  std::array<NodeView, kInterleaved> nodes;
  DescendTogether(keys, kNewest, nodes.data());
  for (size_t i = 0; i < keys.size(); i++) {
    if (nodes[i].data() == nullptr) continue;
    Leaf(map_, nodes[i]).PrefetchLogEnd();
  }
}

void Tree::MultiGet(std::span<const std::string_view> keys, uint64_t sequence, std::string* values,
                    Status* statuses) {
  map_.domain().AdmitThread();
  for (size_t first = 0; first < keys.size(); first += kInterleaved) {
    const auto group = keys.subspan(first, std::min(kInterleaved, keys.size() - first));
    std::array<bool, kInterleaved> done{};
    {
      RcuReadSection section;
      std::array<NodeView, kInterleaved> nodes;
      DescendTogether(group, sequence, nodes.data());
      for (size_t i = 0; i < group.size(); i++) {
        if (nodes[i].data() != nullptr) Leaf(map_, nodes[i]).Prefetch(group[i]);
      }
      for (size_t i = 0; i < group.size(); i++) {
        if (nodes[i].data() == nullptr) continue;
        const Leaf leaf(map_, nodes[i]);
        RecordView record;
        if (!leaf.tail_built()) continue;
        const auto there = FindIn(leaf, group[i], sequence, &record);
        if (!there.ok() || !*there || record.type() == RecordType::kDelete) continue;
        values[first + i].assign(record.value);
        statuses[first + i] = Status();
        done[i] = true;
      }
    }
    size_t found = 0;
    for (size_t i = 0; i < group.size(); i++) {
      if (done[i]) {
        found++;
      } else {
        statuses[first + i] = Get(group[i], sequence, &values[first + i], nullptr);
      }
    }
    map_.counters().Add(Counter::kGets, found);
  }
}

Status Tree::PinLeaf(std::string_view key, SeekTo seek, LeafSnapshot* snapshot) {
  map_.domain().AdmitThread();
  const Pfn fetched = snapshot->beside;
  ParentSlot place = snapshot->place;
  *snapshot = LeafSnapshot();
  uint64_t stale = 0;
  for (;;) {
    NodeView node;
    uint64_t number = 0;
    {
      RcuReadSection section;
      if (gate_.load(std::memory_order_acquire) == Gate::kDropped) return CheckGate();
      if (!StepBeside(key, seek, &place, &node)) {
        if (Status s = Descend(key, seek, 0, &node, &place); !s.ok()) return s;
        if (node.data() == nullptr) return Status();
      }
      number = node.number();
      const Leaf leaf(map_, node);
      if (leaf.tail_built()) {
        // Much of it will be read.
        constexpr size_t kLinesMax = kFrameSize / 64;  // more would drive out what is needed first
        snapshot->lines = std::min(leaf.tail_end_hint() / 64 + 3, kLinesMax);
        if (node.pfn() != fetched) PrefetchNode(node.pfn(), snapshot->lines);
        map_.limbo().Pin(node.pfn());
        pins_.fetch_add(1, std::memory_order_relaxed);
        if (place.parent.data() != nullptr && place.Beside(seek) < place.parent.count()) {
          snapshot->beside = ChildPfn(place.parent.ChildWord(place.Beside(seek)));
        }
        snapshot->place = place;
        snapshot->node = node;
        snapshot->tail_count = leaf.tail_count();
        return Status();
      }
      number = node.number();
    }
    place = ParentSlot();
    if (Status s = BuildTail(node, number, &stale); !s.ok()) return s;
  }
}

}  // namespace tuff
