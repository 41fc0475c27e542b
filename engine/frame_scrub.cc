#include "engine/frame_scrub.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "engine/catalogue.h"
#include "engine/cursor.h"
#include "engine/graveyard.h"
#include "pagemap/lanes.h"
#include "pagemap/rcu.h"

namespace tuff {
namespace {

// Owner words that one look is about.
constexpr uint64_t kWordsPerLook = kFrameSize / 8;

// How long a lane is waited for.
constexpr int kLaneTries = 200;
constexpr auto kLanePause = std::chrono::microseconds(100);

bool IsQuarantined(Pfn pfn, uint64_t word) {
  return OwnerIsValid(pfn, word) &&
         UnpackOwner(word).kind == static_cast<uint8_t>(FrameKind::kQuarantined);
}

}  // namespace

void FrameScrub::Tell(ProblemCode code, Pfn pfn, uint32_t object_id, std::string text,
                      Findings* findings) {
  Problem problem{};
  problem.code = code;
  problem.pfn = pfn;
  problem.object_id = object_id;
  problem.text = std::move(text);
  findings->problems.push_back(std::move(problem));
}

std::string FrameScrub::NameOf(uint32_t object_id) const {
  const auto it = objects_.find(object_id);
  return it == objects_.end() ? std::string() : it->second.name;
}

void FrameScrub::Forget() {
  objects_.clear();
  graves_.reset();
}

// REQUIRES: the worker's step mutex is held, as for all that asks for objects.
void FrameScrub::ListGraves() {
  if (graves_) return;
  graves_.emplace();
  auto info = pool_.catalogue.Find(kGraveyardName);
  if (!info.ok()) {
    if (!info.status().IsNotFound()) damaged_.insert(ScrubPosition::kAnyObject);
    return;
  }
  Tree tree(map_, info->id, info->anchor);
  Cursor cursor(tree, {});
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
    Grave grave{};
    if (ParseGraveyardRecord(cursor.key(), cursor.value(), &grave.id, &grave.entry)) {
      graves_->push_back(grave);
    } else {
      damaged_.insert(ScrubPosition::kAnyObject);
    }
  }
  if (!cursor.status().ok()) damaged_.insert(ScrubPosition::kAnyObject);
}

const FrameScrub::Object& FrameScrub::ObjectOf(uint32_t id) {
  const auto [it, fresh] = objects_.try_emplace(id);
  Object& object = it->second;
  if (!fresh) return object;
  if (id == kCatalogueObjectId) {
    object.anchor = kCatalogueAnchorPfn;
    return object;
  }
  std::string record;
  ObjectInfo info;
  const Status s = pool_.catalogue.tree().Get(CatalogueKey(id), &record);
  if (s.ok() && ParseCatalogueRecord(CatalogueKey(id), record, &info) &&
      map_.RunInPool(info.anchor, 0)) {
    object.anchor = info.anchor;
    if (info.kind == ObjectKind::kStore) object.name = info.name;
  } else if (!s.IsNotFound()) {
    damaged_.insert(ScrubPosition::kAnyObject);
  }
  ListGraves();
  for (const Grave& grave : *graves_) {
    if (!map_.RunInPool(grave.entry.anchor_pfn, 0)) continue;
    if (grave.id == id) object.buried = grave.entry.anchor_pfn;
    if (grave.entry.tree_object_id == id) object.graves.push_back(grave.entry.anchor_pfn);
  }
  return object;
}

// While it has an owner word, what is read here stays: header and base of a node, and all of an
// anchor above its root word.
FrameScrub::Head FrameScrub::ReadHead(Pfn pfn) const {
  const RcuReadSection section;
  Head head;
  head.pfn = pfn;
  head.word = map_.memmap().OwnerWordAt(pfn);
  if (head.word == 0) return head;
  const std::byte* const at = map_.base() + OffsetOf(pfn);
  std::memcpy(&head.anchor_id, at + offsetof(Anchor, object_id), sizeof head.anchor_id);
  NodeHeader header;
  std::memcpy(&header, at, sizeof header);
  head.is_node = header.order <= kNodeOrderMax && pfn % (1ull << header.order) == 0 &&
                 map_.RunInPool(pfn, header.order) && header.level <= kLevelMax &&
                 header.low_bytes <= kKeySizeMax &&
                 header.kind == (header.level == 0 ? kNodeLeaf : kNodeInner);
  if (!head.is_node) return head;
  head.object_id = header.object_id;
  head.level = header.level;
  head.order = header.order;
  head.number = header.number;
  head.low = NodeView(at, pfn, header.order).low();
  return head;
}

// Which of its nodes an owner word stands for; 0: none.
uint64_t FrameScrub::NumberOf(const Head& head) {
  const OwnerWord owner = UnpackOwner(head.word);
  const bool is_its = OwnerIsValid(head.pfn, head.word) && head.is_node &&
                      owner.object_id == head.object_id && owner.order == head.order;
  return is_its ? head.number : 0;
}

// Whether the tree at `anchor` leads to a node. Not examined, damaged inner nodes lead nowhere, but
// never out of the pool.
FrameScrub::Reached FrameScrub::Follow(Pfn anchor, bool buried, const Head& wanted,
                                       Trust trust) const {
  const RcuReadSection section;
  NodeSite site;
  site.place = OffsetOf(anchor) + offsetof(Anchor, root);
  site.object_id = wanted.object_id;
  site.buried = buried;
  uint64_t word = Load64(map_.base() + site.place);
  while (word != 0 || (site.level >= 0 && !buried)) {
    if (ChildPfn(word) == wanted.pfn && ChildTagMatches(word, wanted.number) &&
        (site.level < 0 || site.level == static_cast<int>(wanted.level))) {
      return Reached::kYes;
    }
    NodeView node;
    if (trust == Trust::kExamined) {
      if (ExamineWord(frames(), site, word, &node)) return Reached::kUnknown;
    } else {
      const Pfn pfn = ChildPfn(word);
      if (!map_.RunInPool(pfn, 0)) return Reached::kNo;
      node = NodeView(map_.base() + OffsetOf(pfn), pfn);
      const NodeHeader& header = node.header();
      if (header.order > kNodeOrderMax || !map_.RunInPool(pfn, header.order) ||
          header.object_id != wanted.object_id || !ChildTagMatches(word, header.number) ||
          (site.level >= 0 && header.level != site.level)) {
        return Reached::kNo;
      }
    }
    if (node.level() <= wanted.level || node.is_leaf()) return Reached::kNo;
    const size_t i = node.ChildIndex(wanted.low);
    if (i >= node.count() || (buried && i < FirstChildLeft(node))) return Reached::kNo;
    if (trust == Trust::kExamined) {
      if (i > 0) {
        site.low.clear();
        node.AppendSeparator(i - 1, &site.low);
      }
      if (i + 1 < node.count()) {
        site.high.emplace();
        node.AppendSeparator(i, &*site.high);
      }
    }
    site.level = static_cast<int>(node.level()) - 1;
    site.place = node.ChildPlace(i);
    word = node.ChildWord(i);
  }
  return Reached::kNo;
}

// By what the frame shows of itself, whatever its owner word says: that has been told where the
// frame was come to.
FrameScrub::Reached FrameScrub::IsReached(const Head& head, Trust trust) {
  const auto is_anchor_of = [&](uint32_t id) {
    const Object& object = ObjectOf(id);
    return object.anchor == head.pfn || object.buried == head.pfn;
  };
  const OwnerWord owner = UnpackOwner(head.word);
  const bool valid = OwnerIsValid(head.pfn, head.word);
  if (valid && owner.kind == static_cast<uint8_t>(FrameKind::kMetadata) &&
      is_anchor_of(owner.object_id)) {
    return Reached::kYes;
  }
  Reached reached = Reached::kNo;
  if (head.is_node) {
    const Object& object = ObjectOf(head.object_id);
    const auto ask = [&](Pfn anchor, bool buried) {
      const Reached here = Follow(anchor, buried, head, trust);
      if (here == Reached::kUnknown) damaged_.insert(head.object_id);
      if (here != Reached::kNo) reached = here;
      return here == Reached::kYes;
    };
    if (object.anchor != 0 && ask(object.anchor, false)) return Reached::kYes;
    for (const Pfn grave : object.graves) {
      if (ask(grave, true)) return Reached::kYes;
    }
  }
  return is_anchor_of(head.anchor_id) ? Reached::kYes : reached;
}

// Whether the frame lies in the run of a node that is reached, behind its first frame.
bool FrameScrub::IsInside(Pfn pfn) {
  Pfn last = pfn;
  for (unsigned order = 1; order <= kNodeOrderMax; order++) {
    const Pfn first = pfn >> order << order;
    if (std::exchange(last, first) == first || !map_.RunInPool(first, 0)) continue;
    const Head head = ReadHead(first);
    if (head.word == 0 || !head.is_node || pfn - first >= 1ull << head.order) continue;
    if (IsReached(head, Trust::kBytes) == Reached::kYes) return true;
  }
  return false;
}

// Of a damaged tree nobody knows what it refers to.
bool FrameScrub::MayBeOfDamaged(const uint64_t word) const {
  return damaged_.contains(ScrubPosition::kAnyObject) ||
         damaged_.contains(UnpackOwner(word).object_id);
}

// REQUIRES: no change that was under way at the first look still is; nobody moves a tree.
void FrameScrub::Judge(const Head& suspect, Findings* findings) {
  const auto is_as_before = [&](const Head& now) {
    return now.word == suspect.word && NumberOf(now) == NumberOf(suspect);
  };
  const Pfn pfn = suspect.pfn;
  const Head now = ReadHead(pfn);
  if (!is_as_before(now)) return;
  SEQUENCE_POINT("scrub.suspect");
  const Reached reached = IsReached(now, Trust::kExamined);
  if (reached == Reached::kYes) return;
  const bool inside = IsInside(pfn);
  if (!is_as_before(ReadHead(pfn))) return;  // it was being freed
  const bool valid = OwnerIsValid(pfn, now.word);
  const OwnerWord owner = UnpackOwner(now.word);
  const uint32_t object_id = valid ? owner.object_id : 0;
  if (valid) (void)ObjectOf(object_id);  // for NameOf
  if (inside) {
    return Tell(ProblemCode::kOwnerInside, pfn, object_id,
                fmt::format("I4: pfn {}: owner word inside a run", pfn), findings);
  }
  if (IsQuarantined(pfn, now.word) || reached == Reached::kUnknown) return;
  if (valid ? MayBeOfDamaged(now.word) : !damaged_.empty()) return;
  if (valid) {
    Tell(ProblemCode::kLeaked, pfn, object_id,
         fmt::format("I4: pfn {}: leaked: {} frames of object {}, kind {}", pfn,
                     1ull << owner.order, owner.object_id, owner.kind),
         findings);
  } else {
    Tell(ProblemCode::kOwnerDamaged, pfn, object_id,
         fmt::format("pfn {}: damaged owner word {:#x} of a free frame", pfn, now.word), findings);
  }
}

Status FrameScrub::Confirm(const std::vector<Head>& suspects, Findings* findings) {
  map_.lanes().AwaitChanges();
  const std::lock_guard lock(pool_.mutex);  // nothing is created, renamed or dropped
  std::set<uint32_t> ids;
  for (const Head& suspect : suspects) {
    if (suspect.is_node) ids.insert(suspect.object_id);
  }
  std::vector<std::unique_lock<std::mutex>> gates;  // no bulk load moves its tree
  for (const uint32_t id : ids) {
    const auto store = pool_.stores.find(id);
    if (store != pool_.stores.end()) gates.emplace_back(store->second.impl->gate_mutex);
  }
  const std::lock_guard step(pool_.graveyard.step_mutex());
  Forget();
  std::vector<Problem> before = std::move(findings->problems);
  findings->problems.clear();
  for (const Head& suspect : suspects) Judge(suspect, findings);
  // After a failed fence, owner words may be of changes that were given up.
  if (map_.domain().failed()) return map_.domain().CheckWritable();
  findings->problems.insert(findings->problems.begin(), std::make_move_iterator(before.begin()),
                            std::make_move_iterator(before.end()));
  return Status();
}

// What was never written of a sparse file's frame table is not touched. True: nothing is to be
// looked at in this page.
bool FrameScrub::SkipHole(Pfn from, Findings* findings) {
  const uint64_t at = OwnerWordOffset(from);
  if (at < data_until_) return false;
  const Pfn section_end = SectionStart(SectionOf(from) + 1);
  const Pfn last = std::min(section_end, map_.frames()) - 1;
  const Medium::Extent hole =
      map_.domain().medium().FindHole(at / kFrameSize * kFrameSize, OwnerWordOffset(last) + 8);
  data_until_ = hole.start;
  if (at < hole.start) return false;
  const Pfn next = std::min(from + (hole.end - at + 7) / 8, section_end);
  if (next < map_.frames()) findings->next = next;
  return true;
}

Status FrameScrub::Look(Pfn from, Findings* findings) {
  *findings = Findings();
  if (from >= map_.frames()) return Status();
  if (SkipHole(from, findings)) return Status();
  const Pfn end = std::min(from / kWordsPerLook * kWordsPerLook + kWordsPerLook, map_.frames());
  if (end < map_.frames()) findings->next = end;
  findings->bytes = kFrameSize;
  std::vector<Head> suspects;
  {
    const std::lock_guard step(pool_.graveyard.step_mutex());  // anchors stay
    Forget();
    for (Pfn pfn = from; pfn < end; pfn++) {
      const uint64_t word = map_.memmap().OwnerWordAt(pfn);
      if (word == 0) continue;
      if (IsReserved(pfn)) {
        Tell(ProblemCode::kOwnerOfTable, pfn, 0,
             fmt::format("pfn {}: reserved frame has an owner", pfn), findings);
        continue;
      }
      Head head = ReadHead(pfn);
      if (head.word == 0) continue;
      findings->bytes += kFrameSize;
      if (IsReached(head, Trust::kBytes) == Reached::kYes) continue;
      if (map_.memmap().OwnerWordAt(pfn) == head.word) suspects.push_back(std::move(head));
    }
  }
  return suspects.empty() ? Status() : Confirm(suspects, findings);
}

// Behind the word that retires it, a lane keeps what it held.
void FrameScrub::LookAtLane(unsigned lane, Findings* findings) {
  const LaneReading reading =
      Lanes::Read(map_.base(), lane, map_.hash_seed(), map_.frames(), RecordIsThere);
  const Pfn pfn = kLanesPfn + lane;
  switch (reading.verdict) {
    case LaneReading::Verdict::kEmpty:
      return;
    case LaneReading::Verdict::kLive:
      if (!reading.committed) break;
      [[fallthrough]];
    case LaneReading::Verdict::kTorn:
      return Tell(ProblemCode::kLaneNotEmpty, pfn, 0,
                  fmt::format("I5: lane {} is not empty, and nobody holds it", lane), findings);
    case LaneReading::Verdict::kBad:
      break;
  }
  Tell(ProblemCode::kLaneDamaged, pfn, 0, fmt::format("lane {} (pfn {}) is damaged", lane, pfn),
       findings);
}

Status FrameScrub::LookAtLanes(Findings* findings) {
  *findings = Findings();
  Lanes& lanes = map_.lanes();
  for (unsigned lane = 0; lane < kLanes; lane++) {
    bool held = false;
    for (int tries = 0; tries < kLaneTries && !held; tries++) {
      if (tries > 0) std::this_thread::sleep_for(kLanePause);
      held = lanes.TryAcquire(lane);
    }
    if (!held) continue;
    LookAtLane(lane, findings);
    lanes.Release(lane);
  }
  // A change that a failed fence has cut short stays in its lane.
  return map_.domain().failed() ? map_.domain().CheckWritable() : Status();
}

}  // namespace tuff
