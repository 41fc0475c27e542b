// Small nodes in memory, for tests.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/node_writer.h"
#include "tests/test_util.h"

namespace tuff::test {

inline constexpr Pfn kTestPfn = 4096;
inline constexpr uint64_t kTestSeed = 0xfeed;
inline constexpr uint32_t kTestObject = 21;

/// Records in memory, as a leaf's gathering gives them. Owns the bytes.
class TestRecords {
 public:
  void Add(std::string_view key, std::string_view value) {
    auto bytes = std::make_unique<std::byte[]>(RecordBytes(key.size(), value.size()));
    EncodeRecord(bytes.get(), key, value, PackSequence(++sequence_, RecordType::kPut), 0);
    RecordView view;
    EXPECT_TRUE(ParseRecord(bytes.get(), 0, RecordBytes(key.size(), value.size()), &view));
    views_.push_back(view);
    bytes_.push_back(std::move(bytes));
  }
  const std::vector<RecordView>& views() const { return views_; }

 private:
  std::vector<std::unique_ptr<std::byte[]>> bytes_;
  std::vector<RecordView> views_;
  uint64_t sequence_ = 0;
};

/// A node of its own. Child i has the word i + 1; a record's value is its key.
class TestNode {
 public:
  static TestNode Leaf(const std::vector<std::string>& keys, std::string_view low,
                       std::optional<std::string_view> high, unsigned order = 0) {
    TestNode node;
    TestRecords records;
    for (const std::string& key : keys) records.Add(key, key);
    WriteLeaf(node.bytes(), Identity(0, order, low, high), records.views(), kTestSeed);
    return node;
  }
  static TestNode Inner(const std::vector<std::string>& lows, std::string_view low,
                        std::optional<std::string_view> high, unsigned order = 2) {
    TestNode node;
    std::vector<ChildEntry> children;
    for (const std::string& text : lows) children.push_back({text, children.size() + 1});
    EXPECT_LE(InnerBytes(children, low, high), kFrameSize << order);
    WriteInner(node.bytes(), Identity(1, order, low, high), children, kTestSeed);
    return node;
  }
  static NodeIdentity Identity(unsigned level, unsigned order, std::string_view low,
                               std::optional<std::string_view> high) {
    NodeIdentity id;
    id.pfn = kTestPfn;
    id.number = 99;
    id.object_id = kTestObject;
    id.level = level;
    id.order = order;
    id.low = low;
    id.high = high;
    return id;
  }

  std::byte* bytes() { return reinterpret_cast<std::byte*>(words_.data()); }
  NodeView view() { return {bytes(), kTestPfn}; }
  Status Verify() { return VerifyNode(view(), kTestSeed, kTestObject); }
  /// Makes the checksum right again.
  void Reseal() {
    auto* header = reinterpret_cast<NodeHeader*>(bytes());
    const size_t end = std::clamp<size_t>(header->base_end * 8ul, 64, kNodeBytesMax);
    header->checksum = NodeChecksum(bytes(), end, kTestSeed, kTestPfn);
  }

 private:
  std::vector<uint64_t> words_ = std::vector<uint64_t>(kNodeBytesMax / 8);
};

}  // namespace tuff::test
