#include "engine/tree_scrub.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "engine/catalogue.h"
#include "engine/graveyard.h"
#include "pagemap/rcu.h"

namespace tuff {
namespace {

Problem MakeProblem(ProblemCode code, Pfn pfn, uint32_t object_id, std::string text) {
  Problem problem{};
  problem.code = code;
  problem.pfn = pfn;
  problem.object_id = object_id;
  problem.text = fmt::format("pfn {}: {}", pfn, text);
  return problem;
}

bool SameProblems(const std::vector<Problem>& a, const std::vector<Problem>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Problem& x, const Problem& y) {
    return x.code == y.code && x.pfn == y.pfn && x.text == y.text;
  });
}

}  // namespace

// Nodes whose bytes stay as they are for as long as this lives.
class TreeScrub::Pins {
 public:
  explicit Pins(Limbo& limbo) : limbo_(limbo) {}
  ~Pins() {
    for (const NodeView& node : nodes_) limbo_.Unpin(node.pfn());
  }
  Pins(const Pins&) = delete;
  Pins& operator=(const Pins&) = delete;
  /// REQUIRES: in a read section in which it was reachable.
  void Add(const NodeView& node) {
    nodes_.push_back(node);
    limbo_.Pin(node.pfn());
  }
  const std::vector<NodeView>& nodes() const { return nodes_; }

 private:
  Limbo& limbo_;
  std::vector<NodeView> nodes_;
};

Status TreeScrub::Look(const std::string& key, Findings* findings) {
  if (!begun_at_) begun_at_ = key;
  std::vector<Problem> before;
  for (;;) {
    *findings = Findings();
    auto outcome = LookOnce(key, findings);
    if (!outcome.ok()) return outcome.TakeStatus();
    // After a failed fence, words lead to what has been given up.
    if (map_.domain().failed()) return map_.domain().CheckWritable();
    if (*outcome == Outcome::kFrozen) {
      tree_.AwaitThaw();
      continue;
    }
    const bool done = *outcome == Outcome::kDone;
    if (done && (findings->problems.empty() || SameProblems(findings->problems, before))) {
      return Status();
    }
    before = std::move(findings->problems);
    seen_.clear();
    if (!done) std::this_thread::yield();
  }
}

Result<TreeScrub::Outcome> TreeScrub::LookOnce(const std::string& key, Findings* findings) {
  // As a writer, which it is where it cuts off what is torn: who closes the gate waits for it.
  const Versions::WriterMark mark(tree_.versions(), tree_.object_id());
  Pins suspects(map_.limbo());
  Pins pinned(map_.limbo());
  NodeView leaf;
  LeafContents contents;
  {
    RcuReadSection section;
    if (tree_.gate() == Tree::Gate::kFrozen) return Outcome::kFrozen;
    if (tree_.gate() == Tree::Gate::kDropped) {
      findings->gone = true;
      return Outcome::kDone;
    }
    Descend(key, findings, &suspects, &leaf);
    if (leaf.data() != nullptr && state_ == State::kInUse) {
      pinned.Add(leaf);
      ReadBase(leaf, map_.hash_seed(), &contents);
    }
  }
  for (const NodeView& node : suspects.nodes()) {
    Descriptor& head = map_.memmap().At(node.pfn());
    const LatchHold hold(head.latch);
    if (!head.Has(Descriptor::kObsolete)) CheckOwner(node, findings);
  }
  if (leaf.data() == nullptr || state_ != State::kInUse) return Outcome::kDone;
  auto outcome = CheckLog(leaf, &contents, findings);
  if (outcome.ok() && *outcome == Outcome::kDone) {
    CheckRecords(leaf, std::move(contents), findings);
  }
  return outcome;
}

uint64_t TreeScrub::OwnerOf(const NodeView& node) const {
  return PackOwner(node.pfn(), FrameKind::kTreeNode, node.order(), tree_.object_id());
}

void TreeScrub::CheckOwner(const NodeView& node, Findings* findings) const {
  const uint64_t wanted = OwnerOf(node);
  const uint64_t found = map_.memmap().OwnerWordAt(node.pfn());
  if (found == wanted) return;
  const bool damaged = found != 0 && !OwnerIsValid(node.pfn(), found);
  findings->problems.push_back(MakeProblem(
      damaged ? ProblemCode::kOwnerDamaged : ProblemCode::kOwnerWrong, node.pfn(),
      tree_.object_id(), fmt::format("owner word {:#x}, expected {:#x}", found, wanted)));
}

// A number is never used twice: it is the node that was examined, if it was in this place.
bool TreeScrub::HasSeen(size_t depth, uint64_t word, NodeView* node) const {
  if (depth >= seen_.size() || seen_[depth].word != word) return false;
  const Pfn pfn = ChildPfn(word);
  *node = NodeView(map_.base() + OffsetOf(pfn), pfn, seen_[depth].order);
  return node->number() == seen_[depth].number && !node->is_leaf();
}

// Examines what lies between the root and the leaf of `key`.
void TreeScrub::Descend(std::string key, Findings* findings, Pins* suspects, NodeView* leaf) {
  uint64_t word = tree_.root_word();
  if (word == 0) return;
  NodeSite site;
  site.place = tree_.root_place();
  site.object_id = tree_.object_id();
  site.buried = state_ != State::kInUse;
  for (size_t depth = 0;; depth++) {
    NodeView node;
    findings->next = site.high;
    const bool seen = HasSeen(depth, word, &node);
    if (!seen) {
      seen_.resize(std::min(seen_.size(), depth));
      if (auto problem = ExamineWord(frames(), site, word, &node)) {
        findings->problems.push_back(std::move(*problem));
        return;
      }
      findings->bytes += node.bytes();
      findings->number_max =
          std::max({findings->number_max, node.number(), node.header().sequence_max});
      if (state_ == State::kBuried) {
        CheckOwner(node, findings);
      } else if (state_ == State::kInUse) {
        // As readers do, who note in its descriptor what they have seen.
        NodeView visited;
        const bool known = tree_.Visit(word, site.level, &visited).ok();
        const bool owned = map_.memmap().OwnerWordAt(node.pfn()) == OwnerOf(node);
        const bool told = begun_at_ == key && site.low != key;  // by whom this one resumes
        if (!node.is_leaf() && !told && (!known || !owned)) suspects->Add(node);
      }
    }
    if (node.is_leaf()) {
      findings->nodes++;
      *leaf = node;
      return;
    }
    if (!seen) seen_.push_back({word, node.number(), node.order()});
    if (site.low == key) findings->nodes++;
    size_t i = node.ChildIndex(key);
    if (state_ != State::kInUse) {
      const size_t left = FirstChildLeft(node);
      if (left >= node.count()) return;  // the worker is about to free it
      if (i < left) {
        i = left;
        key.clear();
        node.AppendSeparator(i - 1, &key);
      }
    }
    if (i > 0) {
      site.low.clear();
      node.AppendSeparator(i - 1, &site.low);
    }
    if (i + 1 < node.count()) node.AppendSeparator(i, &site.high.emplace());
    site.level = static_cast<int>(node.level()) - 1;
    site.place = node.ChildPlace(i);
    word = node.ChildWord(i);
  }
}

// The log of a leaf that is pinned, and what else its latch guards.
Result<TreeScrub::Outcome> TreeScrub::CheckLog(const NodeView& node, LeafContents* contents,
                                               Findings* findings) {
  Descriptor& head = map_.memmap().At(node.pfn());
  const LatchHold hold(head.latch);
  if (head.Has(Descriptor::kObsolete)) return Outcome::kChanged;
  CheckOwner(node, findings);
  Leaf leaf(map_, node);
  if (head.Has(Descriptor::kVerified)) {
    Status s = leaf.BuildTail();
    if (s.ok() && !map_.read_only()) s = leaf.CutTornTail();
    if (!s.ok() && s.code() != Code::kCorruption) return s;
  }
  const bool torn =
      leaf.tail_built() ? head.Has(Descriptor::kTornTail) : map_.crashed_since_scrub();
  const size_t problems = contents->problems.size();
  const LogEnd end = ReadLog(node, map_.hash_seed(), torn, contents);
  const bool as_known = end.at == leaf.tail_end() && end.records == leaf.tail_count();
  if (leaf.tail_built() && !as_known && contents->problems.size() == problems) {
    Problem problem{};
    problem.code = ProblemCode::kLogDamaged;
    problem.text = fmt::format("log ends at byte {} of the node; it went on to byte {}", end.at,
                               leaf.tail_end());
    contents->problems.push_back(std::move(problem));
  }
  return Outcome::kDone;
}

void TreeScrub::CheckRecords(const NodeView& node, LeafContents contents,
                             Findings* findings) const {
  for (const Problem& problem : contents.problems) {
    findings->problems.push_back(
        MakeProblem(problem.code, node.pfn(), tree_.object_id(), problem.text));
  }
  for (const RecordView& record : contents.records) {
    findings->number_max = std::max(findings->number_max, SequenceOf(record.sequence_and_type));
  }
  std::optional<std::string> high;
  if (node.has_high()) high = node.high();
  const auto newest = NewestOf(std::move(contents.records), node.low(), high);
  findings->records += newest.size();
  for (const RecordView& record : newest) {
    ObjectInfo info;
    uint32_t id = 0;
    GraveyardEntry entry;
    if (kind_ == ObjectKind::kCatalogue && !ParseCatalogueRecord(record.key, record.value, &info)) {
      findings->problems.push_back(MakeProblem(ProblemCode::kCatalogueRecord, node.pfn(),
                                               tree_.object_id(),
                                               "a catalogue record is malformed"));
    } else if (kind_ == ObjectKind::kGraveyard &&
               !ParseGraveyardRecord(record.key, record.value, &id, &entry)) {
      findings->problems.push_back(MakeProblem(ProblemCode::kGraveyardRecord, node.pfn(),
                                               tree_.object_id(),
                                               "a graveyard record is malformed"));
    }
  }
}

}  // namespace tuff
