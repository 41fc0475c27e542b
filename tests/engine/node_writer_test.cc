// Plans: what goes into one node or two always fits, and separators separate.
#include "engine/node_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/engine/node_test_util.h"

namespace tuff::test {
namespace {

TEST(SeparatorTest, IsShortestBetween) {
  EXPECT_EQ(ShortestSeparator("", "abc"), "a");
  EXPECT_EQ(ShortestSeparator("abc", "abd"), "abd");
  EXPECT_EQ(ShortestSeparator("abc", "b"), "b");
  EXPECT_EQ(ShortestSeparator("a", std::string_view("a\0", 2)), std::string_view("a\0", 2));
  EXPECT_EQ(ShortestSeparator("a", std::string_view("a\0\0", 3)), std::string_view("a\0", 2));
  Random random(1);
  for (int i = 0; i < 20000; i++) {
    std::string left(random.Below(5), '\0');
    std::string right(random.Below(5), '\0');
    for (char& c : left) c = "\0a\xff"[random.Below(3)];
    for (char& c : right) c = "\0a\xff"[random.Below(3)];
    if (left >= right) continue;
    const std::string_view separator = ShortestSeparator(left, right);
    EXPECT_GT(separator, left);
    EXPECT_LE(separator, right);
    if (separator.size() > 1) {  // no shorter one would do
      EXPECT_LE(right.substr(0, separator.size() - 1), left);
    }
  }
}

// Lays the plan out in real nodes and looks whether all is there.
void CheckLeafPlan(const NodePlan& plan, const std::vector<RecordView>& records,
                   std::string_view low, std::optional<std::string_view> high,
                   const PendingRecord& pending) {
  ASSERT_TRUE(plan.parts.size() == 1 || plan.parts.size() == 2);
  ASSERT_EQ(plan.parts.front().first, 0u);
  ASSERT_EQ(plan.parts.back().last, records.size());
  const bool split = plan.parts.size() == 2;
  if (split) {
    ASSERT_EQ(plan.parts[0].last, plan.parts[1].first);
    ASSERT_GT(plan.separator, low);
    if (high) {
      ASSERT_LT(plan.separator, *high);
    }
  }
  for (size_t i = 0; i < plan.parts.size(); i++) {
    const NodePlan::Part& part = plan.parts[i];
    ASSERT_LE(part.order, kNodeOrderMax);
    const std::string_view part_low = i == 0 ? low : std::string_view(plan.separator);
    std::optional<std::string_view> part_high = high;
    if (split && i == 0) part_high = plan.separator;
    const auto mine = std::span(records).subspan(part.first, part.last - part.first);
    for (const RecordView& record : mine) {
      ASSERT_GE(record.key, part_low);
      if (part_high) {
        ASSERT_LT(record.key, *part_high);
      }
    }
    const bool has_pending =
        pending.bytes > 0 && pending.key >= part_low && (!part_high || pending.key < *part_high);
    const size_t bytes = LeafBaseBytes(mine, part_low, part_high);
    ASSERT_LE(bytes + (has_pending ? pending.bytes : 0), kFrameSize << part.order);
    std::vector<uint64_t> node(kNodeBytesMax / 8, ~0ull);
    auto* const at = reinterpret_cast<std::byte*>(node.data());
    WriteLeaf(at, TestNode::Identity(0, part.order, part_low, part_high), mine, kTestSeed);
    const NodeView view(at, kTestPfn);
    ASSERT_EQ(view.base_end(), bytes);
    ASSERT_OK(VerifyNode(view, kTestSeed, kTestObject));
    for (size_t k = 0; k < mine.size(); k++) {
      RecordView record;
      ASSERT_TRUE(view.BaseRecord(k, &record));
      ASSERT_EQ(record.key, mine[k].key);
      ASSERT_EQ(record.value, mine[k].value);
      ASSERT_EQ(record.sequence_and_type, mine[k].sequence_and_type);
      ASSERT_TRUE(VerifyRecord(record, RecordSeed(kTestSeed, 99, record.offset)));
    }
    for (size_t k = bytes; k < kFrameSize << part.order; k++) ASSERT_EQ(at[k], std::byte{0});
  }
}

struct Lengths {
  size_t key_max, value_max;
  bool mixed;
};

TEST(PlanLeafTest, RandomRecordsAlwaysFit) {
  Random random(17);
  const Lengths shapes[] = {{16, 100, false},    {16, 0, false},   {1000, 20, false},
                            {1024, 15000, true}, {8, 16000, true}, {300, 1000, true}};
  for (int round = 0; round < 1500; round++) {
    const Lengths& shape = shapes[round % std::size(shapes)];
    // As many records as a full leaf of any order may hold: base and log.
    const unsigned order = static_cast<unsigned>(random.Below(kNodeOrderMax + 1));
    const auto record_size = [&](size_t max) {
      return shape.mixed && !random.OneIn(8) ? random.Below(std::min<size_t>(max, 60) + 1) : max;
    };
    std::set<std::string> keys;
    size_t sum = sizeof(NodeHeader);
    TestRecords records;
    std::vector<std::pair<std::string, size_t>> wanted;
    for (;;) {
      std::string key = random.Bytes(std::max<size_t>(1, record_size(shape.key_max)));
      const size_t value = std::min(record_size(shape.value_max), ValueSizeMax(key.size()));
      sum += RecordBytes(key.size(), value);
      if (sum > kFrameSize << order) break;
      if (keys.insert(key).second) wanted.emplace_back(key, value);
    }
    std::sort(wanted.begin(), wanted.end());
    for (const auto& [key, value] : wanted) records.Add(key, std::string(value, 'v'));
    const size_t n = wanted.size();

    PendingRecord pending;
    const int where = static_cast<int>(random.Below(4));
    std::string key = where == 0 && n > 0   ? wanted[random.Below(n)].first  // an overwrite
                      : where == 1 && n > 0 ? wanted[n - 1].first.substr(0, 1000) + "\xff\xff"
                                            : random.Bytes(1 + random.Below(shape.key_max));
    pending.key = key;
    pending.bytes = RecordBytes(
        key.size(), std::min<size_t>(ValueSizeMax(key.size()), random.Below(shape.value_max + 1)));
    pending.shrinking = where == 0 && n > 0 && random.OneIn(2);
    if (pending.shrinking) pending.bytes = RecordBytes(key.size(), 0);
    // The range: open, or just wide enough.
    std::string low = n > 0 ? std::min(wanted[0].first, key) : key;
    std::optional<std::string> high;
    if (random.OneIn(2)) low.clear();
    if (random.OneIn(2)) high = std::max(key, n > 0 ? wanted[n - 1].first : key) + '\0';
    if (high && high->size() > kKeySizeMax) high.reset();
    const NodePlan plan = PlanLeaf(records.views(), low, high, pending);
    CheckLeafPlan(plan, records.views(), low, high, pending);
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << "round " << round;
  }
}

TEST(PlanLeafTest, LargestRecordOverwrittenByTheLargest) {
  TestRecords records;
  records.Add("key", std::string(ValueSizeMax(3), 'v'));
  const PendingRecord pending{"key", RecordBytes(3, ValueSizeMax(3))};
  CheckLeafPlan(PlanLeaf(records.views(), "", std::nullopt, pending), records.views(), "",
                std::nullopt, pending);
}

// Long keys in order, the last leaf full: it once found no plan, since the fence key of a split
// behind the last record did not fit any more.
TEST(PlanLeafTest, AppendingToAFullLeafOfTheLargestOrder) {
  TestRecords records;
  const std::string filler(1000, 'x');
  size_t sum = sizeof(NodeHeader) + 1000;
  for (int i = 100; sum + RecordBytes(1003, 20) <= kNodeBytesMax; i++) {
    records.Add(filler + std::to_string(i), std::string(20, 'v'));
    sum += RecordBytes(1003, 20);
  }
  const std::string key = filler + "999";
  const PendingRecord pending{key, RecordBytes(1003, 20)};
  CheckLeafPlan(PlanLeaf(records.views(), filler, std::nullopt, pending), records.views(), filler,
                std::nullopt, pending);
}

TEST(PlanLeafTest, AscendingKeysLeaveTheLeftLeafFull) {
  TestRecords records;
  for (int i = 100; i < 160; i++) records.Add(std::to_string(i), std::string(30, 'v'));
  const PendingRecord pending{"999", RecordBytes(3, 30)};
  const NodePlan plan = PlanLeaf(records.views(), "", std::nullopt, pending);
  ASSERT_EQ(plan.parts.size(), 2u);
  EXPECT_EQ(plan.parts[0].last, 60u);
  EXPECT_EQ(plan.separator, "9");
}

TEST(PlanLeafTest, ShrinkingNeverGrows) {
  // A leaf full of puts, as HasRoomForPut leaves it, is rewritten in its own size with a delete.
  for (const size_t value : {0, 8, 100, 200}) {
    TestRecords records;
    size_t sum = sizeof(NodeHeader);
    for (int i = 1000;; i++) {
      sum += RecordBytes(4, value) + 3;
      if (sum + ShrinkRoom(4, 1) > kFrameSize) break;
      records.Add(std::to_string(i), std::string(value, 'v'));
    }
    const PendingRecord pending{"1001", RecordBytes(4, 0), true};
    const NodePlan plan = PlanLeaf(records.views(), "", "2", pending);
    ASSERT_EQ(plan.parts.size(), 1u);
    EXPECT_EQ(plan.parts[0].order, 0u) << "values of " << value;
  }
}

TEST(PlanInnerTest, RandomChildrenAlwaysFit) {
  Random random(23);
  for (int round = 0; round < 600; round++) {
    const size_t key_max = round % 3 == 0 ? 12 : round % 3 == 1 ? 100 : kKeySizeMax;
    const std::string prefix(round % 5 == 0 ? 0 : random.Below(key_max / 2), 'p');
    std::set<std::string> lows;
    const size_t bytes_max = kFrameSize << random.Below(kNodeOrderMax + 1);
    for (size_t sum = 2 * kKeySizeMax + 100; sum < bytes_max;) {
      std::string text = prefix + random.Bytes(1 + random.Below(key_max - prefix.size()));
      sum += text.size() + 20;
      lows.insert(text);
    }
    const std::string low = prefix;
    lows.erase(low);
    std::optional<std::string_view> high;
    std::string high_text = prefix + std::string(1, '\xff') + std::string(1, '\xff');
    while (!lows.empty() && *lows.rbegin() >= high_text) lows.erase(std::prev(lows.end()));
    if (!prefix.empty()) high = high_text;
    std::vector<ChildEntry> children = {{low, 1}};
    for (const std::string& text : lows) children.push_back({text, children.size() + 1});
    const NodePlan plan = PlanInner(children, low, high);
    ASSERT_TRUE(plan.parts.size() == 1 || plan.parts.size() == 2) << children.size();
    ASSERT_EQ(plan.parts.back().last, children.size());
    for (const NodePlan::Part& part : plan.parts) {
      const bool second = part.first != 0;
      const auto mine = std::span(children).subspan(part.first, part.last - part.first);
      std::optional<std::string_view> part_high = high;
      if (!second && plan.parts.size() == 2) part_high = plan.separator;
      ASSERT_GE(mine.size(), plan.parts.size() == 2 ? 2u : 1u);
      if (second) {
        ASSERT_EQ(mine[0].low, plan.separator);
      }
      ASSERT_LE(InnerBytes(mine, mine[0].low, part_high), kFrameSize << part.order);
      std::vector<uint64_t> node(kNodeBytesMax / 8, ~0ull);
      auto* const at = reinterpret_cast<std::byte*>(node.data());
      WriteInner(at, TestNode::Identity(1, part.order, mine[0].low, part_high), mine, kTestSeed);
      const NodeView view(at, kTestPfn);
      ASSERT_OK(VerifyNode(view, kTestSeed, kTestObject));
      for (size_t i = 0; i < mine.size(); i++) {
        ASSERT_EQ(view.ChildWord(i), mine[i].word);
        ASSERT_EQ(view.ChildIndex(mine[i].low), i);
      }
    }
  }
}

// An inner node grown child by child, in place of each the node that is written from a list.
TEST(InnerSpliceTest, GivesWhatWriteInnerGives) {
  Random random(7);
  for (int round = 0; round < 60; round++) {
    const std::string low = round % 3 == 0 ? "" : "common/p";
    std::optional<std::string> high;
    if (round % 2 == 0) high = low.empty() ? "\xff\xff" : "common/q";
    std::set<std::string> lows;
    TestNode node = TestNode::Inner({low}, low, high);
    std::vector<ChildEntry> children{{low, 1}};
    for (uint64_t word = 2; word < 120; word++) {
      std::string separator = low + std::string(1 + random.Below(20), 'a');
      for (size_t i = low.size(); i < separator.size(); i++) {
        separator[i] = "\0ab\xfe"[random.Below(round % 5 == 0 ? 2 : 4)];
      }
      const auto [place, is_new] = lows.insert(separator);
      if (!is_new || *place <= low || (high && separator >= *high)) continue;
      const size_t at = node.view().ChildIndex(separator);
      TestNode spliced;
      const InnerSplice splice(node.view(), at, separator);
      ASSERT_TRUE(splice.possible());
      splice.Write(spliced.bytes(), TestNode::Identity(1, 2, low, high), 1000 + word, word,
                   kTestSeed);
      ASSERT_TRUE(spliced.Verify().ok()) << spliced.Verify().ToString();
      children[at].word = 1000 + word;
      children.insert(children.begin() + static_cast<ptrdiff_t>(at) + 1, {*place, word});
      ASSERT_EQ(splice.bytes(), InnerBytes(children, low, high));
      ASSERT_EQ(spliced.view().base_end() + 8 * children.size(), InnerBytes(children, low, high));
      ASSERT_EQ(spliced.view().prefix().size(), node.view().prefix().size());
      for (size_t i = 0; i < children.size(); i++) {
        ASSERT_EQ(spliced.view().ChildWord(i), children[i].word);
        std::string text;
        if (i > 0) spliced.view().AppendSeparator(i - 1, &text);
        ASSERT_EQ(text, i > 0 ? children[i].low : "");
        ASSERT_EQ(spliced.view().ChildIndex(children[i].low), i);
      }
      node = spliced;
    }
  }
}

// What no writer of ours lays out so, but whose checksum somebody has made right.
struct HostileInner {
  TestNode node = TestNode::Inner({"a", "b", "c-separator", "d"}, "a", "z");

  InnerSlot Slot(size_t i) { return node.view().Slot(i); }
  void SetSlot(size_t i, InnerSlot slot) {
    std::memcpy(node.bytes() + node.view().inner_slots_offset() + sizeof slot * i, &slot,
                sizeof slot);
    node.Reseal();
    ASSERT_TRUE(node.Verify().ok()) << node.Verify().ToString();
  }
};

TEST(InnerSpliceTest, TextInFrontOfTheFencesIsNotTaken) {
  HostileInner hostile;
  hostile.SetSlot(0, {8, 1});
  EXPECT_FALSE(InnerSplice(hostile.node.view(), 2, "q").possible());
}

TEST(InnerSpliceTest, AShortSeparatorsOffsetMayLieBehindAllText) {
  HostileInner hostile;
  const auto end = static_cast<uint16_t>(hostile.node.view().base_end());
  hostile.SetSlot(2, {end, 1});
  const InnerSplice splice(hostile.node.view(), 1, "c");
  ASSERT_TRUE(splice.possible());
  TestNode spliced;
  splice.Write(spliced.bytes(), TestNode::Identity(1, 2, "a", "z"), 10, 11, kTestSeed);
  ASSERT_TRUE(spliced.Verify().ok()) << spliced.Verify().ToString();
  EXPECT_EQ(spliced.view().ChildWord(1), 10u);
  EXPECT_EQ(spliced.view().ChildWord(2), 11u);
}

TEST(InnerSpliceTest, APrefixThatNotAllOfTheRangeHasIsNotTaken) {
  TestNode node = TestNode::Inner({"aaaa", "aaaab"}, "aaaa", "b");
  auto* const header = reinterpret_cast<NodeHeader*>(node.bytes());
  ASSERT_EQ(header->prefix_bytes, 0);
  header->prefix_bytes = 4;  // the separator is now "aaaaaaaab"
  node.Reseal();
  ASSERT_TRUE(node.Verify().ok()) << node.Verify().ToString();
  EXPECT_FALSE(InnerSplice(node.view(), 1, "ab").possible());
  EXPECT_FALSE(InnerSplice(node.view(), 1, "ab-and-longer").possible());
  EXPECT_TRUE(InnerSplice(node.view(), 1, "aaaab").possible());
}

TEST(ThinTest, FewRecordsAreThinManyAreNot) {
  TestRecords records;
  EXPECT_TRUE(LeafIsThin(records.views()));
  for (int i = 100; i < 104; i++) records.Add(std::to_string(i), std::string(100, 'v'));
  EXPECT_TRUE(LeafIsThin(records.views()));
  for (int i = 200; i < 220; i++) records.Add(std::to_string(i), std::string(100, 'v'));
  EXPECT_FALSE(LeafIsThin(records.views()));
}

}  // namespace
}  // namespace tuff::test
