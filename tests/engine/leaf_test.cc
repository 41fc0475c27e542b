#include "engine/leaf.h"

#include <gtest/gtest.h>

#include "engine/node_writer.h"
#include "engine/tree.h"
#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

// A store that is one leaf: its root.
class LeafTest : public testing::Test {
 protected:
  void Put(const std::string& key, const std::string& value) {
    ASSERT_OK(fixture_.store().Put(key, value));
  }
  NodeView Root() {
    auto info = PoolTestPeer::GetCatalogue(fixture_.pool()).Find("store");
    EXPECT_OK(info);
    const Pfn pfn = ChildPfn(Tree(map(), info->id, info->anchor).root_word());
    map().memmap().Touch(pfn);
    const NodeView root(map().base() + OffsetOf(pfn), pfn);
    EXPECT_TRUE(root.is_leaf());
    return root;
  }
  PageMap& map() { return fixture_.map(); }
  // "key=value" of all that is alive.
  std::string Alive() {
    const Leaf leaf(map(), Root());
    std::vector<RecordView> records;
    EXPECT_OK(leaf.Gather(leaf.tail_count(), &records));
    std::string text;
    for (const RecordView& r : records)
      text += std::string(r.key) + "=" + std::string(r.value) + " ";
    return text;
  }

  PoolFixture fixture_;
};

// Nothing writes one there, but a pool may hold anything whose checksums are right.
TEST_F(LeafTest, ADeleteInTheBaseIsNoRecord) {
  Put("x", "1");
  const NodeView root = Root();
  std::vector<std::vector<std::byte>> bytes;
  std::vector<RecordView> records;
  for (const char* key : {"a", "b", "c", "d"}) {
    const bool is_delete = *key == 'b' || *key == 'd';
    bytes.emplace_back(RecordBytes(1, is_delete ? 0 : 1));
    EncodeRecord(bytes.back().data(), key, is_delete ? "" : "v",
                 PackSequence(1, is_delete ? RecordType::kDelete : RecordType::kPut), 0);
    ASSERT_TRUE(ParseRecord(bytes.back().data(), 0, bytes.back().size(), &records.emplace_back()));
  }
  NodeIdentity id;
  id.pfn = root.pfn();
  id.number = root.number();
  id.object_id = root.header().object_id;
  id.order = root.order();
  id.sequence_max = 1;
  std::vector<uint64_t> node(root.bytes() / 8);
  auto* const at = reinterpret_cast<std::byte*>(node.data());
  WriteLeaf(at, id, records, map().hash_seed());
  {
    WriteWindow window(map().domain());
    window.Store(OffsetOf(root.pfn()), at, root.bytes());
  }
  Leaf::ResetTail(map().memmap().At(root.pfn()), Root().base_end(), 1);
  EXPECT_EQ(Alive(), "a=v c=v ");
  std::string forward;
  std::string backward;
  auto it = fixture_.store().NewIterator();
  for (it->SeekToFirst(); it->Valid(); it->Next()) forward += it->key();
  for (it->SeekToLast(); it->Valid(); it->Prev()) backward += it->key();
  EXPECT_OK(it->status());
  EXPECT_EQ(forward, "ac");
  EXPECT_EQ(backward, "ca");
}

TEST_F(LeafTest, TheNewestRecordOfAKeyCounts) {
  Put("b", "1");
  Put("a", "2");
  Put("b", "3");
  Put("c", "4");
  ASSERT_OK(fixture_.store().Delete("a"));
  const Leaf leaf(map(), Root());
  EXPECT_EQ(leaf.tail_count(), 5u);
  RecordView record;
  auto found = leaf.Find("b", &record);
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ(record.value, "3");
  found = leaf.Find("a", &record);
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ(record.type(), RecordType::kDelete);
  found = leaf.Find("d", &record);
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(*found);
  EXPECT_EQ(Alive(), "b=3 c=4 ");
  // As a reader saw it that came earlier.
  std::vector<RecordView> before;
  ASSERT_OK(leaf.Gather(2, &before));
  ASSERT_EQ(before.size(), 2u);
  EXPECT_EQ(before[0].key, "a");
  EXPECT_EQ(before[1].value, "1");
}

TEST_F(LeafTest, BaseAndLogAreMerged) {
  for (int i = 10; i < 50; i++) Put(std::to_string(i % 20 + 10), std::to_string(i));
  ASSERT_OK(fixture_.store().Delete("15"));
  EXPECT_GT(Root().count(), 0u) << "the log has been merged into the base at least once";
  // Key k was written last by the largest i with i % 20 + 10 == k.
  std::string wanted;
  for (int k = 10; k < 30; k++) {
    int last = 0;
    for (int i = 10; i < 50; i++) last = i % 20 + 10 == k ? i : last;
    if (k != 15) wanted += std::to_string(k) + "=" + std::to_string(last) + " ";
  }
  EXPECT_EQ(Alive(), wanted);
  fixture_.Reopen();
  {
    Leaf leaf(map(), Root());
    LatchHold hold(leaf.head().latch);
    EXPECT_OK(leaf.BuildTail());
  }
  EXPECT_EQ(Alive(), wanted);
}

TEST_F(LeafTest, APutLeavesRoomForTheDeleteOfTheLongestKey) {
  Put(std::string(1000, 'k'), "");
  const auto room = [&] {
    const Leaf leaf(map(), Root());
    LatchHold hold(leaf.head().latch);
    size_t bytes = 8;
    while (leaf.HasRoomForPut(1, bytes + 8)) bytes += 8;
    return leaf.tail_end() + bytes;
  };
  const size_t before = room();
  EXPECT_LE(before + ShrinkRoom(1000, 2), kFrameSize);
  EXPECT_GT(before + ShrinkRoom(1000, 2) + 64, kFrameSize);
  // The same from the log, and from the base, of an earlier mount.
  fixture_.Reopen();
  std::string value;
  ASSERT_OK(fixture_.store().Get(std::string(1000, 'k'), &value));
  EXPECT_EQ(room(), before);
  for (int i = 0; i < 30; i++) Put("a", "");
  ASSERT_GT(Root().count(), 0u);
  fixture_.Reopen();
  ASSERT_OK(fixture_.store().Get("a", &value));
  EXPECT_LE(room() + ShrinkRoom(1000, 1), Root().bytes());
}

TEST_F(LeafTest, DamageIsTheRecordsOwn) {
  Put("good", "1");
  Put("bad", "2");
  const NodeView root = Root();
  const Leaf leaf(map(), root);
  {
    WriteWindow window(map().domain());
    const char wrong = '3';
    window.Store(OffsetOf(root.pfn()) + leaf.TailOffset(1) + sizeof(RecordHeader) + 3, &wrong, 1);
  }
  RecordView record;
  auto found = leaf.Find("good", &record);
  EXPECT_TRUE(found.ok() && *found);
  found = leaf.Find("bad", &record);
  EXPECT_CODE(found, Code::kCorruption);
  EXPECT_NE(found.status().message().find("pfn " + std::to_string(root.pfn()) +
                                          ": logged record 1 is damaged"),
            std::string::npos)
      << found.status().ToString();
  std::vector<RecordView> records;
  EXPECT_CODE(leaf.Gather(2, &records), Code::kCorruption);
  EXPECT_OK(leaf.Gather(1, &records));
}

}  // namespace
}  // namespace tuff::test
