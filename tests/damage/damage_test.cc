// Damages that the sweep has found to be borne badly, each by itself (invariant I8).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>

#include "engine/node_format.h"
#include "engine/object_format.h"
#include "pagemap/frame_format.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

constexpr int kRecords = 2000;
constexpr unsigned kSecondsMax = 60;

std::string Key(int i) { return "key" + std::to_string(10000 + i); }

class DamageTest : public testing::Test {
 protected:
  DamageTest() {
    alarm(kSecondsMax);  // several of these once made a reader or a writer go round for ever
    for (int i = 0; i < kRecords; i++) EXPECT_OK(store().Put(Key(i), "value of " + Key(i)));
    auto other = fixture_.pool().CreateStore("other");
    EXPECT_OK(other);
    for (int i = 0; i < kRecords; i++) EXPECT_OK((*other)->Put(Key(i), "other"));
  }
  ~DamageTest() override { alarm(0); }

  Store& store() { return fixture_.store(); }
  std::string path() const { return fixture_.path(); }
  uint64_t RootPlace(const std::string& name) {
    const auto stores = fixture_.pool().ListStores();
    for (const StoreInfo& info : *stores) {
      if (info.name == name) return OffsetOf(info.anchor_pfn) + offsetof(Anchor, root);
    }
    return 0;
  }
  uint64_t Word(uint64_t place) { return Load64(fixture_.map().base() + place); }
  NodeView NodeAt(uint64_t word) {
    return {fixture_.map().base() + OffsetOf(ChildPfn(word)), ChildPfn(word)};
  }
  NodeView Root() { return NodeAt(Word(RootPlace("store"))); }
  NodeView LeafOf(const std::string& key) {
    NodeView node = Root();
    while (!node.is_leaf()) node = NodeAt(node.ChildWord(node.ChildIndex(key)));
    return node;
  }
  // Right, or Corruption.
  void ExpectNeverWrong(int* failures) {
    std::string value;
    for (int i = 0; i < kRecords; i++) {
      Status s = store().Get(Key(i), &value);
      if (s.ok()) {
        EXPECT_EQ(value, "value of " + Key(i));
      } else {
        EXPECT_CODE(s, Code::kCorruption);
        ++*failures;
      }
    }
  }
  template <typename T>
  void Damage(uint64_t place, T value) {  // while it is open
    WriteStruct(path(), place, value);
  }

  PoolFixture fixture_;
};

TEST_F(DamageTest, ARootWordOfAnotherStore) {
  const uint64_t mine = RootPlace("store");
  const uint64_t word = Word(RootPlace("other"));
  fixture_.Tamper([&](const std::string& at) { WriteStruct(at, mine, word); });
  auto other = fixture_.pool().OpenStore("other");
  ASSERT_OK(other);
  std::string value;
  for (int i = 0; i < kRecords; i++) EXPECT_OK((*other)->Get(Key(i), &value));  // known to be whole
  int failures = 0;
  ExpectNeverWrong(&failures);
  EXPECT_EQ(failures, kRecords);
  EXPECT_CODE(store().Put(Key(1), "new"), Code::kCorruption);
  const auto iterator = store().NewIterator();
  iterator->SeekToFirst();
  EXPECT_FALSE(iterator->Valid());
  EXPECT_CODE(iterator->status(), Code::kCorruption);
}

TEST_F(DamageTest, AChildWordOfItsNeighbour) {
  const NodeView root = Root();
  ASSERT_GT(root.count(), 6u);
  const uint64_t place = root.ChildPlace(3);
  const uint64_t word = root.ChildWord(5);
  fixture_.Tamper([&](const std::string& at) { WriteStruct(at, place, word); });
  int failures = 0;
  ExpectNeverWrong(&failures);  // not NotFound
  EXPECT_GT(failures, 0);
  EXPECT_LT(failures, kRecords / 2);
}

TEST_F(DamageTest, AnOwnerWordThatCoversAnotherNode) {
  const std::string victim = Key(700);
  const Pfn pfn = LeafOf(victim).pfn();
  const auto order = static_cast<unsigned>(std::countr_zero(pfn)) + 1;
  ASSERT_LE(order, kOrderMax);
  const Pfn head = pfn & ~((1ull << order) - 1);
  ASSERT_FALSE(IsReserved(head));
  const uint64_t owner = PackOwner(head, FrameKind::kTreeNode, order, Root().header().object_id);
  fixture_.Tamper([&](const std::string& at) { WriteStruct(at, OwnerWordOffset(head), owner); });
  std::string value;
  EXPECT_CODE(store().Get(victim, &value), Code::kCorruption);
  EXPECT_CODE(store().Put(victim, "new"), Code::kCorruption);
}

// A leaf's header, damaged while the pool is open.
TEST_F(DamageTest, TheObjectOfALeafThatIsInUse) {
  const NodeView leaf = LeafOf(Key(700));
  Damage(OffsetOf(leaf.pfn()) + offsetof(NodeHeader, object_id), uint32_t{999});
  std::string value;
  EXPECT_CODE(store().Get(Key(700), &value), Code::kCorruption);
  EXPECT_CODE(store().Put(Key(700), "new"), Code::kCorruption);
  EXPECT_OK(store().Put(Key(1900), "new"));
}

TEST_F(DamageTest, TheObjectOfAnInnerNodeThatIsInUse) {
  const NodeView root = Root();
  ASSERT_FALSE(root.is_leaf());
  Damage(OffsetOf(root.pfn()) + offsetof(NodeHeader, object_id), uint32_t{999});
  EXPECT_CODE(store().Put(Key(700), "new"), Code::kCorruption);
}

TEST_F(DamageTest, AnOrderThatNoNodeHas) {
  for (const NodeView& node : {LeafOf(Key(700)), Root()}) {
    const uint64_t place = OffsetOf(node.pfn()) + offsetof(NodeHeader, order);
    for (const uint8_t order : {uint8_t{1}, uint8_t{4}, uint8_t{63}, uint8_t{255}}) {
      Damage(place, order);
      int failures = 0;
      ExpectNeverWrong(&failures);
      const auto iterator = store().NewIterator();
      for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) continue;
      EXPECT_EQ(iterator->status().IsCorruption(), node.is_leaf());
    }
    Damage(place, uint8_t{0});
  }
}

TEST_F(DamageTest, ACountBeyondTheNode) {
  for (const NodeView& node : {LeafOf(Key(700)), Root()}) {
    const uint64_t place = OffsetOf(node.pfn()) + offsetof(NodeHeader, count);
    const auto count = static_cast<uint16_t>(node.count());
    for (const uint16_t wrong : {uint16_t{0}, uint16_t{1000}, uint16_t{0xffff}}) {
      Damage(place, wrong);
      std::string value;
      for (int i = 0; i < kRecords; i++) {
        Status s = store().Get(Key(i), &value);
        EXPECT_TRUE(!s.ok() || value == "value of " + Key(i)) << value;
      }
      const auto iterator = store().NewIterator();
      int walked = 0;
      for (iterator->SeekToLast(); iterator->Valid(); iterator->Prev()) walked++;
      EXPECT_TRUE(walked == kRecords || iterator->status().IsCorruption()) << walked;
    }
    Damage(place, count);
  }
}

// A leaf that seems to hold fewer records is not rewritten without them.
TEST_F(DamageTest, ALeafWithAnotherCountIsNotRewritten) {
  // Until its count is one with which the tables, and so the fences, stay where they are.
  int deleted = 0;
  const auto change = [&] {
    ASSERT_OK(store().Delete(Key(701 + deleted++)));
    for (int i = 0; i < 30; i++) ASSERT_OK(store().Put(Key(700), std::string(100, 'p')));
  };
  while (LeafOf(Key(700)).count() % 4 != 0 && deleted < 8) change();
  const NodeView leaf = LeafOf(Key(700));
  ASSERT_EQ(leaf.count() % 4, 0u);
  const auto count = static_cast<uint16_t>(leaf.count());
  const uint64_t place = OffsetOf(leaf.pfn()) + offsetof(NodeHeader, count);
  Damage(place, static_cast<uint16_t>((count - 1) / 4 * 4 + 1));
  Status s;
  for (int i = 0; i < 100 && s.ok(); i++) s = store().Put(Key(700), std::string(100, 'p'));
  EXPECT_CODE(s, Code::kCorruption);
  Damage(place, count);
  int failures = 0;
  std::string value;
  for (int i = 0; i < kRecords; i++) failures += store().Get(Key(i), &value).ok() ? 0 : 1;
  EXPECT_EQ(failures, deleted) << "records are gone";
}

TEST_F(DamageTest, AnInnerNodeThatIsDamagedIsNotCopied) {
  const NodeView root = Root();
  const uint64_t place = OffsetOf(root.pfn()) + offsetof(NodeHeader, high_bytes);
  Damage(place, uint16_t{3});
  Status s;
  for (int i = 0; i < 200 && s.ok(); i++) {
    s = store().Put(Key(700) + std::to_string(i), std::string(100, 'p'));
  }
  EXPECT_CODE(s, Code::kCorruption);
  EXPECT_TRUE(Contains(s, "pfn " + std::to_string(root.pfn()))) << s.ToString();
}

}  // namespace
}  // namespace tuff::test
