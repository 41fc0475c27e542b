// For tests of the checker: a sound pool, and hands that change it behind the engine's back.
//
// Ownership: a CheckedPool owns its pool and what it hands out views of. Thread-safety: none.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/graveyard.h"
#include "engine/leaf.h"
#include "pagemap/checksum.h"
#include "tests/engine/engine_test_util.h"

namespace tuff::test {

/// A pool whose store has two levels of nodes, small and large ones, and records in logs.
class CheckedPool {
 public:
  CheckedPool() {
    for (int i = 0; i < 200; i++) {
      EXPECT_OK(store().Put("key" + std::to_string(i), std::string(100, 'v')));
    }
    for (int i = 0; i < 8; i++) {
      EXPECT_OK(store().Put("long" + std::to_string(i), std::string(15000, 'v')));
    }
    info_ = Find("store");
    tree_ = std::make_unique<Tree>(map(), info_.id, info_.anchor);
    EXPECT_EQ(Problems(pool()), "");
  }

  Pool& pool() { return fixture_.pool(); }
  Store& store() { return fixture_.store(); }
  PageMap& map() { return fixture_.map(); }
  Catalogue& catalogue() { return PoolTestPeer::GetCatalogue(pool()); }
  Tree& tree() { return *tree_; }
  const ObjectInfo& info() const { return info_; }
  /// A store, or the graveyard.
  ObjectInfo Find(std::string_view name) {
    auto info = catalogue().Find(name);
    EXPECT_OK(info);
    return *info;
  }
  /// What is known of the pool since its mount is forgotten. The store is not to be used again.
  void Remount() {
    tree_.reset();
    fixture_.Reopen();
    tree_ = std::make_unique<Tree>(map(), info_.id, info_.anchor);
  }

  NodeView NodeOf(uint64_t word) {
    return {map().base() + OffsetOf(ChildPfn(word)), ChildPfn(word)};
  }
  NodeView Root() { return NodeOf(tree_->root_word()); }
  /// The nth leaf; they have one parent.
  NodeView LeafAt(size_t n) { return NodeOf(Root().ChildWord(n)); }
  NodeView FirstLeaf() { return LeafAt(0); }
  NodeView LastLeaf() { return LeafAt(Root().count() - 1); }
  /// A leaf with records in its log, the first of which lies at base_end().
  NodeView LoggedLeaf() {
    for (size_t i = 0; i < Root().count(); i++) {
      const NodeView leaf = LeafAt(i);
      RecordView record;
      if (ReadRecord(leaf.data(), leaf.base_end(), leaf.bytes(), SeedAt(leaf, leaf.base_end()),
                     &record)) {
        return leaf;
      }
    }
    ADD_FAILURE() << "no leaf has a log";
    return FirstLeaf();
  }
  uint64_t SeedAt(const NodeView& node, size_t offset) {
    return RecordSeed(map().hash_seed(), node.number(), offset);
  }

  void StoreBytes(uint64_t offset, const void* from, size_t n) {
    WriteWindow window(map().domain());
    window.Store(offset, from, n);
  }
  void Store64(uint64_t offset, uint64_t value) {
    WriteWindow window(map().domain());
    window.Store64(offset, value);
  }
  void Store8(uint64_t offset, uint8_t value) { StoreBytes(offset, &value, 1); }

  /// Changes a node; its checksum is right afterwards.
  void EditNode(const NodeView& node, const std::function<void(std::byte*, NodeHeader*)>& edit) {
    const size_t bytes = node.bytes();
    std::vector<std::byte> copy(node.data(), node.data() + bytes);
    auto* const header = reinterpret_cast<NodeHeader*>(copy.data());
    edit(copy.data(), header);
    const size_t base_end = std::min<size_t>(size_t{header->base_end} * 8, bytes);
    header->checksum = NodeChecksum(copy.data(), base_end, map().hash_seed(), node.pfn());
    StoreBytes(OffsetOf(node.pfn()), copy.data(), bytes);
  }
  /// The same for an object's anchor.
  void EditAnchor(Pfn pfn, const std::function<void(Anchor*)>& edit) {
    Anchor anchor;
    std::memcpy(&anchor, map().base() + OffsetOf(pfn), sizeof anchor);
    edit(&anchor);
    constexpr size_t kFrom = offsetof(Anchor, object_id);
    anchor.checksum = Checksum64(reinterpret_cast<const std::byte*>(&anchor) + kFrom,
                                 offsetof(Anchor, root) - kFrom, map().hash_seed() ^ Mix64(pfn));
    StoreBytes(OffsetOf(pfn), &anchor, sizeof anchor);
  }

 private:
  PoolFixture fixture_;
  ObjectInfo info_;
  std::unique_ptr<Tree> tree_;
};

}  // namespace tuff::test
