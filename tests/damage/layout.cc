#include "tests/damage/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "engine/object_format.h"
#include "engine/record.h"
#include "pagemap/checksum.h"
#include "pagemap/frame_format.h"
#include "pagemap/lane_format.h"
#include "pagemap/superblock_format.h"

namespace tuff::test {
namespace {

constexpr std::array<const char*, kKinds> kNames = {
    "superblock", "lane",       "redo chunk", "owner word", "anchor",      "anchor words",
    "catalogue",  "graveyard",  "inner node", "child word", "leaf header", "leaf tables",
    "leaf base",  "log record", "log delete", "log group",  "log's end",   "free, memmap"};

class Reader {
 public:
  Reader(const SparseImage& image, const std::map<uint32_t, std::string>& stores)
      : bytes_(image.bytes()), stores_(stores) {
    for (const auto& [pfn, frame] : image.frames()) {
      std::memcpy(bytes_.data() + OffsetOf(pfn), frame->data(), kFrameSize);
    }
    std::memcpy(&superblock_, bytes_.data(), sizeof superblock_);
  }

  Layout Read() {
    AddTables();
    for (Pfn pfn = 0; pfn < superblock_.frames;) {
      const uint64_t word = IsReserved(pfn) ? 0 : Word(OwnerWordOffset(pfn));
      if (word == 0) {
        if (!IsReserved(pfn)) free_.push_back(pfn);
        pfn++;
        continue;
      }
      const OwnerWord owner = UnpackOwner(word);
      if (owner.kind == static_cast<uint8_t>(FrameKind::kTreeNode)) {
        nodes_.emplace(pfn, NodeView(bytes_.data() + OffsetOf(pfn), pfn));
      } else {
        anchors_.emplace(pfn, owner.object_id);
      }
      pfn += 1ull << owner.order;
    }
    anchors_.emplace(kCatalogueAnchorPfn, kCatalogueObjectId);
    for (const auto& [pfn, node] : nodes_) {
      if (node.is_leaf() && IsStore(node)) AddLeaf(node);
    }
    beyond_ = static_cast<uint32_t>(layout_.leaves.size());
    for (const auto& [pfn, object] : anchors_) AddAnchor(pfn, object);
    for (const auto& [pfn, node] : nodes_) AddNode(node);
    AddFree();
    return std::move(layout_);
  }

 private:
  uint64_t Word(uint64_t offset) const {
    uint64_t word = 0;
    std::memcpy(&word, bytes_.data() + offset, sizeof word);
    return word;
  }
  bool IsStore(const NodeView& node) const { return stores_.contains(node.header().object_id); }

  Target& Add(std::string name) {
    layout_.targets.emplace_back();
    layout_.targets.back().name = std::move(name);
    return layout_.targets.back();
  }
  static void AddRegion(Target& target, uint64_t from, uint64_t to, Kind kind) {
    if (from < to) target.regions.push_back({from, to, kind});
  }

  void AddTables() {
    for (const Pfn pfn : {kSuperblockPfn, kMirrorPfn}) {
      Target& target = Add(fmt::format("superblock {}", pfn));
      target.alone = true;
      const uint64_t reserved = OffsetOf(pfn) + offsetof(Superblock, reserved);
      AddRegion(target, OffsetOf(pfn), reserved, Kind::kSuperblock);
      AddRegion(target, reserved, OffsetOf(pfn) + sizeof(Superblock), Kind::kSuperblock);
    }
    for (unsigned lane = 0; lane < kLanes; lane++) {
      const uint64_t at = OffsetOf(kLanesPfn + lane);
      LaneEntry entry;
      std::memcpy(&entry, bytes_.data() + at, sizeof entry);
      const bool live = entry.state != 0;
      if (!live && lane % 16 != 15) continue;
      Target& target = Add(fmt::format("lane {}", lane));
      target.alone = true;
      size_t bytes = live ? sizeof entry + sizeof(LaneRun) * (entry.new_runs + entry.old_runs) : 8;
      const bool redo = live && entry.decider == static_cast<uint16_t>(LaneDecider::kRedo);
      if (live && !redo) layout_.deciders.push_back(entry.place);
      if (redo && entry.place == 0) bytes += entry.new_value;
      AddRegion(target, at, at + bytes, Kind::kLane);
      for (uint64_t chunk = redo ? entry.place : 0; chunk != 0;) {
        RedoChunk head;
        std::memcpy(&head, bytes_.data() + chunk, sizeof head);
        AddRegion(target, chunk, chunk + sizeof head + head.bytes, Kind::kRedoChunk);
        chunk = head.next;
      }
    }
  }

  // The leaves at and below a node.
  void Collect(uint64_t word, std::vector<uint32_t>* scope) const {
    const auto at = nodes_.find(ChildPfn(word));
    if (at == nodes_.end()) return;
    const NodeView& node = at->second;
    if (node.is_leaf()) {
      if (const auto leaf = leaf_at_.find(node.pfn()); leaf != leaf_at_.end()) {
        scope->push_back(leaf->second);
      }
      return;
    }
    for (size_t i = 0; i < node.count(); i++) Collect(node.ChildWord(i), scope);
  }

  void AddOwner(Target& target, Pfn pfn) {
    const uint64_t at = OwnerWordOffset(pfn);
    AddRegion(target, at, at + 8, Kind::kOwnerWord);
  }

  void AddAnchor(Pfn pfn, uint32_t object) {
    Target& target = Add(fmt::format("anchor {} of object {}", pfn, object));
    const uint64_t at = OffsetOf(pfn);
    target.alone = object == kCatalogueObjectId;
    Collect(Word(at + offsetof(Anchor, root)), &target.scope);
    if (target.scope.empty()) target.scope = {beyond_};
    AddRegion(target, at, at + offsetof(Anchor, root), Kind::kAnchor);
    AddRegion(target, at + offsetof(Anchor, root), at + sizeof(Anchor), Kind::kAnchorWords);
    if (!target.alone) AddOwner(target, pfn);
  }

  void AddNode(const NodeView& node) {
    const uint64_t at = OffsetOf(node.pfn());
    Target& target = Add(fmt::format("{} {}", node.is_leaf() ? "leaf" : "inner node", node.pfn()));
    AddOwner(target, node.pfn());
    if (!IsStore(node)) {
      const bool catalogue = node.header().object_id == kCatalogueObjectId;
      target.alone = catalogue;
      target.scope = {beyond_};
      AddRegion(target, at, at + kFrameSize, catalogue ? Kind::kCatalogue : Kind::kGraveyard);
      return;
    }
    Collect(node.child_word(), &target.scope);
    if (!node.is_leaf()) {
      const uint64_t words = at + node.base_end();
      AddRegion(target, at, words, Kind::kInner);
      AddRegion(target, words, words + 8 * node.count(), Kind::kChildWords);
      AddRegion(target, words + 8 * node.count(), words + 8 * node.count() + 64, Kind::kInner);
      return;
    }
    size_t tables = node.base_end();
    for (size_t i = 0; i < node.count(); i++) tables = std::min(tables, node.RecordOffset(i));
    AddRegion(target, at, at + sizeof(NodeHeader), Kind::kLeafHeader);
    AddRegion(target, at + sizeof(NodeHeader), at + tables, Kind::kLeafTables);
    AddRegion(target, at + tables, at + node.base_end(), Kind::kLeafBase);
    for (const Region& region : logs_[node.pfn()])
      AddRegion(target, region.from, region.to, region.kind);
  }

  // Its states, and the regions of its log.
  void AddLeaf(const NodeView& node) {
    LeafStates leaf;
    leaf.pfn = node.pfn();
    leaf.store = stores_.at(node.header().object_id);
    std::map<std::string, std::optional<std::string>> now;
    std::vector<decltype(now)> states;
    for (size_t i = 0; i < node.count(); i++) {
      RecordView record;
      if (node.BaseRecord(i, &record)) now[std::string(record.key)] = record.value;
    }
    states.push_back(now);
    const uint64_t start = OffsetOf(node.pfn());
    auto& regions = logs_[node.pfn()];
    size_t at = node.base_end();
    while (at < node.bytes()) {
      const uint64_t seed = RecordSeed(superblock_.hash_seed, node.number(), at);
      const size_t first = at;
      size_t group = 0;
      RecordView record;
      Kind kind = Kind::kLogRecord;
      if (FindGroup(node.data(), at, node.bytes(), seed, &group)) {
        kind = Kind::kLogGroup;
        at += kGroupBytes;
      } else if (group = 0; !ReadRecord(node.data(), at, node.bytes(), seed, &record)) {
        break;
      }
      do {
        if (!ParseRecord(node.data(), at, node.bytes(), &record)) break;
        const bool is_delete = record.type() == RecordType::kDelete;
        if (is_delete && group == 0) kind = Kind::kLogDelete;
        auto& value = now[std::string(record.key)];
        is_delete ? value.reset() : void(value = record.value);
        at += record.bytes;
      } while (at < first + kGroupBytes + group && group > 0);
      states.push_back(now);
      regions.push_back({start + first, start + at, kind});
    }
    regions.push_back({start + at, start + node.bytes(), Kind::kLogEnd});
    for (const auto& [key, value] : now) leaf.keys.push_back(key);
    for (const auto& state : states) {
      auto& values = leaf.states.emplace_back();
      for (const std::string& key : leaf.keys) {
        const auto found = state.find(key);
        values.push_back(found == state.end() ? std::nullopt : found->second);
      }
    }
    leaf_at_[node.pfn()] = static_cast<uint32_t>(layout_.leaves.size());
    layout_.leaves.push_back(std::move(leaf));
  }

  void AddFree() {
    Target& target = Add("what is nobody's");
    target.scope = {};
    for (size_t i = 0; i < free_.size(); i += free_.size() / 6 + 1) {
      const uint64_t at = OffsetOf(free_[i]);
      AddRegion(target, at, at + 64, Kind::kFree);
    }
    AddRegion(target, OffsetOf(kSuperblockPfn) + 512, OffsetOf(kSuperblockPfn) + 512 + 64,
              Kind::kFree);
    AddRegion(target, OffsetOf(5), OffsetOf(5) + 64, Kind::kFree);
    // An owner word of a free frame makes it unusable, and harms nothing else.
    Target& words = Add("owner words of free frames");
    for (size_t i = 0; i < free_.size(); i += free_.size() / 6 + 1) AddOwner(words, free_[i]);
  }

  std::vector<std::byte> bytes_;
  const std::map<uint32_t, std::string>& stores_;
  Superblock superblock_;
  std::map<Pfn, NodeView> nodes_;
  std::map<Pfn, uint32_t> anchors_;
  std::vector<Pfn> free_;
  std::map<Pfn, uint32_t> leaf_at_;
  std::map<Pfn, std::vector<Region>> logs_;
  uint32_t beyond_ = 0;  // stands for what is no leaf of a store
  Layout layout_;
};

}  // namespace

const char* KindName(Kind kind) { return kNames[static_cast<size_t>(kind)]; }

Layout ReadLayout(const SparseImage& image, const SparseImage& recovered,
                  const std::map<uint32_t, std::string>& stores) {
  Layout layout = Reader(recovered, stores).Read();
  // The lanes are live in the image only, and what they need of free frames is not to be damaged.
  std::erase_if(layout.targets, [](const Target& t) { return t.name.starts_with("lane "); });
  Layout live = Reader(image, stores).Read();
  layout.deciders = std::move(live.deciders);
  for (Target& target : live.targets) {
    if (!target.name.starts_with("lane ")) continue;
    for (Target& other : layout.targets) {
      std::erase_if(other.regions, [&](const Region& free) {
        return free.kind == Kind::kFree &&
               std::any_of(target.regions.begin(), target.regions.end(), [&](const Region& used) {
                 return used.from < free.to && free.from < used.to;
               });
      });
    }
    layout.targets.push_back(std::move(target));
  }
  return layout;
}

}  // namespace tuff::test
