// Nodes as they lie in the pool: search in them, and every damage that VerifyNode must see.
#include "engine/node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "engine/node_writer.h"
#include "tests/engine/node_test_util.h"

namespace tuff::test {
namespace {

// Flips every bit of `bytes` up to `n`, one by one; VerifyNode must refuse each.
void ExpectEveryBitMatters(TestNode& node, size_t n) {
  ASSERT_OK(node.Verify());
  for (size_t bit = 0; bit < n * 8; bit++) {
    const size_t at = bit / 8;
    if (at == offsetof(NodeHeader, order)) continue;  // below: the caller must have checked it
    const auto mask = static_cast<std::byte>(1u << bit % 8);
    node.bytes()[at] ^= mask;
    EXPECT_TRUE(node.Verify().IsCorruption()) << "byte " << at << ", bit " << bit % 8;
    node.bytes()[at] ^= mask;
  }
  for (uint8_t order = 0; order <= kNodeOrderMax; order++) {
    auto& there = reinterpret_cast<NodeHeader*>(node.bytes())->order;
    const uint8_t before = there;
    if (order == before) continue;
    there = order;
    EXPECT_TRUE(node.Verify().IsCorruption()) << "order " << int{order};
    there = before;
  }
  ASSERT_OK(node.Verify());
}

TEST(NodeTest, EveryFlippedBitOfALeafIsRejected) {
  TestNode leaf = TestNode::Leaf({"ba", "bb", "bcd"}, "b", "c");
  ExpectEveryBitMatters(leaf, leaf.view().base_end());
}

TEST(NodeTest, EveryFlippedBitOfAnInnerNodeIsRejected) {
  TestNode inner = TestNode::Inner({"b", "b23456789abc", "b3"}, "b", "c");
  ExpectEveryBitMatters(inner, inner.view().base_end());
}

TEST(NodeTest, WrongPlaceOrOwnerIsRejected) {
  TestNode leaf = TestNode::Leaf({"a"}, "", std::nullopt);
  EXPECT_OK(leaf.Verify());
  EXPECT_TRUE(
      VerifyNode(NodeView(leaf.bytes(), kTestPfn + 1), kTestSeed, kTestObject).IsCorruption());
  EXPECT_TRUE(VerifyNode(leaf.view(), kTestSeed + 1, kTestObject).IsCorruption());
  EXPECT_TRUE(VerifyNode(leaf.view(), kTestSeed, kTestObject + 1).IsCorruption());
}

// Headers with a right checksum and absurd fields: what a hostile file may hold.
TEST(NodeTest, HostileHeadersAreRejected) {
  const std::pair<const char*, void (*)(NodeHeader&)> edits[] = {
      {"kind 0", [](NodeHeader& h) { h.kind = 0; }},
      {"kind 3", [](NodeHeader& h) { h.kind = 3; }},
      {"other kind", [](NodeHeader& h) { h.kind = h.kind == kNodeLeaf ? kNodeInner : kNodeLeaf; }},
      {"level", [](NodeHeader& h) { h.level = h.level == 0 ? 1 : 0; }},
      {"high level", [](NodeHeader& h) { h.level = 200; }},
      {"count", [](NodeHeader& h) { h.count = 65535; }},
      {"count + 1", [](NodeHeader& h) { h.count++; }},
      {"base_end 0", [](NodeHeader& h) { h.base_end = 0; }},
      {"base_end max", [](NodeHeader& h) { h.base_end = 65535; }},
      {"low_bytes", [](NodeHeader& h) { h.low_bytes = 1025; }},
      {"low_bytes max", [](NodeHeader& h) { h.low_bytes = 65535; }},
      {"high_bytes", [](NodeHeader& h) { h.high_bytes = 65535; }},
      {"high_bytes 0", [](NodeHeader& h) { h.high_bytes = 0; }},
      {"high fence and none", [](NodeHeader& h) { h.flags |= kNodeNoHighFence; }},
      {"prefix_bytes", [](NodeHeader& h) { h.prefix_bytes = 2; }},
      {"fences swapped", [](NodeHeader& h) { std::swap(h.low_bytes, h.high_bytes); }},
  };
  for (const bool is_leaf : {true, false}) {
    for (const auto& [what, edit] : edits) {
      SCOPED_TRACE(std::string(what) + (is_leaf ? " of a leaf" : " of an inner node"));
      TestNode node = is_leaf ? TestNode::Leaf({"ba", "bb", "bcd"}, "b", "cc")
                              : TestNode::Inner({"b", "b2", "b3"}, "b", "cc");
      edit(*reinterpret_cast<NodeHeader*>(node.bytes()));
      node.Reseal();
      EXPECT_TRUE(node.Verify().IsCorruption());
    }
  }
}

TEST(NodeTest, HostileTablesAreRejected) {
  for (const uint16_t slot : {0, 1, 8, 65535}) {
    TestNode leaf = TestNode::Leaf({"ba", "bb", "bcd"}, "b", "c");
    std::memcpy(leaf.bytes() + leaf.view().leaf_slots_offset() + 2, &slot, 2);
    leaf.Reseal();
    EXPECT_TRUE(leaf.Verify().IsCorruption()) << "slot " << slot;
  }
  for (const InnerSlot slot : {InnerSlot{0, 65535}, InnerSlot{65535, 12}, InnerSlot{4095, 1024},
                               InnerSlot{100, 1025}, InnerSlot{100, 0}}) {
    TestNode inner = TestNode::Inner({"b", "b23456789abc", "b3"}, "b", "c");
    std::memcpy(inner.bytes() + inner.view().inner_slots_offset(), &slot, sizeof slot);
    inner.Reseal();
    EXPECT_TRUE(inner.Verify().IsCorruption()) << slot.offset << ' ' << slot.bytes;
  }
  // A separator as long as a key may be, but for the prefix in front of it.
  const std::string prefix(10, 'p');
  TestNode inner = TestNode::Inner(
      {prefix, prefix + "1" + std::string(1000, 'x'), prefix + "2" + std::string(1000, 'x')},
      prefix, prefix + "9");
  ASSERT_EQ(inner.view().SeparatorBytes(0), 1011u);
  ASSERT_OK(inner.Verify());
  InnerSlot slot{};
  std::memcpy(&slot, inner.bytes() + inner.view().inner_slots_offset(), sizeof slot);
  slot.bytes = kKeySizeMax - 9;
  std::memcpy(inner.bytes() + inner.view().inner_slots_offset(), &slot, sizeof slot);
  inner.Reseal();
  EXPECT_TRUE(inner.Verify().IsCorruption());

  TestNode swapped = TestNode::Inner({"b", "b2", "b3"}, "b", "c");
  std::swap_ranges(swapped.bytes() + 64, swapped.bytes() + 72, swapped.bytes() + 72);
  swapped.Reseal();
  EXPECT_TRUE(swapped.Verify().IsCorruption()) << "separators out of order";
}

TEST(NodeTest, LeafLowerBound) {
  const std::vector<std::string> keys = {std::string("a"), std::string("a\0", 2), "aa", "b", "bb"};
  TestNode leaf = TestNode::Leaf(keys, "", std::nullopt);
  for (const std::string& key : {std::string("A"), std::string("a"), std::string("a\0", 2),
                                 std::string("a\0\0", 3), std::string("aa"), std::string("ab"),
                                 std::string("b"), std::string("bb"), std::string("c")}) {
    const auto expected = std::lower_bound(keys.begin(), keys.end(), key) - keys.begin();
    EXPECT_EQ(leaf.view().LowerBound(key), expected) << key;
  }
}

// ChildIndex against the definition, for separators and probes that tie in their heads.
void CheckChildIndex(const std::set<std::string>& separators, std::string_view low,
                     std::optional<std::string_view> high, Random& random) {
  std::vector<std::string> lows = {std::string(low)};
  for (const std::string& separator : separators) {
    if (separator > low && (!high || separator < *high)) lows.push_back(separator);
  }
  TestNode inner = TestNode::Inner(lows, low, high);
  ASSERT_OK(inner.Verify());
  const NodeView node = inner.view();
  ASSERT_EQ(node.count(), lows.size());
  std::vector<std::string> probes = lows;
  for (const std::string& text : lows) {
    probes.push_back(text + std::string(1, '\0'));
    probes.push_back(text + "\xff");
    if (!text.empty()) probes.push_back(text.substr(0, text.size() - 1));
    probes.push_back(text.substr(0, text.size() / 2) + random.Bytes(1 + random.Below(9)));
  }
  for (const std::string& probe : probes) {
    if (probe < low || (high && probe >= *high)) continue;
    const auto at =
        static_cast<size_t>(std::upper_bound(lows.begin() + 1, lows.end(), probe) - lows.begin()) -
        1;
    EXPECT_EQ(node.ChildIndex(probe), at);
    const auto before =
        static_cast<size_t>(std::lower_bound(lows.begin() + 1, lows.end(), probe) - lows.begin()) -
        1;
    EXPECT_EQ(node.ChildIndexBefore(probe), before);
  }
  for (size_t i = 0; i < node.separators(); i++) {
    std::string separator;
    node.AppendSeparator(i, &separator);
    EXPECT_EQ(separator, lows[i + 1]);
    EXPECT_EQ(node.ChildWord(i), i + 1);  // as TestNode numbers them
  }
}

TEST(NodeTest, ChildIndexWithTiesPrefixesAndZeros) {
  Random random(7);
  for (int round = 0; round < 200; round++) {
    // A small alphabet, and lengths around the 8 bytes of a head.
    const size_t prefix_bytes = round % 4 == 0 ? 0 : random.Below(200);
    const std::string prefix(prefix_bytes, 'p');
    std::set<std::string> separators;
    const size_t n = 1 + random.Below(50);
    for (size_t i = 0; i < n; i++) {
      std::string text = prefix;
      const size_t bytes = 1 + random.Below(20);
      const bool tie = random.OneIn(2);
      for (size_t k = 0; k < bytes; k++) {
        text.push_back(tie && k < 8 ? 'a' : "\0a\xff"[random.Below(3)]);
      }
      separators.insert(text);
    }
    if (prefix.empty()) {
      CheckChildIndex(separators, "", std::nullopt, random);
    } else {
      CheckChildIndex(separators, prefix, prefix + "\xff\xff\xff\xff\xff\xff", random);
    }
  }
  CheckChildIndex({"a", std::string("a\0", 2), std::string("a\0\0", 3), "aaaaaaaa",
                   std::string("aaaaaaaa\0", 9), "aaaaaaaab"},
                  "", std::nullopt, random);
}

TEST(NodeTest, KeyHeadOrdersAsKeysDo) {
  Random random(3);
  for (int i = 0; i < 10000; i++) {
    const std::string a = random.Bytes(random.Below(12));
    const std::string b = random.Bytes(random.Below(12));
    if (KeyHead(a) < KeyHead(b)) {
      EXPECT_LT(a, b);
    }
    if (a < b) {
      EXPECT_LE(KeyHead(a), KeyHead(b));
    }
  }
}

}  // namespace
}  // namespace tuff::test
