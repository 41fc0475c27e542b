// PoolWalk: one walk over all that an image's catalogue leads to, on all processors. Finds
// problems; stores nothing.
//
// Ownership: borrows the image. Thread-safety: none.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/object_format.h"
#include "engine/repair/fsck.h"

namespace tuff {

/// A word that leads to a node: where it lies, and what the node should be.
struct NodeSite {
  uint64_t place = 0;  // byte offset of the word in the pool
  int level = -1;      // -1: a root, whose level is not known
  uint32_t object_id = 0;
  std::string low;
  std::optional<std::string> high;
  bool buried = false;  // in a tree of the graveyard
  bool twice = false;   // the node is there, but something else refers to it, too
};

/// An object that the catalogue or the graveyard names.
struct WalkedObject {
  uint32_t id = 0;       // of the anchor
  uint32_t tree_id = 0;  // that its nodes name
  ObjectKind kind = ObjectKind::kStore;
  Pfn anchor = 0;
  std::string name;
  bool buried = false;
};

/// A bit for each frame. Thread-safety: all functions but Resize from any thread.
class FrameSet {
 public:
  void Resize(uint64_t frames) {
    words_ = std::make_unique<std::atomic<uint64_t>[]>(frames / 64 + 1);
  }
  bool operator[](Pfn pfn) const {
    return (words_[pfn / 64].load(std::memory_order_relaxed) >> (pfn % 64) & 1) != 0;
  }
  /// Returns whether it was in there.
  bool Add(Pfn pfn) {
    const uint64_t bit = 1ull << (pfn % 64);
    return (words_[pfn / 64].fetch_or(bit, std::memory_order_relaxed) & bit) != 0;
  }

 private:
  std::unique_ptr<std::atomic<uint64_t>[]> words_;
};

struct PoolWalkResult {
  FrameSet reached;                                 // frames
  FrameSet heads;                                   // of runs that are reached
  std::vector<NodeSite> broken;                     // words and nodes that are to be mended
  std::vector<WalkedObject> broken_anchors;         // the same
  std::vector<std::pair<Pfn, uint64_t>> owners;     // owner words that are to be other ones
  std::vector<uint32_t> dropped;                    // ids that the catalogue should not name
  std::map<uint32_t, WalkedObject> objects;         // by tree id; the catalogue's is 1
  std::map<uint32_t, bool> tree_is_damaged;         // by tree id
  std::vector<std::pair<uint64_t, uint64_t>> torn;  // bytes of the pool: place and length
  bool graveyard_in_use = false;
  uint64_t number_max = 0;  // of nodes and records
  uint32_t object_id_max = 0;
  bool cancelled = false;
};

/// Tells what is found, on the calling thread: all that is known of a problem but whether it is
/// repaired.
using ProblemSink = std::function<void(Problem problem)>;

PoolWalkResult WalkPool(const PoolImage& image, const Superblock& superblock,
                        const FsckOptions& options, FsckReport* report, const ProblemSink& sink);

/// What a leaf holds that is whole, read from its bytes alone.
struct LeafContents {
  std::vector<RecordView> records;  // in no order; several of a key; deletes too
  std::vector<Problem> problems;    // without pfn and object
  size_t torn_at = 0;               // what is behind this byte a crash has torn; 0: nothing
};
/// REQUIRES: the node has been verified. `may_be_torn`: a torn last record is no problem.
LeafContents ReadLeaf(const NodeView& node, uint64_t hash_seed, bool may_be_torn);
/// Its first half, the base, which never changes.
void ReadBase(const NodeView& node, uint64_t hash_seed, LeafContents* leaf);
/// Its second half. Where the log's whole records end, and how many there are.
struct LogEnd {
  size_t at;
  size_t records;
};
LogEnd ReadLog(const NodeView& node, uint64_t hash_seed, bool may_be_torn, LeafContents* leaf);

/// The newest record of each key in the range, by key; deletes left out.
std::vector<RecordView> NewestOf(std::vector<RecordView> records, std::string_view low,
                                 const std::optional<std::string>& high);

/// A pool's frames, an image's or a mounted pool's, for who examines them.
struct PoolFrames {
  const std::byte* base;
  uint64_t frames;
  uint64_t hash_seed;

  /// As PoolImage::Holds.
  bool Holds(Pfn pfn, unsigned order) const {
    return pfn < frames && !IsReserved(pfn) && (1ull << order) <= frames - pfn;
  }
};
inline PoolFrames FramesOf(const PoolImage& image) {
  return {image.base(), image.frames(), image.hash_seed()};
}

/// What is wrong with the node that `word` leads to, as a site has it; nothing if it is sound.
std::optional<Problem> ExamineWord(const PoolFrames& pool, const NodeSite& site, uint64_t word,
                                   NodeView* node);
inline std::optional<Problem> ExamineWord(const PoolImage& image, const NodeSite& site,
                                          uint64_t word, NodeView* node) {
  return ExamineWord(FramesOf(image), site, word, node);
}

/// What a record of the catalogue or the graveyard names. False: the record is malformed, or leads
/// to no frame that could be its anchor; a damaged anchor is no reason.
bool ReadObjectRecord(const PoolImage& image, ObjectKind tree, const RecordView& record,
                      WalkedObject* object);

/// False: below one of the node's keys no other can lie, as no tree has it; cursors would be led
/// astray. REQUIRES: the node has been verified.
bool RangesHaveKeys(const NodeView& node);

/// Looks at nothing that changes while the object is there.
bool AnchorIsWhole(const PoolFrames& pool, Pfn pfn, uint32_t id, ObjectKind kind);
inline bool AnchorIsWhole(const PoolImage& image, Pfn pfn, uint32_t id, ObjectKind kind) {
  return AnchorIsWhole(FramesOf(image), pfn, id, kind);
}

}  // namespace tuff
