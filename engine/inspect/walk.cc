#include "engine/inspect/walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "engine/graveyard.h"
#include "engine/inspect/decode.h"

namespace tuff::inspect {

bool FrameSet::Insert(Pfn pfn) {
  std::unique_ptr<Section>& section = sections_[SectionOf(pfn)];
  if (!section) section = std::make_unique<Section>();
  const uint64_t i = pfn & (kSectionFrames - 1);
  const uint64_t bit = 1ull << (i % 64);
  if (((*section)[i / 64] & bit) != 0) return false;
  (*section)[i / 64] |= bit;
  return true;
}

void NodeCopy::Take(const PoolImage& image, Pfn pfn, unsigned order) {
  words_.resize((kFrameSize << order) / 8);
  std::memcpy(words_.data(), image.base() + OffsetOf(pfn), kFrameSize << order);
  view_ = NodeView(reinterpret_cast<const std::byte*>(words_.data()), pfn, order);
}

namespace {

// How large the node at `pfn` is: as its header says or, if that cannot be, its owner word.
unsigned OrderAt(const PoolImage& image, Pfn pfn) {
  const unsigned order = image.NodeAt(pfn, 0).header().order;
  if (order <= kNodeOrderMax && image.Holds(pfn, order)) return order;
  const uint64_t word = image.OwnerWordAt(pfn);
  const unsigned owned = UnpackOwner(word).order;
  const bool believed = OwnerIsValid(pfn, word) && owned <= kNodeOrderMax;
  return believed && image.Holds(pfn, owned) ? owned : 0;
}

Status Damage(Pfn pfn, const std::string& reason) {
  return Status(Code::kCorruption, fmt::format("pfn {}: {}", pfn, reason));
}

}  // namespace

Status ReadNode(const PoolImage& image, uint32_t object_id, uint64_t word, int level,
                NodeCopy* copy) {
  const Pfn pfn = ChildPfn(word);
  if (!image.Holds(pfn, 0)) {
    return Damage(pfn,
                  fmt::format("object {} refers to a frame outside the pool's data", object_id));
  }
  copy->Take(image, pfn, OrderAt(image, pfn));
  const NodeView& node = copy->view();
  if (Status s = VerifyNode(node, image.hash_seed(), object_id); !s.ok()) {
    // Without the advice at the end.
    return Status(s.code(), std::string(s.message().substr(0, s.message().find(';'))));
  }
  if (!ChildTagMatches(word, node.number())) {
    return Damage(pfn, "child word and node number do not match");
  }
  if (level >= 0 && node.level() != static_cast<unsigned>(level)) {
    return Damage(pfn, fmt::format("node is on level {}, not {}", node.level(), level));
  }
  // Owner words and child words of one change come to the medium in any order.
  if (AtRest(image) &&
      image.OwnerWordAt(pfn) != PackOwner(pfn, FrameKind::kTreeNode, node.order(), object_id)) {
    return Damage(pfn, fmt::format("owner word says: {}", OwnerText(pfn, image.OwnerWordAt(pfn))));
  }
  return Status();
}

uint64_t RootWord(const PoolImage& image, const TreeRef& tree) {
  const Pfn anchor = tree.object.anchor;
  if (anchor != kCatalogueAnchorPfn && !image.Holds(anchor, 0)) return 0;
  return Load64(image.base() + OffsetOf(anchor) + offsetof(Anchor, root));
}

void TreeWalk::Run(const Use& use) {
  const uint64_t root = RootWord(image_, tree_);
  if (root != 0) Visit(root, -1, tree_.object.anchor, 0, 0, use);
}

void TreeWalk::Visit(uint64_t word, int level, Pfn parent, size_t index, unsigned depth,
                     const Use& use) {
  NodeCopy& copy = copies_[depth];
  copy = NodeCopy();
  Stop stop{word, parent, index, depth, nullptr, {}};
  stop.status = ReadNode(image_, tree_.tree_object_id, word, level, &copy);
  if (copy.view().data() != nullptr) stop.node = &copy.view();
  if (stop.status.ok() && !seen_.Insert(copy.view().pfn())) {
    stop.status = Damage(copy.view().pfn(), "referred to twice");
  }
  const bool inner = stop.status.ok() && !copy.view().is_leaf();
  if (!use(stop) || !inner) return;
  // Levels go down by one, so that this ends.
  const NodeView& node = copy.view();
  for (size_t i = tree_.in_graveyard ? FirstChildLeft(node) : 0; i < node.count(); i++) {
    Visit(node.ChildWord(i), static_cast<int>(node.level()) - 1, node.pfn(), i, depth + 1, use);
  }
}

LeafLog ReadLog(const NodeView& leaf, uint64_t hash_seed) {
  LeafLog log;
  log.end = WalkLog(leaf, hash_seed, SIZE_MAX, &log.entries);
  // A group is there as a whole or not at all.
  std::erase_if(log.entries,
                [&](const LogRecord& entry) { return entry.record.offset >= log.end; });
  size_t at = leaf.base_end();
  for (const LogRecord& entry : log.entries) {
    log.groups += entry.record.offset == at + kGroupBytes ? 1 : 0;
    at = entry.record.offset + entry.record.bytes;
  }
  log.zeros_behind = IsZeroFrom(leaf, log.end);
  log.valid_behind = !log.zeros_behind && ValidRecordBehind(leaf, hash_seed, log.end);
  return log;
}

std::string LogDamage(const PoolImage& image, const NodeView& leaf, const LeafLog& log) {
  if (log.zeros_behind) return "";
  const uint64_t state = image.superblock().state;
  const bool crashed = image.guessed() || image.in_use() || (state & kStateClean) == 0 ||
                       (state & kStateCrashedSinceScrub) != 0;
  if (crashed && !log.valid_behind) return "";
  return fmt::format("pfn {}: log is damaged at byte {} of the node", leaf.pfn(), log.end);
}

std::map<std::string, std::string> LeafContents(const NodeView& leaf, uint64_t hash_seed) {
  std::map<std::string, std::string> contents;
  for (size_t i = 0; i < leaf.count(); i++) {
    RecordView record;
    const size_t at = leaf.RecordOffset(i);
    if (!ReadRecord(leaf.data(), at, leaf.base_end(), RecordSeed(hash_seed, leaf.number(), at),
                    &record)) {
      continue;
    }
    if (record.type() == RecordType::kPut) contents[std::string(record.key)] = record.value;
  }
  for (const LogRecord& entry : ReadLog(leaf, hash_seed).entries) {
    if (entry.record.type() == RecordType::kPut) {
      contents[std::string(entry.record.key)] = entry.record.value;
    } else {
      contents.erase(std::string(entry.record.key));
    }
  }
  return contents;
}

namespace {

// Calls use(key, value) for each record of a tree.
template <typename Use>
void ForEachRecord(const PoolImage& image, const TreeRef& tree, std::vector<std::string>* damage,
                   const Use& use) {
  TreeWalk(image, tree).Run([&](const TreeWalk::Stop& stop) {
    if (!stop.status.ok()) {
      damage->push_back(fmt::format("{}: {}", tree.object.name, stop.status.message()));
      return false;
    }
    if (!stop.node->is_leaf()) return true;
    const std::string bad = LogDamage(image, *stop.node, ReadLog(*stop.node, image.hash_seed()));
    if (!bad.empty()) damage->push_back(fmt::format("{}: {}", tree.object.name, bad));
    for (const auto& [key, value] : LeafContents(*stop.node, image.hash_seed())) use(key, value);
    return false;
  });
}

TreeRef Whole(ObjectInfo object) {
  TreeRef tree;
  tree.tree_object_id = object.id;
  tree.object = std::move(object);
  return tree;
}

}  // namespace

std::vector<TreeRef> ListTrees(const PoolImage& image, std::vector<std::string>* damage) {
  std::vector<TreeRef> trees;
  trees.push_back(
      Whole({"/catalogue", kCatalogueObjectId, ObjectKind::kCatalogue, kCatalogueAnchorPfn}));
  const TreeRef catalogue = trees.front();
  ForEachRecord(image, catalogue, damage, [&](const std::string& key, const std::string& value) {
    ObjectInfo object;
    if (ParseCatalogueRecord(key, value, &object)) {
      trees.push_back(Whole(std::move(object)));
    } else {
      damage->push_back("/catalogue: a record is malformed");
    }
  });
  for (size_t i = 0, n = trees.size(); i < n; i++) {
    if (trees[i].object.kind != ObjectKind::kGraveyard) continue;
    const TreeRef graveyard = trees[i];
    ForEachRecord(image, graveyard, damage, [&](const std::string& key, const std::string& value) {
      TreeRef tree;
      GraveyardEntry entry;
      if (!ParseGraveyardRecord(key, value, &tree.object.id, &entry)) {
        damage->push_back("/graveyard: a record is malformed");
        return;
      }
      tree.object.name = fmt::format("/{}", tree.object.id);
      tree.object.kind = static_cast<ObjectKind>(entry.kind);
      tree.object.anchor = entry.anchor_pfn;
      tree.tree_object_id = entry.tree_object_id;
      tree.in_graveyard = true;
      trees.push_back(std::move(tree));
    });
  }
  return trees;
}

namespace {

// An anchor that the catalogue does not name, or no longer.
Result<TreeRef> FindLostTree(const PoolImage& image, uint32_t id) {
  TreeRef tree;
  for (uint64_t section = 0; section < SectionsOf(image.frames()); section++) {
    image.ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) {
      if (word != PackOwner(pfn, FrameKind::kMetadata, 0, id) || !image.Holds(pfn, 0)) return;
      Anchor anchor;
      std::memcpy(&anchor, image.base() + OffsetOf(pfn), sizeof anchor);
      tree = Whole({fmt::format("/{}", id), id, static_cast<ObjectKind>(anchor.kind), pfn});
    });
  }
  if (tree.object.anchor == 0) {
    return Status(Code::kNotFound, fmt::format("{}: no object {}", image.path(), id));
  }
  return tree;
}

}  // namespace

Result<TreeRef> FindTree(const PoolImage& image, const std::string& name,
                         std::vector<std::string>* damage) {
  uint32_t id = 0;
  bool by_id = name.size() > 1 && name[0] == '/';
  if (by_id) {
    const char* const end = name.data() + name.size();
    const auto [parsed_to, error] = std::from_chars(name.data() + 1, end, id);
    by_id = error == std::errc() && parsed_to == end;
  }
  std::vector<std::string> found_bad;
  for (TreeRef& tree : ListTrees(image, &found_bad)) {
    const bool is_wanted = by_id ? tree.object.id == id : tree.object.name == name;
    if (is_wanted) return std::move(tree);
  }
  damage->insert(damage->end(), found_bad.begin(), found_bad.end());
  if (by_id) return FindLostTree(image, id);
  return Status(Code::kNotFound, fmt::format("{}: no store '{}'", image.path(), name));
}

}  // namespace tuff::inspect
