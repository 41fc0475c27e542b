// What is salvaged from a pool that lacks one thing or another.
#include "engine/repair/salvage.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fmt/format.h>

#include "engine/node_writer.h"
#include "engine/object_format.h"
#include "pagemap/frame_format.h"
#include "tests/crash/isolate.h"
#include "tests/damage/rich_pool.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

using Kind = SalvageFinding::Kind;

constexpr int kRecords = 3000;

std::string Key(int i) { return fmt::format("key{:05}", i); }
std::string Value(int i) { return fmt::format("value of {:0100}", i); }

class SalvageTest : public testing::Test {
 protected:
  SalvageTest() {
    for (int i = 0; i < kRecords; i++) Put(Key(i), Value(i));
    // Of what is deleted the leaves tell.
    for (int i = 0; i < kRecords; i += 10) Delete(Key(i));
    other_["b"] = "";
    auto other = pool().CreateStore("other");
    EXPECT_OK(other);
    EXPECT_OK((*other)->Put("b", ""));
    EXPECT_OK(pool().CreateStore("empty"));
    const auto stores = pool().ListStores();
    for (const StoreInfo& info : *stores) anchors_[info.name] = info.anchor_pfn;
  }

  Pool& pool() { return fixture_.pool(); }
  std::string path() const { return fixture_.path(); }
  std::string to() const { return dir_.File("new"); }
  void Put(const std::string& key, const std::string& value) {
    EXPECT_OK(fixture_.store().Put(key, value));
    contents_[key] = value;
  }
  void Delete(const std::string& key) {
    EXPECT_OK(fixture_.store().Delete(key));
    contents_.erase(key);
  }

  NodeView NodeAt(uint64_t word) {
    return {fixture_.map().base() + OffsetOf(ChildPfn(word)), ChildPfn(word)};
  }
  NodeView Root(const std::string& store) {
    const uint64_t place = OffsetOf(anchors_[store]) + offsetof(Anchor, root);
    return NodeAt(Load64(fixture_.map().base() + place));
  }
  NodeView LeafOf(const std::string& key) {
    NodeView node = Root("store");
    while (!node.is_leaf()) node = NodeAt(node.ChildWord(node.ChildIndex(key)));
    return node;
  }
  void Overwrite(Pfn pfn, size_t n = kFrameSize) {
    WriteAt(path(), OffsetOf(pfn), std::string(n, '\xa5'));
  }

  // Salvages, and opens what was saved. The old file must not change.
  SalvageReport Salvage() {
    if (fixture_.is_open()) fixture_.Close();
    const std::string before = ReadWholeFile(path());
    SalvageOptions options;
    options.sparse = true;
    options.open = SmallPool().open;
    auto report = SalvagePool(path(), to(), options);
    EXPECT_OK(report.status());
    EXPECT_TRUE(ReadWholeFile(path()) == before) << "the old pool has changed";
    if (!report.ok()) return {};
    auto pool = Pool::Open(to(), SmallPool().open);
    EXPECT_OK(pool.status());
    EXPECT_EQ(Problems(**pool), "");
    const auto stores = (*pool)->ListStores();
    for (const StoreInfo& info : *stores) {
      saved_[info.name] = Read(**(*pool)->OpenStore(info.name));
    }
    return *report;
  }
  void ExpectAll() {
    EXPECT_EQ(saved_.size(), 3u);
    EXPECT_EQ(saved_["store"], contents_);
    EXPECT_EQ(saved_["other"], other_);
    EXPECT_TRUE(saved_["empty"].empty());
  }

  PoolFixture fixture_;
  TempDir dir_;
  Contents contents_;
  Contents other_;
  std::map<std::string, Pfn> anchors_;
  std::map<std::string, Contents> saved_;
};

TEST_F(SalvageTest, NothingIsWrong) {
  const SalvageReport report = Salvage();
  EXPECT_TRUE(report.whole());
  EXPECT_TRUE(report.findings.empty());
  EXPECT_EQ(report.records, contents_.size() + 1);
  ExpectAll();
}

TEST_F(SalvageTest, BothSuperblocksAreGone) {
  fixture_.Close();
  Overwrite(kSuperblockPfn, 2 * kFrameSize);
  EXPECT_TRUE(Salvage().whole());
  ExpectAll();
}

TEST_F(SalvageTest, TheCataloguesAnchorIsGone) {
  fixture_.Close();
  Overwrite(kCatalogueAnchorPfn);
  EXPECT_TRUE(Salvage().whole());
  ExpectAll();
}

TEST_F(SalvageTest, ACatalogueLeafIsGone) {
  const uint64_t word =
      Load64(fixture_.map().base() + OffsetOf(kCatalogueAnchorPfn) + offsetof(Anchor, root));
  const uint32_t id = Root("store").header().object_id;
  fixture_.Close();
  Overwrite(ChildPfn(word));
  const SalvageReport report = Salvage();
  EXPECT_GT(report.lost, 0u);
  EXPECT_EQ(saved_[fmt::format("lost+found-{}", id)], contents_);
  EXPECT_EQ(saved_.size(), 2u);  // nobody knows of the empty one
}

TEST_F(SalvageTest, ARootIsGone) {
  const Pfn root = Root("store").pfn();
  const NodeView view = Root("store");
  ASSERT_FALSE(view.is_leaf());
  fixture_.Close();
  Overwrite(root);
  EXPECT_TRUE(Salvage().whole());
  ExpectAll();
}

TEST_F(SalvageTest, AnAnchorIsGone) {
  fixture_.Close();
  Overwrite(anchors_["store"]);
  EXPECT_TRUE(Salvage().whole());
  ExpectAll();
}

TEST_F(SalvageTest, TheFrameTableIsGone) {
  const Pfn leaf = LeafOf(Key(1)).pfn();
  const uint64_t table = OwnerWordOffset(leaf) / kFrameSize * kFrameSize;
  for (const char fill : {'\0', '\xa5'}) {
    if (fixture_.is_open()) fixture_.Close();
    WriteAt(path(), table, std::string(kFrameSize, fill));
    const SalvageReport report = Salvage();
    EXPECT_EQ(report.lost, 0u);
    EXPECT_GT(report.doubtful, 0u);
    ExpectAll();
    unlink(to().c_str());
    saved_.clear();
  }
}

TEST_F(SalvageTest, ALeafIsGone) {
  const NodeView leaf = LeafOf(Key(700));
  const std::string low(leaf.low());
  const std::string high(leaf.high());
  const Pfn pfn = leaf.pfn();
  fixture_.Close();
  Overwrite(pfn);
  const SalvageReport report = Salvage();
  ASSERT_EQ(report.lost, 1u);
  const SalvageFinding& finding = report.findings.back();
  EXPECT_EQ(finding.kind, Kind::kLost);
  EXPECT_EQ(finding.store, "store");
  EXPECT_EQ(finding.pfn, pfn);
  EXPECT_EQ(finding.from, low);
  EXPECT_EQ(finding.to, high);
  std::erase_if(contents_,
                [&](const auto& entry) { return entry.first >= low && entry.first < high; });
  ExpectAll();
}

TEST_F(SalvageTest, OfADamagedLeafWhatIsWhole) {
  const NodeView leaf = LeafOf(Key(700));
  const std::string low(leaf.low());
  const std::string high(leaf.high());
  RecordView record;
  ASSERT_TRUE(leaf.BaseRecord(3, &record));
  const std::string victim(record.key);
  const uint64_t place = OffsetOf(leaf.pfn()) + record.offset + sizeof(RecordHeader);
  fixture_.Close();
  FlipByte(path(), place);
  const SalvageReport report = Salvage();
  EXPECT_EQ(report.lost, 1u);
  contents_.erase(victim);
  ExpectAll();
}

// An older state of a leaf, in a frame of its own.
class StaleLeafTest : public SalvageTest {
 protected:
  // Copies the leaf of key 700 as it is, deletes some of its keys until it is written anew, and
  // plants the copy.
  void Plant(bool with_owner) {
    const NodeView leaf = LeafOf(Key(701));
    std::string bytes(reinterpret_cast<const char*>(leaf.data()), leaf.bytes());
    const Pfn at = fixture_.map().allocator().Allocate(leaf.order(), AllocFor::kGrowth);
    ASSERT_NE(at, 0u);
    const uint64_t number = leaf.number();
    const uint32_t object = leaf.header().object_id;
    const unsigned order = leaf.order();
    const size_t base_end = leaf.base_end();
    for (int i = 702; LeafOf(Key(701)).number() == number; i++) {
      if (contents_.contains(Key(i))) Delete(Key(i));
      ASSERT_LT(i, 900);
    }
    Delete(Key(701));
    const uint64_t checksum = NodeChecksum(reinterpret_cast<const std::byte*>(bytes.data()),
                                           base_end, fixture_.map().hash_seed(), at);
    std::memcpy(bytes.data(), &checksum, sizeof checksum);
    fixture_.map().allocator().Free(at, order);
    fixture_.Close();
    WriteAt(path(), OffsetOf(at), bytes);
    if (!with_owner) return;
    WriteStruct(path(), OwnerWordOffset(at), PackOwner(at, FrameKind::kTreeNode, order, object));
  }
};

TEST_F(StaleLeafTest, WithoutOwner) {
  Plant(false);
  EXPECT_TRUE(Salvage().findings.empty());
  ExpectAll();
}

TEST_F(StaleLeafTest, WithAnOwner) {
  Plant(true);
  Salvage();
  ExpectAll();
}

TEST_F(StaleLeafTest, WithAnOwnerAndNoTree) {
  Plant(true);
  Overwrite(kSuperblockPfn, 3 * kFrameSize);
  Overwrite(anchors_["store"]);
  Salvage();
  ExpectAll();
}

TEST_F(SalvageTest, InnerNodesAreGone) {
  for (int i = kRecords; i < 20000; i++) Put(Key(i), Value(i));
  const NodeView root = Root("store");
  std::vector<Pfn> inner = {root.pfn()};
  for (size_t i = 0; i < root.count(); i++) {
    const NodeView child = NodeAt(root.ChildWord(i));
    if (!child.is_leaf()) inner.push_back(child.pfn());
  }
  fixture_.Close();
  for (const Pfn pfn : inner) Overwrite(pfn);
  EXPECT_TRUE(Salvage().whole());
  ExpectAll();
}

TEST_F(SalvageTest, WhatIsDroppedStaysSo) {
  EXPECT_OK(pool().DropStore("other"));
  EXPECT_OK(pool().WaitForBackgroundWork());
  EXPECT_TRUE(Salvage().whole());
  EXPECT_FALSE(saved_.contains("other"));
  EXPECT_EQ(saved_.size(), 2u);
}

TEST_F(SalvageTest, NewMustNotExist) {
  fixture_.Close();
  WriteAt(path(), 0, "");
  auto report = SalvagePool(path(), path(), {});
  EXPECT_CODE(report.status(), Code::kExists);
  EXPECT_CODE(SalvagePool(dir_.File("none"), to(), {}).status(), Code::kNotFound);
  SalvageOptions options;
  options.size_bytes = kPoolSizeMin;
  options.sparse = true;
  options.open = SmallPool().open;
  options.keep_on = [](uint64_t) { return false; };
  EXPECT_CODE(SalvagePool(path(), to(), options).status(), Code::kBusy);
  EXPECT_NE(access(to().c_str(), F_OK), 0);
}

// Killed with five lanes live; then both superblocks as well.
TEST(SalvageRich, AnUncleanPool) {
  const RichPool& rich = TheRichPool();
  ASSERT_FALSE(rich.stores.empty());
  for (const bool headless : {false, true}) {
    const Isolated run = RunIsolated([&]() -> std::string {
      TempDir dir;
      const std::string old = dir.File("old");
      if (!rich.unclean.WriteTo(old)) return "cannot write";
      if (headless) WriteAt(old, 0, std::string(2 * kFrameSize, '\xa5'));
      SalvageOptions options;
      options.sparse = true;
      options.open = SmallPool().open;
      auto report = SalvagePool(old, dir.File("new"), options);
      if (!report.ok()) return report.status().ToString();
      auto pool = Pool::Open(dir.File("new"), SmallPool().open);
      if (!pool.ok()) return pool.status().ToString();
      auto found = ReadContents(**pool);
      if (!found.ok()) return found.status().ToString();
      std::string told;
      for (const SalvageFinding& finding : report->findings) {
        if (finding.kind != Kind::kNote) told += finding.reason + "\n";
      }
      return told + Difference(rich.contents_recovered, *found);
    });
    EXPECT_EQ(run.death + run.output, "");
  }
}

}  // namespace
}  // namespace tuff::test
