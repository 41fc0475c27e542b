#include "engine/repair/survey.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "engine/catalogue.h"
#include "engine/graveyard.h"

namespace tuff {
namespace {

bool IsAligned(Pfn pfn, unsigned order) { return (pfn & ((1ull << order) - 1)) == 0; }

bool IsKind(const OwnerWord& owner, FrameKind kind) {
  return owner.kind == static_cast<uint8_t>(kind);
}

bool IsBuilding(const FoundAnchor& found) {
  return found.whole && found.anchor.kind == static_cast<uint32_t>(ObjectKind::kBuilding);
}

}  // namespace

void Survey::Scan() {
  NoteAnchor(kCatalogueAnchorPfn, true, kCatalogueObjectId);
  for (uint64_t section = 0; section < SectionsOf(image_.frames()); section++) {
    image_.ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) { LookAt(pfn, word); });
  }
}

void Survey::LookAt(Pfn pfn, uint64_t word) {
  if (!image_.Holds(pfn, 0)) return;
  const OwnerWord owner = UnpackOwner(word);
  const bool valid = OwnerIsValid(pfn, word);
  if (!valid || IsKind(owner, FrameKind::kMetadata)) NoteAnchor(pfn, valid, owner.object_id);
  if (valid && !IsKind(owner, FrameKind::kTreeNode)) return;
  auto by_header = ByHeader(pfn);
  if (!valid) {
    if (by_header) nodes_.push_back(*by_header);
    return;
  }
  if (owner.order > kNodeOrderMax || !image_.Holds(pfn, owner.order)) return;
  FoundNode found;
  if (by_header && by_header->whole) {
    found = *by_header;
    found.owned = found.order == owner.order && found.object_id == owner.object_id;
  } else {
    found.pfn = pfn;
    found.order = owner.order;
    found.object_id = owner.object_id;
    found.number = image_.NodeAt(pfn, owner.order).number();
    found.owned = true;
  }
  nodes_.push_back(found);
}

// What lies in a frame if its own header is to be believed; nothing if it looks like no node.
std::optional<FoundNode> Survey::ByHeader(Pfn pfn) const {
  if (!image_.Holds(pfn, 0)) return std::nullopt;
  const NodeHeader& header = image_.NodeAt(pfn, 0).header();
  if (header.order > kNodeOrderMax || !IsAligned(pfn, header.order) ||
      !image_.Holds(pfn, header.order) || header.object_id == 0 || header.number == 0 ||
      (header.kind != kNodeLeaf && header.kind != kNodeInner)) {
    return std::nullopt;
  }
  FoundNode found;
  found.pfn = pfn;
  found.number = header.number;
  found.object_id = header.object_id;
  found.order = header.order;
  found.level = header.level;
  found.whole =
      VerifyNode(image_.NodeAt(pfn, header.order), image_.hash_seed(), header.object_id).ok();
  return found;
}

void Survey::NoteAnchor(Pfn pfn, bool owned, uint32_t object_id) {
  FoundAnchor found;
  found.pfn = pfn;
  std::memcpy(&found.anchor, image_.base() + OffsetOf(pfn), sizeof found.anchor);
  found.whole = found.anchor.checksum == AnchorChecksum(found.anchor, image_.hash_seed(), pfn);
  if (!owned && !found.whole) return;
  // Damaged, it may still lead to its tree: what it leads to is checked.
  if (!found.whole) found.anchor.object_id = object_id;
  const auto [known, is_first] = anchor_of_.emplace(found.anchor.object_id, anchors_.size());
  if (!is_first && found.whole && !anchors_[known->second].whole) known->second = anchors_.size();
  anchors_.push_back(found);
}

const FoundAnchor* Survey::AnchorOf(uint32_t object_id) const {
  const auto known = anchor_of_.find(object_id);
  return known == anchor_of_.end() ? nullptr : &anchors_[known->second];
}

FoundNode* Survey::Find(Pfn pfn) {
  const auto at =
      std::lower_bound(nodes_.begin(), nodes_.end(), pfn,
                       [](const FoundNode& node, Pfn wanted) { return node.pfn < wanted; });
  if (at != nodes_.end() && at->pfn == pfn) return &*at;
  const auto other = others_.find(pfn);
  return other == others_.end() ? nullptr : &other->second;
}

const FoundNode* Survey::NodeOver(Pfn pfn) const {
  const auto at =
      std::upper_bound(nodes_.begin(), nodes_.end(), pfn,
                       [](Pfn wanted, const FoundNode& node) { return wanted < node.pfn; });
  if (at == nodes_.begin()) return nullptr;
  const FoundNode& node = *std::prev(at);
  return pfn < node.pfn + (1ull << node.order) ? &node : nullptr;
}

// A node that something leads to, though its owner word is 0 or says something else.
FoundNode* Survey::FindUnowned(Pfn pfn, uint32_t object_id) {
  const auto found = ByHeader(pfn);
  if (!found || !found->whole || found->object_id != object_id) return nullptr;
  return &others_.emplace(pfn, *found).first->second;
}

void Survey::Follow(uint32_t object_id, uint64_t root) {
  static const KeyRange kEverything;
  Visit(object_id, root, -1, kEverything, true);
}

// `level`: -1 of a root. The range is what the parent says.
void Survey::Visit(uint32_t object_id, uint64_t word, int level, const KeyRange& range,
                   bool owned_above) {
  const Pfn pfn = ChildPfn(word);
  if (word == 0 || !image_.Holds(pfn, 0)) return;
  FoundNode* node = Find(pfn);
  if (node == nullptr) node = FindUnowned(pfn, object_id);
  if (node == nullptr || node->referred || node->object_id != object_id) return;
  if (!node->whole) {
    if (level > 0) return;
    node->referred = true;
    node->meant = &ranges_.emplace_back(range);
    return;
  }
  const NodeView view = View(*node);
  if (!ChildTagMatches(word, node->number) || (level >= 0 && node->level != level) ||
      view.low() != range.low || view.high() != range.high) {
    return;
  }
  node->referred = true;
  node->reached = owned_above && node->owned;
  if (node->level > 0) VisitChildren(*node, node->reached);
}

void Survey::VisitChildren(const FoundNode& node, bool owned_above) {
  const NodeView view = View(node);
  KeyRange range{std::string(view.low()), {}};
  for (size_t i = 0; i < view.count(); i++) {
    range.high.clear();
    if (i + 1 < view.count()) {
      view.AppendSeparator(i, &range.high);
    } else {
      range.high = view.high();
    }
    Visit(node.object_id, view.ChildWord(i), node.level - 1, range, owned_above);
    range.low = range.high;
  }
}

void Survey::Exclude(uint32_t anchor_id, uint64_t root) {
  const FoundNode* node = Find(ChildPfn(root));
  if (root == 0 || node == nullptr || node->object_id == anchor_id) return;
  ExcludeBelow(node->object_id, root, -1);
}

void Survey::ExcludeBelow(uint32_t object_id, uint64_t word, int level) {
  FoundNode* node = word == 0 ? nullptr : Find(ChildPfn(word));
  // Two words that lead to one node are damage; the store has it.
  if (node == nullptr || node->object_id != object_id || node->excluded || node->referred) return;
  if (node->whole &&
      (!ChildTagMatches(word, node->number) || (level >= 0 && node->level != level))) {
    return;
  }
  node->excluded = true;
  if (!node->whole || node->level == 0) return;
  const NodeView view = View(*node);
  for (size_t i = FirstChildLeft(view); i < view.count(); i++) {
    ExcludeBelow(object_id, view.ChildWord(i), node->level - 1);
  }
}

void Survey::FollowTrees() {
  for (const FoundAnchor& found : anchors_) {
    if (!IsBuilding(found)) Follow(found.anchor.object_id, found.anchor.root);
  }
}

void Survey::AddAnchor(Pfn pfn, uint32_t object_id) {
  const FoundAnchor* const known = AnchorOf(object_id);
  if (!image_.Holds(pfn, 0) || (known != nullptr && known->whole)) return;
  const size_t before = anchors_.size();
  NoteAnchor(pfn, false, object_id);
  if (anchors_.size() == before) return;
  const FoundAnchor& added = anchors_.back();
  if (!IsBuilding(added)) Follow(added.anchor.object_id, added.anchor.root);
}

void Survey::FollowRest() {
  for (const FoundAnchor& found : anchors_) {
    if (!found.whole || IsBuilding(found)) Exclude(found.anchor.object_id, found.anchor.root);
  }
  FollowOrphans();
  ScanLostTables();
}

std::vector<const FoundNode*> Survey::LeavesOf(uint32_t object_id) const {
  std::vector<const FoundNode*> leaves;
  ForEachLeaf([&](const FoundNode& node) {
    if (node.object_id == object_id) leaves.push_back(&node);
  });
  return leaves;
}

std::map<uint32_t, std::vector<const FoundNode*>> Survey::LeavesByObject() const {
  std::map<uint32_t, std::vector<const FoundNode*>> leaves;
  ForEachLeaf([&](const FoundNode& node) { leaves[node.object_id].push_back(&node); });
  return leaves;
}

// What nodes whose parents are gone lead to.
void Survey::FollowOrphans() {
  for (size_t i = 0; i < nodes_.size(); i++) {
    const FoundNode& node = nodes_[i];
    if (!node.whole || !node.owned || node.level == 0 || node.referred || node.excluded) continue;
    VisitChildren(node, false);
  }
}

// A frame of the frame table that is all zeros, though nodes lie in the frames it tells of.
void Survey::ScanLostTables() {
  constexpr uint64_t kWords = kFrameSize / 8;
  std::set<Pfn> firsts;  // of the frames they tell of
  for (const auto& [pfn, node] : others_) {
    const std::byte* const table = image_.base() + OwnerWordOffset(pfn) / kFrameSize * kFrameSize;
    const bool lost =
        std::all_of(table, table + kFrameSize, [](std::byte b) { return b == std::byte{0}; });
    if (lost) firsts.insert(pfn / kWords * kWords);
  }
  for (const Pfn first : firsts) {
    for (Pfn pfn = first; pfn < first + kWords; pfn++) {
      if (Find(pfn) != nullptr) continue;
      const auto found = ByHeader(pfn);
      if (found && found->whole) others_.emplace(pfn, *found);
    }
  }
}

}  // namespace tuff
