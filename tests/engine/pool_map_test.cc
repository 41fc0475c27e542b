// PoolMap: what it counts, of sound pools and of junk.
#include "engine/inspect/pool_map.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <random>
#include <set>
#include <string>

#include "engine/image.h"
#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

class PoolMapTest : public testing::Test {
 protected:
  PoolMapTest() {
    for (int i = 0; i < 2000; i++) {
      EXPECT_OK(fixture_.store().Put(fmt::format("key{:04}", i), std::string(100, 'v')));
    }
    fixture_.Reopen(true);
    free_frames_ = fixture_.map().allocator().CountFreeFrames();
    fixture_.Close();
  }
  void Write(uint64_t offset, const void* bytes, size_t n) {
    const FileDescriptor file(open(fixture_.path().c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(pwrite(file.get(), bytes, n, static_cast<off_t>(offset)), static_cast<ssize_t>(n));
  }
  void SetOwner(Pfn pfn, uint64_t word) { Write(OwnerWordOffset(pfn), &word, sizeof word); }
  PoolMap Map(uint64_t cells_max = 1 << 16) {
    auto map = ReadPoolMap(fixture_.path(), cells_max);
    EXPECT_OK(map.status());
    return map.ok() ? std::move(*map) : PoolMap();
  }
  /// Each frame is counted once.
  static void ExpectWhole(const PoolMap& map) {
    uint64_t frames = 0;
    Pfn next = 0;
    for (const MapCell& cell : map.cells) {
      EXPECT_EQ(cell.start, next);
      next = cell.start + cell.frames();
      frames += cell.frames();
      EXPECT_LE(cell.frames(), map.blocks_per_cell * kBlockFrames);
    }
    EXPECT_EQ(frames, map.frames);
    EXPECT_EQ(map.total.frames(), map.frames);
  }

  PoolFixture fixture_;
  uint64_t free_frames_ = 0;
};

TEST_F(PoolMapTest, CountsEachFrameOnce) {
  const PoolMap map = Map();
  ExpectWhole(map);
  uint64_t tables = 0;
  for (Pfn pfn = 0; pfn < map.frames; pfn++) tables += IsReserved(pfn) ? 1 : 0;
  EXPECT_EQ(map.total.of(MapUse::kTables), tables);
  EXPECT_EQ(map.total.of(MapUse::kFree), free_frames_);
  EXPECT_EQ(map.total.damaged, 0u);
  EXPECT_GT(map.total.of(MapUse::kLeaf), map.total.of(MapUse::kInner));
  EXPECT_GT(map.total.of(MapUse::kInner), 0u);
  uint64_t owned = 0;
  for (const MapObject& object : map.objects) owned += object.frames;
  EXPECT_EQ(owned, map.total.used());
}

TEST_F(PoolMapTest, SeveralBlocksToACell) {
  const PoolMap whole = Map();
  for (const uint64_t cells : {1, 2, 3, 5}) {
    const PoolMap map = Map(cells);
    EXPECT_LE(map.cells.size(), cells);
    ExpectWhole(map);
    EXPECT_EQ(map.total.frames_of, whole.total.frames_of);
  }
}

TEST_F(PoolMapTest, WordsThatLieAreCountedAsDamage) {
  PoolMap map = Map();
  Pfn free = 0;  // an aligned run of free frames, in a cell without anything
  for (const MapCell& cell : map.cells) {
    if (cell.of(MapUse::kFree) == kBlockFrames) free = cell.start;
  }
  ASSERT_NE(free, 0u);
  SetOwner(free, PackOwner(free, FrameKind::kRaw, 3, 77));
  SetOwner(free + 2, PackOwner(free + 2, FrameKind::kExtent, 0, 78));     // in the other's run
  SetOwner(free + 8, ~0ull);                                              // no owner word
  SetOwner(free + 16, PackOwner(free + 16, FrameKind::kTreeNode, 9, 5));  // not aligned
  SetOwner(free + 32, PackOwner(free + 32, FrameKind::kTreeNode, 2, 5));  // no node there
  SetOwner(3, PackOwner(3, FrameKind::kRaw, 0, 79));                      // reserved
  map = Map();
  ExpectWhole(map);
  EXPECT_EQ(map.total.damaged, 5u);
  EXPECT_EQ(map.total.of(MapUse::kRaw), 8u);
  EXPECT_EQ(map.total.of(MapUse::kExtent), 0u);
  EXPECT_EQ(map.total.of(MapUse::kDamaged), 1u + 1u + 4u);
}

TEST_F(PoolMapTest, JunkDoesNoHarm) {
  std::mt19937_64 random(1);
  const uint64_t table = OwnerWordOffset(0);
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 2000; i++) {
      const Pfn pfn = random() % kSectionFrames;
      const uint64_t word = random() % 3 == 0
                                ? random()
                                : PackOwner(pfn, static_cast<FrameKind>(random() % 9),
                                            random() % 11, static_cast<uint32_t>(random() % 4));
      Write(table + 8 * pfn, &word, sizeof word);
    }
    ExpectWhole(Map(1 + random() % 64));
  }
}

TEST_F(PoolMapTest, NamesAreThoseOfTheCatalogue) {
  const auto names = [this] {
    std::set<std::string> found;
    for (const MapObject& object : Map().objects) found.insert(object.name);
    return found;
  };
  EXPECT_TRUE(names().contains("store"));
  fixture_.Reopen();
  ASSERT_OK(fixture_.pool().RenameStore("store", "other"));
  fixture_.Close();
  EXPECT_TRUE(names().contains("other"));
  EXPECT_FALSE(names().contains("store"));
}

}  // namespace
}  // namespace tuff::test
