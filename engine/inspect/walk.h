// Walks over the trees of a PoolImage: every node checked as a mount would check it, none visited
// twice, whatever the file holds.
//
// Ownership: borrows the image. Thread-safety: none; one walk each.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/catalogue.h"
#include "engine/image.h"
#include "engine/log_walk.h"

namespace tuff::inspect {

/// A set of frames that costs a bit for each frame of the sections it has any of.
class FrameSet {
 public:
  /// False: it is in there already.
  bool Insert(Pfn pfn);

 private:
  using Section = std::array<uint64_t, kSectionFrames / 64>;
  std::unordered_map<uint64_t, std::unique_ptr<Section>> sections_;
};

/// A node as it was at one moment.
class NodeCopy {
 public:
  /// Copies the run. REQUIRES: image.Holds(pfn, order), order <= kNodeOrderMax.
  void Take(const PoolImage& image, Pfn pfn, unsigned order);
  const NodeView& view() const { return view_; }
  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(words_.data()), view_.bytes()};
  }

 private:
  std::vector<uint64_t> words_;
  NodeView view_;
};

/// Copies and checks the node that a child word of object `object_id` means. `level` < 0: any.
/// Errors: Corruption; then there may be a copy (its view has data) or not.
Status ReadNode(const PoolImage& image, uint32_t object_id, uint64_t word, int level,
                NodeCopy* copy);

/// A tree of a pool.
struct TreeRef {
  ObjectInfo object;            // of the anchor
  uint32_t tree_object_id = 0;  // which the nodes name
  bool in_graveyard = false;    // hangs there: what child words up to a zero one led to is gone
};

class TreeWalk {
 public:
  /// A node that a walk has come to.
  struct Stop {
    uint64_t word = 0;
    Pfn parent = 0;    // or the anchor's
    size_t index = 0;  // of the child word in the parent
    unsigned depth = 0;
    const NodeView* node = nullptr;  // null: nothing could be copied
    Status status;                   // of reading it
  };
  /// Returns whether to go on below: asked of sound inner nodes.
  using Use = std::function<bool(const Stop&)>;

  TreeWalk(const PoolImage& image, const TreeRef& tree) : image_(image), tree_(tree) {}

  /// Calls `use` for each node, parents before their children, in key order.
  void Run(const Use& use);

 private:
  void Visit(uint64_t word, int level, Pfn parent, size_t index, unsigned depth, const Use& use);

  const PoolImage& image_;
  const TreeRef& tree_;
  FrameSet seen_;
  std::array<NodeCopy, kLevelMax + 2> copies_;
};

/// The root word of the tree; 0 if its anchor is not there.
uint64_t RootWord(const PoolImage& image, const TreeRef& tree);

/// The log of a leaf, as far as it is whole.
struct LeafLog {
  std::vector<LogRecord> entries;
  size_t groups = 0;
  size_t end = 0;  // bytes from the node's start
  bool zeros_behind = true;
  bool valid_behind = false;  // there is a whole record or group behind its end
};
LeafLog ReadLog(const NodeView& leaf, uint64_t hash_seed);

/// What a log that does not end in zeros is: empty if nothing can be wrong, for the trace of a
/// crash or a change under way; else the damage.
std::string LogDamage(const PoolImage& image, const NodeView& leaf, const LeafLog& log);

/// What a reader sees of a leaf: the newest record of each key that is whole, deletes left out.
std::map<std::string, std::string> LeafContents(const NodeView& leaf, uint64_t hash_seed);

/// All trees that catalogue and graveyard name, the catalogue's own first, in the order of their
/// ids. What keeps trees from being found goes to `damage`.
std::vector<TreeRef> ListTrees(const PoolImage& image, std::vector<std::string>* damage);

/// A tree by the name of its store, or as "/catalogue", "/graveyard", "/ID": the id of an object,
/// which is found even if the catalogue no longer names it. Errors: NotFound.
Result<TreeRef> FindTree(const PoolImage& image, const std::string& name,
                         std::vector<std::string>* damage);

}  // namespace tuff::inspect
