#include "engine/repair/pool_walk.h"

#include <fmt/format.h>

#include <cstring>
#include <set>

#include "engine/graveyard.h"

namespace tuff {
namespace {

constexpr uint64_t kNodesPerProgress = 256;

class PoolWalker {
 public:
  PoolWalker(const PoolImage& image, const Superblock& superblock, const FsckOptions& options,
             FsckReport* report, const ProblemSink& sink)
      : image_(image),
        options_(options),
        report_(report),
        sink_(sink),
        may_be_torn_((superblock.state & kStateClean) == 0 ||
                     (superblock.state & kStateCrashedSinceScrub) != 0) {
    result_.reached.resize(image.frames());
    result_.heads.resize(image.frames());
  }

  PoolWalkResult Walk() {
    WalkedObject catalogue;
    catalogue.id = catalogue.tree_id = kCatalogueObjectId;
    catalogue.kind = ObjectKind::kCatalogue;
    catalogue.anchor = kCatalogueAnchorPfn;
    WalkObject(catalogue);
    // What is found on the way is walked in turn: the graveyard and what it holds, then the stores.
    while (!found_.empty() && !result_.cancelled) {
      const WalkedObject next = std::move(found_.back());
      found_.pop_back();
      WalkObject(next);
    }
    return std::move(result_);
  }

 private:
  void Tell(ProblemCode code, Pfn pfn, uint32_t object_id, std::string text) {
    Problem problem{};
    problem.code = code;
    problem.pfn = pfn;
    problem.object_id = object_id;
    problem.text = std::move(text);
    sink_(std::move(problem));
  }

  void WalkObject(const WalkedObject& object) {
    if (!object.buried && buried_anchors_.contains(object.anchor)) {
      Tell(ProblemCode::kDroppedStore, object.anchor, object.id,
           fmt::format("store {} was dropped, and is still in the catalogue", object.id));
      result_.dropped.push_back(object.id);
      return;
    }
    // What a bulk load has replaced has its store's id; the store comes later.
    if (object.buried) {
      result_.objects.emplace(object.tree_id, object);
    } else {
      result_.objects[object.tree_id] = object;
    }
    result_.object_id_max = std::max({result_.object_id_max, object.id, object.tree_id});
    if (!AnchorIsWhole(image_, object.anchor, object.id, object.kind)) {
      Tell(ProblemCode::kAnchorDamaged, object.anchor, object.id,
           fmt::format("pfn {}: the anchor of object {} is damaged", object.anchor, object.id));
      result_.broken_anchors.push_back(object);
      result_.tree_is_damaged[object.tree_id] = true;
      if (image_.Holds(object.anchor, 0)) {
        result_.reached[object.anchor] = result_.heads[object.anchor] = true;
      }
      return;
    }
    if (object.anchor != kCatalogueAnchorPfn) {
      const uint64_t owner = PackOwner(object.anchor, FrameKind::kMetadata, 0, object.id);
      if (!Reach(object.anchor, 0, owner, object.id)) return;
    }
    if (object.kind == ObjectKind::kStore && !object.buried) report_->stores++;
    NodeSite root;
    root.place = OffsetOf(object.anchor) + offsetof(Anchor, root);
    root.object_id = object.tree_id;
    root.buried = object.buried;
    object_ = &object;
    if (Load64(image_.base() + root.place) != 0) Visit(root);
  }

  // False: a frame of the run is referred to already.
  bool Reach(Pfn pfn, unsigned order, uint64_t owner, uint32_t object_id) {
    for (Pfn at = pfn; at < pfn + (1ull << order); at++) {
      if (!result_.reached[at]) continue;
      Tell(ProblemCode::kReferredTwice, at, object_id,
           fmt::format("I4: pfn {}: referred to twice", at));
      return false;
    }
    for (Pfn at = pfn; at < pfn + (1ull << order); at++) result_.reached[at] = true;
    result_.heads[pfn] = true;
    report_->frames_in_use += 1ull << order;
    const uint64_t found = image_.OwnerWordAt(pfn);
    if (found != owner) {
      const bool damaged = found != 0 && !OwnerIsValid(pfn, found);
      Tell(damaged ? ProblemCode::kOwnerDamaged : ProblemCode::kOwnerWrong, pfn, object_id,
           fmt::format("I4: pfn {}: owner word {:#x}, expected {:#x}", pfn, found, owner));
      result_.owners.emplace_back(pfn, owner);
    }
    return true;
  }

  void Break(const NodeSite& site) {
    result_.tree_is_damaged[site.object_id] = true;
    result_.broken.push_back(site);
  }

  bool KeepOn() {
    if (report_->nodes++ % kNodesPerProgress == 0 && options_.progress &&
        !options_.progress(report_->nodes)) {
      result_.cancelled = true;
    }
    return !result_.cancelled;
  }

  void Visit(const NodeSite& site) {
    if (!KeepOn()) return;
    NodeView node;
    if (auto problem = ExamineWord(image_, site, Load64(image_.base() + site.place), &node)) {
      Problem found = std::move(*problem);
      if (!site.buried) found.keys = KeyRange{site.low, site.high};
      sink_(std::move(found));
      return Break(site);
    }
    const uint64_t owner =
        PackOwner(node.pfn(), FrameKind::kTreeNode, node.order(), site.object_id);
    if (!Reach(node.pfn(), node.order(), owner, site.object_id)) {
      NodeSite second = site;
      second.twice = true;
      return Break(second);
    }
    result_.number_max = std::max({result_.number_max, node.number(), node.header().sequence_max});
    if (node.is_leaf()) {
      if (!site.buried) VisitLeaf(site, node);
      return;
    }
    std::string low(node.low());
    for (size_t i = site.buried ? FirstChildLeft(node) : 0; i < node.count(); i++) {
      NodeSite child;
      child.place = node.ChildPlace(i);
      child.level = static_cast<int>(node.level()) - 1;
      child.object_id = site.object_id;
      child.buried = site.buried;
      child.low = low;
      child.high = site.high;
      if (i + 1 < node.count()) node.AppendSeparator(i, &child.high.emplace());
      if (child.high) low = *child.high;
      Visit(child);
    }
  }

  void VisitLeaf(const NodeSite& site, const NodeView& node) {
    LeafContents leaf = ReadLeaf(node, image_.hash_seed(), may_be_torn_);
    for (const RecordView& record : leaf.records) {
      result_.number_max = std::max(result_.number_max, SequenceOf(record.sequence_and_type));
    }
    const std::vector<RecordView> newest = NewestOf(std::move(leaf.records), site.low, site.high);
    if (object_->kind == ObjectKind::kStore) report_->records += newest.size();
    if (leaf.torn_at != 0) {
      result_.torn.emplace_back(OffsetOf(node.pfn()) + leaf.torn_at, node.bytes() - leaf.torn_at);
    }
    for (Problem& problem : leaf.problems) {
      problem.pfn = node.pfn();
      problem.object_id = site.object_id;
      problem.text = fmt::format("pfn {}: {}", node.pfn(), problem.text);
      problem.keys = KeyRange{site.low, site.high};
      sink_(std::move(problem));
    }
    bool malformed = false;
    if (object_->kind == ObjectKind::kCatalogue || object_->kind == ObjectKind::kGraveyard) {
      for (const RecordView& record : newest) malformed |= !Name(record, node.pfn());
    }
    if (!leaf.problems.empty() || malformed) Break(site);
  }

  // Notes the object that a record of the catalogue or the graveyard names.
  bool Name(const RecordView& record, Pfn pfn) {
    WalkedObject object;
    if (!ReadObjectRecord(image_, object_->kind, record, &object)) {
      const bool grave = object_->kind == ObjectKind::kGraveyard;
      Tell(grave ? ProblemCode::kGraveyardRecord : ProblemCode::kCatalogueRecord, pfn, object_->id,
           fmt::format("pfn {}: a {} record is malformed, or leads to no object", pfn,
                       grave ? "graveyard" : "catalogue"));
      return false;
    }
    result_.graveyard_in_use |= object.buried;
    // The graveyard comes first: what it holds is no store any more.
    const bool first = object.kind == ObjectKind::kGraveyard || object.buried;
    if (object.buried) buried_anchors_.insert(object.anchor);
    found_.insert(first ? found_.end() : found_.begin(), std::move(object));
    return true;
  }

  const PoolImage& image_;
  const FsckOptions& options_;
  FsckReport* const report_;
  const ProblemSink& sink_;
  const bool may_be_torn_;
  PoolWalkResult result_;
  const WalkedObject* object_ = nullptr;
  std::vector<WalkedObject> found_;
  std::set<Pfn> buried_anchors_;
};

}  // namespace

PoolWalkResult WalkPool(const PoolImage& image, const Superblock& superblock,
                        const FsckOptions& options, FsckReport* report, const ProblemSink& sink) {
  return PoolWalker(image, superblock, options, report, sink).Walk();
}

}  // namespace tuff
