// Survey: all tree nodes and anchors of a pool that can be found, and what leads to them.
//
// Nodes are found by the owner words of their frames, and where those are damaged, or zero though
// something leads there, by what lies in the frames. Nothing of the pool is believed before it is
// checked. Ownership: borrows the image. Thread-safety: none.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/image.h"
#include "engine/object_format.h"

namespace tuff {

struct KeyRange {
  std::string low;
  std::string high;  // empty: no bound
};

struct FoundNode {
  Pfn pfn = 0;
  uint64_t number = 0;  // of a damaged node: what its header says
  uint32_t object_id = 0;
  uint8_t order = 0;
  uint8_t level = 0;
  bool whole = false;    // VerifyNode says OK
  bool owned = false;    // the owner word is right
  bool reached = false;  // the tree leads to it from its root, over nodes that are owned
  bool referred = false;
  bool excluded = false;            // of a tree that no store has (yet, or any more)
  const KeyRange* meant = nullptr;  // of a damaged node: what its parent says
  /// A node may be a leaf: of a damaged one nobody knows.
  bool may_be_leaf() const { return !whole || level == 0; }
};

struct FoundAnchor {
  Pfn pfn = 0;
  bool whole = false;
  Anchor anchor{};
};

class Survey {
 public:
  explicit Survey(const PoolImage& image) : image_(image) {}

  /// Looks at every frame that may hold a node or an anchor.
  void Scan();
  /// Follows the trees of all anchors that were found, and notes what is reached.
  void FollowTrees();
  /// The same of an anchor that something names. Nothing is done if there is none.
  void AddAnchor(Pfn pfn, uint32_t object_id);
  /// Follows what is left of trees that are being built, or have been replaced, none of which
  /// counts; then what nodes whose parents are gone lead to; and looks into frames whose part of
  /// the frame table is lost.
  void FollowRest();

  /// The anchor of an object; null if there is none that could be believed.
  const FoundAnchor* AnchorOf(uint32_t object_id) const;
  const std::vector<FoundAnchor>& anchors() const { return anchors_; }
  /// What may be leaves and counts: of an object, and by object.
  std::vector<const FoundNode*> LeavesOf(uint32_t object_id) const;
  std::map<uint32_t, std::vector<const FoundNode*>> LeavesByObject() const;
  /// The node whose run holds a frame; null if there is none.
  const FoundNode* NodeOver(Pfn pfn) const;
  /// Calls use(node) for each.
  template <typename Use>
  void ForEachNode(const Use& use) const {
    for (const FoundNode& node : nodes_) use(node);
    for (const auto& [pfn, node] : others_) use(node);
  }
  NodeView View(const FoundNode& node) const { return image_.NodeAt(node.pfn, node.order); }

 private:
  template <typename Use>
  void ForEachLeaf(const Use& use) const {
    const auto offer = [&](const FoundNode& node) {
      if (!node.excluded && node.may_be_leaf()) use(node);
    };
    for (const FoundNode& node : nodes_) offer(node);
    for (const auto& [pfn, node] : others_) offer(node);
  }
  void LookAt(Pfn pfn, uint64_t word);
  void NoteAnchor(Pfn pfn, bool owned, uint32_t object_id);
  std::optional<FoundNode> ByHeader(Pfn pfn) const;
  FoundNode* Find(Pfn pfn);
  FoundNode* FindUnowned(Pfn pfn, uint32_t object_id);
  void Follow(uint32_t object_id, uint64_t root);
  void Exclude(uint32_t anchor_id, uint64_t root);
  void FollowOrphans();
  void Visit(uint32_t object_id, uint64_t word, int level, const KeyRange& range, bool owned_above);
  void VisitChildren(const FoundNode& node, bool owned_above);
  void ExcludeBelow(uint32_t object_id, uint64_t word, int level);
  void ScanLostTables();

  const PoolImage& image_;
  std::vector<FoundNode> nodes_;     // by pfn
  std::map<Pfn, FoundNode> others_;  // whose owner words are 0, or another's
  std::vector<FoundAnchor> anchors_;
  std::map<uint32_t, size_t> anchor_of_;  // an object's; a whole one if there is one
  std::deque<KeyRange> ranges_;
};

}  // namespace tuff
