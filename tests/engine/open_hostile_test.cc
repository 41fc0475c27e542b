// Trees with right checksums that no writer of ours makes: a descent that leads back to where it
// has been turned away must be called damage, not repeated for ever (invariant I8).
#include <array>

#include "engine/node_writer.h"
#include "engine/object_format.h"
#include "pagemap/frame_format.h"
#include "pagemap/rcu.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

class OpenHostileTest : public testing::Test {
 protected:
  OpenHostileTest() {
    EXPECT_OK(fixture_.store().Put("key", "value"));
    auto other = fixture_.pool().CreateStore("other");
    EXPECT_OK(other);
    EXPECT_OK((*other)->Put("key", "other value"));
  }

  Store& other() { return **fixture_.pool().OpenStore("other"); }
  uint64_t RootPlace(const std::string& name) {
    const auto stores = fixture_.pool().ListStores();
    for (const StoreInfo& info : *stores) {
      if (info.name == name) return OffsetOf(info.anchor_pfn) + offsetof(Anchor, root);
    }
    return 0;
  }
  // Makes an inner node, in the pool's last frame, the root of the store above its present one, a
  // leaf, which is then written anew without a record, and with a high fence, if one is given.
  void PutRootAbove(std::string_view low, const std::vector<std::string>& lows,
                    std::optional<std::string> leaf_high = std::nullopt) {
    const uint64_t place = RootPlace("store");
    const auto root = Load64(fixture_.map().base() + place);
    const uint64_t leaf = OffsetOf(ChildPfn(root));
    const NodeView node(fixture_.map().base() + leaf, ChildPfn(root));
    NodeIdentity id;
    id.pfn = fixture_.map().frames() - 1;
    id.number = node.number() + 1;
    id.object_id = node.header().object_id;
    id.level = 1;
    id.low = low;
    std::vector<ChildEntry> children;
    for (const std::string& text : lows) children.push_back({text, root});
    std::array<std::byte, kFrameSize> bytes;
    WriteInner(bytes.data(), id, children, fixture_.map().hash_seed());
    NodeIdentity leaf_id;
    leaf_id.pfn = node.pfn();
    leaf_id.number = node.number();
    leaf_id.object_id = id.object_id;
    leaf_id.high = leaf_high;
    std::array<std::byte, kFrameSize> leaf_bytes;
    WriteLeaf(leaf_bytes.data(), leaf_id, {}, fixture_.map().hash_seed());
    fixture_.Tamper([&](const std::string& at) {
      WriteStruct(at, leaf, leaf_bytes);
      WriteStruct(at, OffsetOf(id.pfn), bytes);
      WriteStruct(at, OwnerWordOffset(id.pfn),
                  PackOwner(id.pfn, FrameKind::kTreeNode, 0, id.object_id));
      WriteStruct(at, place, PackChild(id.pfn, id.number));
    });
  }
  // The first failure of so many puts, as many as it takes to rewrite a leaf.
  Status PutMany(const std::string& prefix) {
    for (int i = 100; i < 150; i++) {
      Status s = fixture_.store().Put(prefix + std::to_string(i), std::string(50, 'v'));
      if (!s.ok()) return s;
    }
    return Status();
  }

  PoolFixture fixture_;
};

TEST_F(OpenHostileTest, ALeafOfAnotherStore) {
  const uint64_t from = RootPlace("store");
  const uint64_t to = RootPlace("other");
  fixture_.Tamper(
      [&](const std::string& at) { WriteStruct(at, to, ReadStruct<uint64_t>(at, from)); });
  std::string value;
  EXPECT_OK(fixture_.store().Get("key", &value));  // the leaf has been verified, as this store's
  EXPECT_CODE(other().Put("key", "new"), Code::kCorruption);
  EXPECT_CODE(other().Delete("key"), Code::kCorruption);
  WriteBatch batch;
  EXPECT_OK(batch.Put(other(), "key", "of a batch"));
  EXPECT_OK(batch.Put(fixture_.store(), "key", "of a batch"));
  EXPECT_CODE(fixture_.pool().Write(batch), Code::kCorruption);
  EXPECT_OK(fixture_.store().Put("key", "new"));
}

TEST_F(OpenHostileTest, ALeafOfAnotherStoreThatIsReadFirst) {
  const uint64_t from = RootPlace("store");
  const uint64_t to = RootPlace("other");
  fixture_.Tamper(
      [&](const std::string& at) { WriteStruct(at, to, ReadStruct<uint64_t>(at, from)); });
  // What verifies a node is its own store's check, and builds no tail: this one's.
  NodeView node;
  {
    auto info = PoolTestPeer::GetCatalogue(fixture_.pool()).Find("store");
    ASSERT_OK(info);
    Tree tree(fixture_.map(), info->id, info->anchor);
    RcuReadSection section;
    ASSERT_OK(tree.Visit(tree.root_word(), 0, &node));
  }
  std::string value;
  EXPECT_CODE(other().Get("key", &value), Code::kCorruption);
  const auto it = other().NewIterator();
  it->SeekToFirst();
  EXPECT_FALSE(it->Valid());
  EXPECT_CODE(it->status(), Code::kCorruption);
  EXPECT_OK(fixture_.store().Get("key", &value));
}

TEST_F(OpenHostileTest, ALeafThatTwoWordsLeadTo) {
  PutRootAbove("", {"", "m"});
  ASSERT_OK(PutMany("a"));  // the leaf is replaced, and one of the words swung
  Status s = PutMany("z");
  EXPECT_CODE(s, Code::kCorruption);
  EXPECT_TRUE(Contains(s, "pfn ")) << s.ToString();
  EXPECT_OK(fixture_.store().Put("a", "new"));
}

TEST_F(OpenHostileTest, ABatchComesToALeafTwice) {
  PutRootAbove("", {"", "m"}, "m");
  WriteBatch batch;
  EXPECT_OK(batch.Put(fixture_.store(), "a", ""));
  EXPECT_OK(batch.Put(fixture_.store(), "z", ""));
  EXPECT_CODE(fixture_.pool().Write(batch), Code::kCorruption);
  EXPECT_OK(fixture_.store().Put("a", "new"));
}

TEST_F(OpenHostileTest, AParentOfAnotherRange) {
  PutRootAbove("m", {"m"});
  Status s = PutMany("z");
  EXPECT_CODE(s, Code::kCorruption);
  EXPECT_TRUE(Contains(s, "pfn " + std::to_string(fixture_.map().frames() - 1))) << s.ToString();
  EXPECT_OK(other().Put("key", "new"));
}

}  // namespace
}  // namespace tuff::test
