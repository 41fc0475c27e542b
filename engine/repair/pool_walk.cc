#include "engine/repair/pool_walk.h"

#include <fmt/format.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>

#include "engine/graveyard.h"

namespace tuff {
namespace {

constexpr uint64_t kNodesPerProgress = 256;

// Subtrees for each thread, so that all have something to do to the end.
constexpr size_t kSubtreesPerThread = 64;

// What the threads of a walk share.
struct Shared {
  Shared(const PoolImage& of, const FsckOptions& wanted, bool torn)
      : image(of), options(wanted), may_be_torn(torn) {
    reached.Resize(of.frames());
    heads.Resize(of.frames());
  }
  const PoolImage& image;
  const FsckOptions& options;
  const bool may_be_torn;
  FrameSet reached;
  FrameSet heads;
  std::atomic<uint64_t> nodes{0};
  std::atomic<bool> cancelled{false};
  std::mutex mutex;  // calls of options.progress
};

class PoolWalker {
 public:
  PoolWalker(Shared* shared, FsckReport* report, const ProblemSink& sink)
      : shared_(*shared), image_(shared->image), report_(report), sink_(sink) {}

  PoolWalkResult Walk() {
    WalkedObject catalogue;
    catalogue.id = catalogue.tree_id = kCatalogueObjectId;
    catalogue.kind = ObjectKind::kCatalogue;
    catalogue.anchor = kCatalogueAnchorPfn;
    WalkObject(catalogue);
    // What is found on the way is walked in turn: the graveyard and what it holds, then the stores.
    while (!found_.empty() && !shared_.cancelled) {
      const WalkedObject next = std::move(found_.back());
      found_.pop_back();
      WalkObject(next);
    }
    result_.cancelled = shared_.cancelled;
    result_.reached = std::move(shared_.reached);
    result_.heads = std::move(shared_.heads);
    return std::move(result_);
  }

 private:
  // What a thread finds in one subtree.
  struct Part {
    PoolWalkResult result;
    FsckReport report;
    std::vector<Problem> problems;
  };

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
        shared_.reached.Add(object.anchor);
        shared_.heads.Add(object.anchor);
      }
      return;
    }
    if (object.anchor != kCatalogueAnchorPfn) {
      const uint64_t owner = PackOwner(object.anchor, FrameKind::kMetadata, 0, object.id);
      if (!Reach(object.anchor, 0, owner, object.id)) return;
    }
    if (object.kind == ObjectKind::kStore && !object.buried) report_->stores++;
    object_ = &object;
    std::vector<NodeSite> root(1);
    root[0].place = OffsetOf(object.anchor) + offsetof(Anchor, root);
    root[0].object_id = object.tree_id;
    root[0].buried = object.buried;
    if (Load64(image_.base() + root[0].place) == 0) return;
    const bool names_others =
        object.kind == ObjectKind::kCatalogue || object.kind == ObjectKind::kGraveyard;
    if (names_others) {
      Visit(root[0]);
    } else {
      VisitTogether(std::move(root));
    }
  }

  // The top of the tree by this thread, the subtrees below it by all.
  void VisitTogether(std::vector<NodeSite> subtrees) {
    const unsigned wanted = shared_.options.threads;
    const unsigned threads =
        wanted != 0 ? wanted : std::max(1u, std::thread::hardware_concurrency());
    for (bool deeper = threads > 1; deeper && subtrees.size() < threads * kSubtreesPerThread;) {
      std::vector<NodeSite> below;
      deeper = false;
      for (const NodeSite& site : subtrees) {
        if (site.level == 0) {
          below.push_back(site);
        } else {
          VisitNode(site, &below);
          deeper = true;
        }
      }
      subtrees = std::move(below);
    }
    std::vector<Part> parts(subtrees.size());
    std::atomic<size_t> next{0};
    const auto work = [&] {
      for (size_t i; (i = next.fetch_add(1)) < subtrees.size();) {
        const ProblemSink keep = [&](Problem problem) {
          if (parts[i].problems.size() <= kProblemsMax) {
            parts[i].problems.push_back(std::move(problem));
          }
        };
        PoolWalker walker(&shared_, &parts[i].report, keep);
        walker.object_ = object_;
        walker.Visit(subtrees[i]);
        parts[i].result = std::move(walker.result_);
      }
    };
    std::vector<std::thread> helpers;
    for (unsigned i = 1; i < threads && i < subtrees.size(); i++) helpers.emplace_back(work);
    work();
    for (std::thread& helper : helpers) helper.join();
    for (Part& part : parts) Take(&part);
  }

  void Take(Part* part) {
    for (Problem& problem : part->problems) sink_(std::move(problem));
    report_->nodes += part->report.nodes;
    report_->records += part->report.records;
    report_->frames_in_use += part->report.frames_in_use;
    PoolWalkResult& from = part->result;
    const auto append = [](auto* to, auto& some) {
      to->insert(to->end(), std::make_move_iterator(some.begin()),
                 std::make_move_iterator(some.end()));
    };
    append(&result_.broken, from.broken);
    append(&result_.owners, from.owners);
    append(&result_.torn, from.torn);
    for (const auto& [id, damaged] : from.tree_is_damaged) result_.tree_is_damaged[id] |= damaged;
    result_.number_max = std::max(result_.number_max, from.number_max);
  }

  // False: a frame of the run is referred to already.
  bool Reach(Pfn pfn, unsigned order, uint64_t owner, uint32_t object_id) {
    for (Pfn at = pfn; at < pfn + (1ull << order); at++) {
      if (!shared_.reached.Add(at)) continue;
      Tell(ProblemCode::kReferredTwice, at, object_id,
           fmt::format("I4: pfn {}: referred to twice", at));
      return false;
    }
    shared_.heads.Add(pfn);
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
    report_->nodes++;
    const uint64_t nodes = shared_.nodes.fetch_add(1, std::memory_order_relaxed);
    if (nodes % kNodesPerProgress == 0 && shared_.options.progress) {
      std::lock_guard lock(shared_.mutex);
      if (!shared_.options.progress(nodes + 1)) shared_.cancelled = true;
    }
    return !shared_.cancelled;
  }

  void Visit(const NodeSite& site) {
    std::vector<NodeSite> children;
    VisitNode(site, &children);
    for (const NodeSite& child : children) Visit(child);
  }

  void VisitNode(const NodeSite& site, std::vector<NodeSite>* children) {
    if (!KeepOn()) return;
    NodeView node;
    if (auto problem = ExamineWord(image_, site, Load64(image_.base() + site.place), &node)) {
      if (!site.buried) problem->keys = KeyRange{site.low, site.high};
      sink_(std::move(*problem));
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
      children->push_back(std::move(child));
    }
  }

  void VisitLeaf(const NodeSite& site, const NodeView& node) {
    LeafContents leaf = ReadLeaf(node, image_.hash_seed(), shared_.may_be_torn);
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

  Shared& shared_;
  const PoolImage& image_;
  FsckReport* const report_;
  const ProblemSink& sink_;
  PoolWalkResult result_;
  const WalkedObject* object_ = nullptr;
  std::vector<WalkedObject> found_;
  std::set<Pfn> buried_anchors_;
};

}  // namespace

PoolWalkResult WalkPool(const PoolImage& image, const Superblock& superblock,
                        const FsckOptions& options, FsckReport* report, const ProblemSink& sink) {
  const bool may_be_torn =
      (superblock.state & kStateClean) == 0 || (superblock.state & kStateCrashedSinceScrub) != 0;
  Shared shared(image, options, may_be_torn);
  return PoolWalker(&shared, report, sink).Walk();
}

}  // namespace tuff
