#include "engine/repair/tree_mender.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/catalogue.h"
#include "engine/leaf.h"
#include "pagemap/checksum.h"

namespace tuff {
namespace {

bool SameRange(const NodeView& node, const std::string& low,
               const std::optional<std::string>& high) {
  return node.low() == low && node.has_high() == high.has_value() &&
         (!high || node.high() == *high);
}

bool LiesWithin(const NodeView& node, const std::string& low,
                const std::optional<std::string>& high) {
  return node.low() >= low && (!high || (node.has_high() && node.high() <= *high));
}

// Ranges of keys, none over another.
class Ranges {
 public:
  /// False if it lies over one of them.
  bool Add(const NodeView& node) {
    const auto behind = lows_.lower_bound(node.low());
    if (behind != lows_.end() && (!node.has_high() || behind->first < node.high())) return false;
    if (behind != lows_.begin()) {
      const auto& high = std::prev(behind)->second;
      if (!high || *high > node.low()) return false;
    }
    std::optional<std::string_view> high;
    if (node.has_high()) high = node.high();
    lows_.emplace_hint(behind, node.low(), high);
    return true;
  }

 private:
  std::map<std::string_view, std::optional<std::string_view>> lows_;  // and their highs
};

std::optional<std::string_view> ViewOfHigh(const std::optional<std::string>& high) {
  return high ? std::optional<std::string_view>(*high) : std::nullopt;
}

}  // namespace

TreeMender::TreeMender(PoolImage& image, const PoolWalkResult& walk, const std::set<Pfn>& not_free,
                       uint64_t next_number)
    : image_(image), walk_(walk), not_free_(not_free), next_number_(next_number) {}

// Whole nodes that nothing refers to. A frame whose owner word is damaged may be one as well.
void TreeMender::FindOrphans() {
  if (orphans_known_) return;
  orphans_known_ = true;
  for (uint64_t section = 0; section < SectionsOf(image_.frames()); section++) {
    image_.ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) {
      if (!image_.Holds(pfn, 0) || walk_.reached[pfn]) return;
      const NodeHeader& header = NodeView(image_.base() + OffsetOf(pfn), pfn).header();
      const bool valid = OwnerIsValid(pfn, word);
      const OwnerWord owner = UnpackOwner(word);
      if (valid && (owner.kind != static_cast<uint8_t>(FrameKind::kTreeNode) ||
                    owner.object_id != header.object_id)) {
        return;
      }
      if (header.order > kNodeOrderMax || !image_.Holds(pfn, header.order) ||
          pfn % (1ull << header.order) != 0) {
        return;
      }
      const NodeView node = image_.NodeAt(pfn, header.order);
      if (!VerifyNode(node, image_.hash_seed(), header.object_id).ok()) return;
      if (!RangesHaveKeys(node)) return;
      orphans_[{header.object_id, header.level}].push_back({pfn, header.order, header.number});
    });
  }
  for (auto& [place, orphans] : orphans_) {
    std::sort(orphans.begin(), orphans.end(), [this](const Orphan& a, const Orphan& b) {
      const int order = ViewOf(a).low().compare(ViewOf(b).low());
      return order != 0 ? order < 0 : a.number > b.number;
    });
  }
}

// Those that begin at `low` or behind it, and before `high`; of those that begin together, the
// highest number first.
std::span<const TreeMender::Orphan> TreeMender::OrphansIn(
    uint32_t object_id, int level, std::string_view low,
    const std::optional<std::string>& high) const {
  const auto it = orphans_.find({object_id, level});
  if (it == orphans_.end()) return {};
  const std::vector<Orphan>& all = it->second;
  const auto before = [this](const Orphan& orphan, std::string_view key) {
    return ViewOf(orphan).low() < key;
  };
  const auto first = std::lower_bound(all.begin(), all.end(), low, before);
  const auto last = high ? std::lower_bound(first, all.end(), *high, before) : all.end();
  return {first, last};
}

bool TreeMender::Mend(const NodeSite& site) {
  FindOrphans();
  const uint64_t old_word = Load64(image_.base() + site.place);
  uint64_t word = 0;
  if (site.buried) {
    // What is dropped anyway need not be found again: the frame table gets it back.
  } else {
    NodeView node;
    const bool whole = !site.twice && !ExamineWord(image_, site, old_word, &node);
    const Old old{site.twice ? 0 : old_word, whole};
    if (whole && node.is_leaf()) {  // with damaged records
      word = WriteLeafFrom(site.object_id, site.low, site.high, old, nullptr);
    } else {
      word = site.level < 0 ? CoverRoot(site.object_id, old)
                            : Cover(site.object_id, site.level, site.low, site.high, old);
    }
    if (word == 0) return false;
    Free(old, site.object_id, word);
  }
  WriteWindow window(image_.domain());
  window.Store64(site.place, word);
  return true;
}

uint64_t TreeMender::CoverRoot(uint32_t object_id, const Old& old) {
  int level = 0;
  for (const auto& [place, orphans] : orphans_) {
    if (place.first != object_id) continue;
    for (const Orphan& orphan : orphans) {
      if (taken_.contains(orphan.pfn)) continue;
      const NodeView node = ViewOf(orphan);
      const bool is_root = node.low().empty() && !node.has_high();
      level = std::max(level, place.second + (is_root ? 0 : 1));
    }
  }
  return Cover(object_id, level, "", std::nullopt, old);
}

uint64_t TreeMender::Cover(uint32_t object_id, int level, const std::string& low,
                           const std::optional<std::string>& high, const Old& old) {
  for (const Orphan& orphan : OrphansIn(object_id, level, low, high)) {
    if (ViewOf(orphan).low() != low) break;
    if (taken_.contains(orphan.pfn) || !SameRange(ViewOf(orphan), low, high)) continue;
    taken_.insert(orphan.pfn);
    SetOwner(orphan.pfn, orphan.order, object_id);
    return PackChild(orphan.pfn, orphan.number);
  }
  return level == 0 ? WriteLeafFrom(object_id, low, high, old, nullptr)
                    : WriteInnerOver(object_id, level, low, high, old);
}

uint64_t TreeMender::WriteInnerOver(uint32_t object_id, int level, const std::string& low,
                                    const std::optional<std::string>& high, const Old& old) {
  std::vector<Orphan> below;
  for (const Orphan& orphan : OrphansIn(object_id, level - 1, low, high)) {
    if (!taken_.contains(orphan.pfn) && LiesWithin(ViewOf(orphan), low, high)) {
      below.push_back(orphan);
    }
  }
  // Of those that lie over each other, the highest number.
  std::sort(below.begin(), below.end(),
            [](const Orphan& a, const Orphan& b) { return a.number > b.number; });
  Ranges ranges;
  std::erase_if(below, [&](const Orphan& orphan) { return !ranges.Add(ViewOf(orphan)); });
  std::sort(below.begin(), below.end(),
            [&](const Orphan& a, const Orphan& b) { return ViewOf(a).low() < ViewOf(b).low(); });
  std::vector<std::string> lows;  // of the children
  std::vector<uint64_t> words;
  std::string at = low;
  const auto fill_to = [&](const std::optional<std::string>& end) {
    const uint64_t word = Cover(object_id, level - 1, at, end, {});
    lows.push_back(at);
    words.push_back(word);
    return word != 0;
  };
  bool open_end = true;  // something is missing behind `at`
  for (const Orphan& orphan : below) {
    const NodeView node = ViewOf(orphan);
    if (node.low() != at && !fill_to(std::string(node.low()))) return 0;
    taken_.insert(orphan.pfn);
    SetOwner(orphan.pfn, orphan.order, object_id);
    lows.emplace_back(node.low());
    words.push_back(PackChild(orphan.pfn, orphan.number));
    open_end = node.has_high();
    at = node.high();
  }
  if (open_end && (!high || at != *high) && !fill_to(high)) return 0;
  std::vector<ChildEntry> children;
  for (size_t i = 0; i < words.size(); i++) children.push_back({lows[i], words[i]});

  NodeIdentity id;
  id.object_id = object_id;
  id.level = static_cast<unsigned>(level);
  id.low = low;
  id.high = ViewOfHigh(high);
  Bytes buffer;
  if (Place(&id, InnerBytes(children, id.low, id.high), old, &buffer) == 0) return 0;
  WriteInner(buffer.data(), id, children, image_.hash_seed());
  return Store(id, buffer);
}

// True of a record of the catalogue or the graveyard that cannot be one.
bool TreeMender::IsMalformed(uint32_t object_id, const RecordView& record) const {
  const auto object = walk_.objects.find(object_id);
  if (object == walk_.objects.end()) return false;
  const ObjectKind kind = object->second.kind;
  if (kind != ObjectKind::kCatalogue && kind != ObjectKind::kGraveyard) return false;
  WalkedObject named;
  return !ReadObjectRecord(image_, kind, record, &named);
}

uint64_t TreeMender::WriteLeafFrom(uint32_t object_id, const std::string& low,
                                   const std::optional<std::string>& high, const Old& old,
                                   const RecordView* extra) {
  std::vector<RecordView> records = SalvageRecords(object_id, old);
  std::erase_if(records, [&](const RecordView& record) {
    return record.type() == RecordType::kPut && IsMalformed(object_id, record);
  });
  NodeIdentity id;
  for (const RecordView& record : records) {
    id.sequence_max = std::max(id.sequence_max, SequenceOf(record.sequence_and_type));
  }
  if (extra != nullptr) records.push_back(*extra);
  records = NewestOf(std::move(records), low, high);
  id.object_id = object_id;
  id.low = low;
  id.high = ViewOfHigh(high);
  Bytes buffer;
  const size_t bytes = LeafBaseBytes(records, id.low, id.high) + kFrameSize / 8;
  if (Place(&id, bytes, old, &buffer) == 0) return 0;
  WriteLeaf(buffer.data(), id, records, image_.hash_seed());
  return Store(id, buffer);
}

// The order of the node whose frames may be used again; kNodeOrderMax + 1: of none.
unsigned TreeMender::OrderAt(const Old& old, uint32_t object_id) const {
  constexpr unsigned kNone = kNodeOrderMax + 1;
  const Pfn pfn = ChildPfn(old.word);
  if (old.word == 0 || !image_.Holds(pfn, 0) || taken_.contains(pfn)) return kNone;
  if (walk_.reached[pfn] && !old.mine) return kNone;
  const uint64_t word = image_.OwnerWordAt(pfn);
  OwnerWord owner = UnpackOwner(word);
  if (word == 0 || !OwnerIsValid(pfn, word)) {  // what the header says, then
    const NodeHeader& header = NodeView(image_.base() + OffsetOf(pfn), pfn).header();
    owner = {static_cast<uint8_t>(FrameKind::kTreeNode), header.order, 0, 0, header.object_id};
  }
  if (owner.object_id != object_id || owner.kind != static_cast<uint8_t>(FrameKind::kTreeNode) ||
      owner.order > kNodeOrderMax || !image_.Holds(pfn, owner.order)) {
    return kNone;
  }
  return owner.order;
}

// Finds frames and a number for a node of `bytes` bytes. 0: there are no frames.
uint64_t TreeMender::Place(NodeIdentity* id, size_t bytes, const Old& old, Bytes* buffer) {
  unsigned order = 0;
  while (kFrameSize << order < bytes) order++;
  if (order > kNodeOrderMax) return 0;
  id->pfn = FindFreeRun(order);
  id->order = order;
  const unsigned here = OrderAt(old, id->object_id);
  if (id->pfn == 0 && here <= kNodeOrderMax && here >= order) {
    id->pfn = ChildPfn(old.word);
    id->order = here;
  }
  if (id->pfn == 0) return 0;
  id->number = next_number_++;
  buffer->assign(kFrameSize << id->order, std::byte{0});
  return id->pfn;
}

uint64_t TreeMender::Store(const NodeIdentity& id, const Bytes& buffer) {
  {
    WriteWindow window(image_.domain());
    window.Store(OffsetOf(id.pfn), buffer.data(), buffer.size());
  }
  taken_.insert(id.pfn);
  SetOwner(id.pfn, id.order, id.object_id);
  return PackChild(id.pfn, id.number);
}

void TreeMender::SetOwner(Pfn pfn, unsigned order, uint32_t object_id) {
  const uint64_t owner = PackOwner(pfn, FrameKind::kTreeNode, order, object_id);
  if (image_.OwnerWordAt(pfn) == owner) return;
  WriteWindow window(image_.domain());
  window.Store64(OwnerWordOffset(pfn), owner);
}

// What `word` has replaced, if nothing else refers to it.
void TreeMender::Free(const Old& old, uint32_t object_id, uint64_t word) {
  const Pfn pfn = ChildPfn(old.word);
  if (pfn == ChildPfn(word) || OrderAt(old, object_id) > kNodeOrderMax) return;
  WriteWindow window(image_.domain());
  window.Store64(OwnerWordOffset(pfn), 0);
}

// What nothing refers to may be an object's that is only found again later: so, as long as there
// are others, not a frame that holds a whole node, though most of those are former ones.
bool TreeMender::HoldsNode(Pfn pfn) const {
  const NodeHeader& header = NodeView(image_.base() + OffsetOf(pfn), pfn).header();
  if (header.order > kNodeOrderMax || !image_.Holds(pfn, header.order)) return false;
  return NodeIsWhole(image_.NodeAt(pfn, header.order), image_.hash_seed());
}

// Behind the first frame of a run, owner words are 0; what nothing refers to may be an orphan's.
void TreeMender::FindClaims() {
  if (claims_known_) return;
  claims_known_ = true;
  claimed_.Resize(image_.frames());
  const auto claim = [this](Pfn pfn, unsigned order) {
    if (order > kOrderMax || !image_.Holds(pfn, order)) return;
    for (Pfn at = pfn; at < pfn + (1ull << order); at++) claimed_.Add(at);
  };
  for (uint64_t section = 0; section < SectionsOf(image_.frames()); section++) {
    image_.ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) {
      if (OwnerIsValid(pfn, word)) {
        claim(pfn, UnpackOwner(word).order);
      } else if (image_.Holds(pfn, 0) && HoldsNode(pfn)) {  // what the header says, then
        claim(pfn, NodeView(image_.base() + OffsetOf(pfn), pfn).header().order);
      }
    });
  }
}

// Frames without owner that nothing refers to. What a hole of the file holds is read only where it
// is then taken, for the first frames of a hole are free: reading gives it pages on tmpfs.
Pfn TreeMender::FindFreeRun(unsigned order) {
  FindClaims();
  for (const bool any : {false, true}) {
    const Pfn pfn = FindFreeRun(order, any);
    if (pfn != 0) return pfn;
  }
  return 0;
}

Pfn TreeMender::FindFreeRun(unsigned order, bool any) {
  const uint64_t frames = 1ull << order;
  Pfn& next = free_from_[any ? 1 : 0][order];
  for (Pfn pfn = next; pfn + frames <= image_.frames(); pfn += frames) {
    bool is_free = true;
    for (Pfn at = pfn; at < pfn + frames && is_free; at++) {
      is_free = image_.Holds(at, 0) && !walk_.reached[at] && !claimed_[at] &&
                image_.OwnerWordAt(at) == 0 && !taken_.contains(at) && !not_free_.contains(at) &&
                (any || !HoldsNode(at));
    }
    if (!is_free) continue;
    for (Pfn at = pfn; at < pfn + frames; at++) taken_.insert(at);
    next = pfn;
    return pfn;
  }
  next = image_.frames();
  return 0;
}

// All records of a damaged leaf that are whole, wherever they lie in it: what says where they lie
// may be what is damaged. Those of a group only if all of it is whole.
std::vector<RecordView> TreeMender::SalvageRecords(uint32_t object_id, const Old& old) const {
  std::vector<RecordView> records;
  const unsigned order = OrderAt(old, object_id);
  if (order > kNodeOrderMax) return records;
  const NodeView node = image_.NodeAt(ChildPfn(old.word), order);
  const uint64_t number = node.number();
  if (!ChildTagMatches(old.word, number)) return records;  // another node
  const size_t end = kFrameSize << order;
  for (size_t at = sizeof(NodeHeader); at + sizeof(RecordHeader) <= end; at += 8) {
    RecordView record;
    const uint64_t seed = RecordSeed(image_.hash_seed(), number, at);
    size_t group = 0;
    if (FindGroup(node.data(), at, end, seed, &group)) {
      const size_t group_end = at + kGroupBytes + group;
      for (size_t in = at + kGroupBytes; in < group_end; in += record.bytes) {
        const uint64_t in_seed = RecordSeed(image_.hash_seed(), number, in + kInGroup);
        if (!ReadRecord(node.data(), in, group_end, in_seed, &record)) break;
        records.push_back(record);
      }
    } else if (ReadRecord(node.data(), at, end, seed, &record)) {
      records.push_back(record);
    }
  }
  return records;
}

bool TreeMender::MendAnchor(const WalkedObject& object) {
  if (object.anchor != kCatalogueAnchorPfn && !image_.Holds(object.anchor, 0)) return false;
  Anchor old;
  std::memcpy(&old, image_.base() + OffsetOf(object.anchor), sizeof old);
  Anchor anchor = MakeAnchor(object.id, object.kind, image_.hash_seed(), object.anchor);
  anchor.root = old.root;  // is outside the checksum; the next walk examines it
  anchor.flags = old.flags;
  anchor.modified_ns = old.modified_ns;
  anchor.attributes_changed_ns = old.attributes_changed_ns;
  anchor.change_counter = old.change_counter;
  WriteWindow window(image_.domain());
  window.Store(OffsetOf(object.anchor), &anchor, sizeof anchor);
  return true;
}

std::vector<WalkedObject> TreeMender::FindOrphanStores() const {
  std::vector<WalkedObject> stores;
  for (uint64_t section = 0; section < SectionsOf(image_.frames()); section++) {
    image_.ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) {
      if (!image_.Holds(pfn, 0) || walk_.reached[pfn] || !OwnerIsValid(pfn, word)) return;
      const OwnerWord owner = UnpackOwner(word);
      if (owner.kind != static_cast<uint8_t>(FrameKind::kMetadata)) return;
      if (!AnchorIsWhole(image_, pfn, owner.object_id, ObjectKind::kStore)) return;
      WalkedObject store;
      store.id = store.tree_id = owner.object_id;
      store.anchor = pfn;
      store.name = fmt::format("lost+found-{}", store.id);
      stores.push_back(std::move(store));
    });
  }
  return stores;
}

bool TreeMender::Change(const WalkedObject& object, RecordType type, std::string_view key,
                        std::string_view value) {
  NodeSite site;
  site.place = OffsetOf(object.anchor) + offsetof(Anchor, root);
  site.object_id = object.tree_id;
  uint64_t word = 0;
  for (uint64_t next = Load64(image_.base() + site.place); next != 0;) {
    NodeView node;
    word = next;
    if (ExamineWord(image_, site, word, &node)) return false;
    if (node.is_leaf()) break;
    const size_t i = node.ChildIndex(key);
    site.place = node.ChildPlace(i);
    site.level = static_cast<int>(node.level()) - 1;
    if (i > 0) {
      site.low.clear();
      node.AppendSeparator(i - 1, &site.low);
    }
    if (i + 1 < node.count()) node.AppendSeparator(i, &site.high.emplace());
    next = node.ChildWord(i);
  }
  std::vector<std::byte> bytes(RecordBytes(key.size(), value.size()));
  RecordView record;
  EncodeRecord(bytes.data(), key, value, PackSequence(next_number_++, type), 0);
  if (!ParseRecord(bytes.data(), 0, bytes.size(), &record)) return false;
  taken_.erase(ChildPfn(word));  // its frames may be used again
  const uint64_t next =
      WriteLeafFrom(object.tree_id, site.low, site.high, {word, word != 0}, &record);
  if (next == 0) return false;
  Free({word, word != 0}, object.tree_id, next);
  WriteWindow window(image_.domain());
  window.Store64(site.place, next);
  return true;
}

}  // namespace tuff
