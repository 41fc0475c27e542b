// BulkLoad: builds a tree from sorted records, leaf by leaf, beside a store, and then makes it the
// store's by moving the root.
//
// Until then the tree hangs at an anchor of the graveyard's (graveyard.h). It grows by whole
// level-1 nodes: one change of structure makes up to 200 leaves and their parent durable, and the
// right edge above them anew, which one word then leads to.
//
//   anchor of the building -> right edge (rewritten at each step) -> complete nodes
//
// Nodes of the building are not looked at before they are the store's; then at their first touch.
// Ownership: borrows the store. Thread-safety: none.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/batch.h"
#include "engine/node_writer.h"
#include "engine/store_impl.h"
#include "tuff/bulk_loader.h"

namespace tuff {

class BulkLoader::Impl {
 public:
  explicit Impl(Store::Impl& store);
  ~Impl();

  Status Begin();
  Status Add(std::string_view key, std::string_view value);
  Status Finish();
  uint64_t records() const { return records_; }

 private:
  // A node whose frames are taken and whose bytes are ready, to be written by the next step.
  struct NewNode {
    Pfn pfn;
    unsigned order;
    std::unique_ptr<std::byte[]> bytes;
  };
  // A child of the right edge; keeps its text.
  struct Child {
    std::string low;
    uint64_t word;
  };
  // The rightmost node of a level, as far as it goes.
  struct Edge {
    std::string low;
    std::vector<Child> children;
    uint64_t word = 0;  // as it is on the medium; 0: not there
    Pfn pfn = 0;
    unsigned order = 0;
    uint64_t last_place = 0;  // of its last child word
  };

  Status AddRecord(std::string_view key, std::string_view value);
  size_t LeafBytesWith(std::string_view key, size_t bytes) const;
  Status CloseLeaf(std::optional<std::string_view> high);
  bool ParentIsFullWith(std::string_view low) const;
  Status CloseParent(std::optional<std::string_view> high);
  Status Link(unsigned level, Child child);
  Status WriteEdge(unsigned level, std::optional<std::string_view> high);
  Status NewFrames(NodeIdentity* id, NewNode** node);
  void Replace(Edge* edge);
  void Decide(uint64_t place, uint64_t old_value, uint64_t new_value);
  Status Commit();
  Status CloseAll();
  Status RetainForSnapshots();
  Status SwapRoots();
  void GiveUpFrames();

  Store::Impl& store_;
  PageMap& map_;
  ObjectInfo building_;
  std::unique_ptr<Tree> tree_;  // being built
  bool begun_ = false;
  Status failed_;  // once it has: nothing more can be added
  bool ended_ = false;
  uint64_t number_ = 0;  // all records'
  uint64_t records_ = 0;
  std::string last_key_;

  std::vector<std::byte> text_;  // keys and values of the leaf that is being filled
  std::vector<RecordView> leaf_;
  size_t leaf_record_bytes_ = 0;
  size_t leaf_key_max_ = 0;
  std::string leaf_low_;
  std::vector<Child> leaves_;  // of the level-1 node that is being filled
  std::optional<Child> only_;  // the only node of the highest level, while it is complete
  std::vector<Edge> edges_;    // by level; empty where the rightmost node is complete

  std::vector<NewNode> fresh_;  // of the next step
  LaneChange change_;
};

}  // namespace tuff
