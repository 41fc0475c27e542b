#include "engine/check.h"

#include <fmt/format.h>

#include <optional>

#include "engine/cursor.h"
#include "engine/graveyard.h"
#include "pagemap/rcu.h"

namespace tuff {
namespace {

void Report(CheckReport* report, std::string problem) {
  report->problems.push_back(std::move(problem));
}

// Marks a run as reached; a frame reached twice is a problem.
void Reach(PageMap& map, Pfn pfn, uint64_t owner, std::vector<bool>* reached, CheckReport* report) {
  const uint64_t found = map.memmap().OwnerWordAt(pfn);
  if (found != owner) {
    Report(report, fmt::format("I4: pfn {}: owner word {:#x}, expected {:#x}", pfn, found, owner));
  }
  const uint64_t frames = 1ull << UnpackOwner(owner).order;
  for (uint64_t i = 0; i < frames; i++) {
    if ((*reached)[pfn + i]) {
      Report(report, fmt::format("I4: pfn {}: referred to twice", pfn + i));
      return;
    }
    (*reached)[pfn + i] = true;
  }
}

class TreeWalk {
 public:
  TreeWalk(Tree& tree, bool in_graveyard, std::vector<bool>* reached, CheckReport* report)
      : tree_(tree),
        map_(tree.map()),
        in_graveyard_(in_graveyard),
        reached_(reached),
        report_(report) {}

  void Walk(uint64_t word, int level, const std::string& low,
            const std::optional<std::string>& high) {
    NodeView node;
    if (Status s = Visit(word, level, &node); !s.ok()) {
      Report(report_, s.ToString());
      ReachDamaged(ChildPfn(word));
      return;
    }
    const size_t problems = report_->problems.size();
    Reach(map_, node.pfn(),
          PackOwner(node.pfn(), FrameKind::kTreeNode, node.order(), tree_.object_id()), reached_,
          report_);
    if (report_->problems.size() != problems) return;  // or a cycle would never end
    report_->nodes++;
    report_->order_max = std::max(report_->order_max, node.order());
    if (level < 0) report_->depth_max = std::max(report_->depth_max, node.level() + 1);
    // The right edge of a tree that is being built has no end yet.
    if (in_graveyard_) {
      if (!node.is_leaf()) WalkChildren(node, high);
      return;
    }
    if (node.low() != low || node.has_high() != high.has_value() ||
        (high && node.high() != *high)) {
      Report(report_,
             fmt::format("T1: pfn {}: fence keys differ from the parent's separators", node.pfn()));
    }
    if (node.is_leaf()) {
      WalkLeaf(node);
    } else {
      WalkChildren(node, high);
    }
  }

 private:
  Status Visit(uint64_t word, int level, NodeView* node) {
    {
      RcuReadSection section;
      if (Status s = tree_.Visit(word, level, node); !s.ok()) return s;
    }
    // Again and whole, whatever is known of it since the mount.
    return VerifyNode(*node, map_.hash_seed(), tree_.object_id());
  }

  // It is not leaked; what it leads to may seem so.
  void ReachDamaged(Pfn pfn) {
    if (!map_.RunInPool(pfn, 0)) return;
    const uint64_t owner = map_.memmap().OwnerWordAt(pfn);
    if (OwnerIsValid(pfn, owner) && UnpackOwner(owner).object_id == tree_.object_id()) {
      (*reached_)[pfn] = true;
    }
  }

  void WalkLeaf(const NodeView& node) {
    Leaf leaf(map_, node);
    leaf.head().latch.Lock();
    Status s = leaf.BuildTail();
    std::vector<RecordView> records;
    if (s.ok()) s = leaf.Gather(leaf.tail_count(), &records);
    leaf.head().latch.Unlock();
    if (!s.ok()) Report(report_, s.ToString());
    report_->records += records.size();
    for (const RecordView& record : records) {
      if (node.Covers(record.key)) continue;
      Report(report_, fmt::format("T2: pfn {}: record outside the leaf's range", node.pfn()));
    }
  }

  void WalkChildren(const NodeView& node, const std::optional<std::string>& high) {
    std::string low(node.low());
    for (size_t i = in_graveyard_ ? FirstChildLeft(node) : 0; i < node.count(); i++) {
      std::optional<std::string> child_high = high;
      if (i + 1 < node.count()) {
        child_high.emplace();
        node.AppendSeparator(i, &*child_high);
      }
      Walk(node.ChildWord(i), static_cast<int>(node.level()) - 1, low, child_high);
      if (child_high) low = *child_high;
    }
  }

  Tree& tree_;
  PageMap& map_;
  const bool in_graveyard_;
  std::vector<bool>* reached_;
  CheckReport* report_;
};

void CheckFrameTable(PageMap& map, const std::vector<bool>& reached, CheckReport* report) {
  for (Pfn pfn = 0; pfn < map.frames();) {
    if (pfn % kSectionFrames == 0) map.memmap().PrepareSection(SectionOf(pfn));
    const uint64_t word = map.memmap().OwnerWordAt(pfn);
    if (IsReserved(pfn) || word == 0) {
      if (word != 0) Report(report, fmt::format("pfn {}: reserved frame has an owner", pfn));
      pfn++;
      continue;
    }
    if (!OwnerIsValid(pfn, word)) {
      Report(report, fmt::format("pfn {}: damaged owner word {:#x}", pfn, word));
      pfn++;
      continue;
    }
    const OwnerWord owner = UnpackOwner(word);
    const uint64_t frames = 1ull << owner.order;
    report->frames_in_use += frames;
    if (!reached[pfn] && owner.kind != static_cast<uint8_t>(FrameKind::kQuarantined)) {
      Report(report, fmt::format("I4: pfn {}: leaked: {} frames of object {}, kind {}", pfn, frames,
                                 owner.object_id, owner.kind));
    }
    for (uint64_t i = 1; i < frames; i++) {
      if (map.memmap().OwnerWordAt(pfn + i) == 0) continue;
      Report(report, fmt::format("pfn {}: owner word inside the run at {}", pfn + i, pfn));
    }
    pfn += frames;
  }
}

}  // namespace

std::string CheckReport::ToString() const {
  std::string text = fmt::format("{} nodes, {} records, {} frames in use, depth {}, {} problems\n",
                                 nodes, records, frames_in_use, depth_max, problems.size());
  for (const std::string& problem : problems) text += "  " + problem + "\n";
  return text;
}

void CheckTree(Tree& tree, bool in_graveyard, std::vector<bool>* reached, CheckReport* report) {
  const uint64_t root = tree.root_word();
  if (root != 0) TreeWalk(tree, in_graveyard, reached, report).Walk(root, -1, "", std::nullopt);
}

namespace {

// An object's anchor. False: it cannot be believed.
bool CheckAnchor(PageMap& map, Catalogue& catalogue, Pfn anchor, uint32_t id, ObjectKind kind,
                 std::vector<bool>* reached, CheckReport* report) {
  auto read = catalogue.ReadAnchor(anchor, id, kind);
  if (!read.ok()) {
    Report(report, read.status().ToString());
    return false;
  }
  Reach(map, anchor, PackOwner(anchor, FrameKind::kMetadata, 0, id), reached, report);
  return true;
}

// What the graveyard's records lead to.
void CheckBuried(PageMap& map, Catalogue& catalogue, Tree& graveyard, std::vector<bool>* reached,
                 CheckReport* report) {
  Cursor cursor(graveyard, {});
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
    uint32_t id = 0;
    GraveyardEntry entry;
    if (!ParseGraveyardRecord(cursor.key(), cursor.value(), &id, &entry)) {
      Report(report, "a graveyard record is malformed");
      continue;
    }
    const auto kind = static_cast<ObjectKind>(entry.kind);
    if (!CheckAnchor(map, catalogue, entry.anchor_pfn, id, kind, reached, report)) continue;
    Tree tree(map, entry.tree_object_id, entry.anchor_pfn);
    CheckTree(tree, true, reached, report);
    report->buried++;
  }
  if (!cursor.status().ok()) Report(report, cursor.status().ToString());
}

}  // namespace

CheckReport CheckPool(PageMap& map, Catalogue& catalogue) {
  map.domain().AdmitThread();
  CheckReport report;
  std::vector<bool> reached(map.frames());
  for (unsigned lane = 0; lane < kLanes; lane++) {
    if (Load64(map.base() + OffsetOf(kLanesPfn + lane)) == 0) continue;
    Report(&report, fmt::format("I5: lane {} is not empty", lane));
  }
  CheckTree(catalogue.tree(), false, &reached, &report);
  Cursor cursor(catalogue.tree(), {});
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
    ObjectInfo info;
    if (!ParseCatalogueRecord(cursor.key(), cursor.value(), &info)) {
      Report(&report, "a catalogue record is malformed");
      continue;
    }
    if (!CheckAnchor(map, catalogue, info.anchor, info.id, info.kind, &reached, &report)) continue;
    Tree tree(map, info.id, info.anchor);
    CheckTree(tree, false, &reached, &report);
    if (info.kind != ObjectKind::kGraveyard) continue;
    CheckBuried(map, catalogue, tree, &reached, &report);
  }
  if (!cursor.status().ok()) Report(&report, cursor.status().ToString());
  CheckFrameTable(map, reached, &report);
  return report;
}

}  // namespace tuff
