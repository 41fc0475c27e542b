// The checker must see what is wrong: each test makes one kind of damage in a pool that was sound.
#include "engine/check.h"

#include <gtest/gtest.h>

#include "tests/engine/check_fixture.h"

namespace tuff::test {
namespace {

class CheckTest : public testing::Test, protected CheckedPool {
 protected:
  // Exactly the problems that contain these texts, in any order.
  void ExpectProblems(const std::vector<std::string>& wanted) {
    const CheckReport report = Check(pool());
    EXPECT_EQ(report.problems.size(), wanted.size()) << report.ToString();
    for (const std::string& text : wanted) {
      EXPECT_NE(report.ToString().find(text), std::string::npos) << "not found: " << text << "\n"
                                                                 << report.ToString();
    }
  }
};

TEST_F(CheckTest, CountsWhatIsThere) {
  const CheckReport report = Check(pool());
  EXPECT_EQ(report.records, 208u + 2);  // and the catalogue's: graveyard and store
  EXPECT_EQ(report.depth_max, 2u);
  EXPECT_GE(report.order_max, 3u);
  EXPECT_GT(report.frames_in_use, 8u * 4);
}

TEST_F(CheckTest, ALeakedFrame) {
  const Pfn pfn = map().allocator().Allocate(1, AllocFor::kGrowth);
  ASSERT_NE(pfn, 0u);
  Store64(OwnerWordOffset(pfn), PackOwner(pfn, FrameKind::kTreeNode, 1, info().id));
  ExpectProblems({"I4: pfn " + std::to_string(pfn) + ": leaked: 2 frames of object " +
                  std::to_string(info().id)});
}

TEST_F(CheckTest, AnOwnerWordThatLies) {
  const NodeView leaf = FirstLeaf();
  Store64(OwnerWordOffset(leaf.pfn()), 0);
  ExpectProblems({"I4: pfn " + std::to_string(leaf.pfn()) + ": owner word 0x0, expected"});
}

TEST_F(CheckTest, OwnerWordsWhereNoneMayBe) {
  const NodeView large = LastLeaf();
  ASSERT_GE(large.order(), 1u);
  const Pfn free = map().allocator().Allocate(0, AllocFor::kGrowth);
  Store64(OwnerWordOffset(large.pfn() + 1), PackOwner(large.pfn() + 1, FrameKind::kTreeNode, 0, 1));
  Store64(OwnerWordOffset(kLanesPfn), PackOwner(kLanesPfn, FrameKind::kMetadata, 0, 1));
  Store64(OwnerWordOffset(free), 0x1234);
  ExpectProblems({"owner word inside the run at " + std::to_string(large.pfn()),
                  "pfn " + std::to_string(kLanesPfn) + ": reserved frame has an owner",
                  "pfn " + std::to_string(free) + ": damaged owner word 0x1234"});
}

TEST_F(CheckTest, AChildThatIsReferredToTwice) {
  const NodeView root = Root();
  const Pfn lost = ChildPfn(root.ChildWord(1));
  Store64(root.ChildPlace(1), root.ChildWord(0));
  ExpectProblems({"I4: pfn " + std::to_string(ChildPfn(root.ChildWord(0))) + ": referred to twice",
                  "I4: pfn " + std::to_string(lost) + ": leaked"});
}

TEST_F(CheckTest, ChildrenThatHaveChangedPlaces) {
  const NodeView root = Root();
  const uint64_t words[] = {root.ChildWord(0), root.ChildWord(1)};
  Store64(root.ChildPlace(0), words[1]);
  Store64(root.ChildPlace(1), words[0]);
  ExpectProblems({"T1: pfn " + std::to_string(ChildPfn(words[0])) + ": fence keys differ",
                  "T1: pfn " + std::to_string(ChildPfn(words[1])) + ": fence keys differ"});
}

TEST_F(CheckTest, ALaneThatIsNotEmpty) {
  Store64(OffsetOf(kLanesPfn + 3), 77);
  ExpectProblems({"I5: lane 3 is not empty"});
  Store64(OffsetOf(kLanesPfn + 3), 0);
}

TEST_F(CheckTest, ADamagedRecord) {
  const NodeView leaf = FirstLeaf();
  ASSERT_GT(leaf.count(), 0u);
  RecordView record;
  ASSERT_TRUE(leaf.BaseRecord(0, &record));
  const auto* value = reinterpret_cast<const std::byte*>(record.value.data());
  Store8(static_cast<uint64_t>(value - map().base()), 'x');
  ExpectProblems({"pfn " + std::to_string(leaf.pfn()) + ": node has a wrong checksum"});
}

TEST_F(CheckTest, ARootThatIsAnotherStores) {
  ASSERT_OK(pool().CreateStore("other"));
  const ObjectInfo other = Find("other");
  const Tree others(map(), other.id, other.anchor);
  Store64(others.root_place(), tree().root_word());
  ExpectProblems({"node belongs to object " + std::to_string(info().id) + ", not " +
                  std::to_string(other.id)});
}

}  // namespace
}  // namespace tuff::test
