// Geometry, owner words, checksums, field tables, steps, counters.
#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "pagemap/counters.h"
#include "pagemap/frame_format.h"
#include "pagemap/lane_format.h"
#include "pagemap/steps.h"
#include "pagemap/superblock_format.h"

namespace tuff {
namespace {

TEST(PfnTest, OwnerWordsOfAllFramesLieApartInReservedFrames) {
  const uint64_t frames = 2 * kSectionFrames + 5 * kBlockFrames;
  std::set<uint64_t> seen;
  for (Pfn pfn = 0; pfn < frames; pfn++) {
    const uint64_t at = OwnerWordOffset(pfn);
    EXPECT_EQ(at % 8, 0u);
    EXPECT_EQ(SectionOf(at >> kFrameShift), SectionOf(pfn));
    ASSERT_TRUE(IsReserved(at >> kFrameShift)) << pfn;
    ASSERT_TRUE(seen.insert(at).second) << pfn;
  }
}

TEST(PfnTest, TheTablesAreReservedAndNothingElse) {
  for (Pfn pfn :
       {kSuperblockPfn, kMirrorPfn, kCatalogueAnchorPfn, kLanesPfn, kLanesPfn + kLanes - 1,
        FrameTablePfn(0), FrameTablePfn(0) + kFrameTableFrames - 1, MemmapPfn(0),
        MemmapPfn(0) + kMemmapFrames - 1, FrameTablePfn(1), MemmapPfn(1)}) {
    EXPECT_TRUE(IsReserved(pfn)) << pfn;
  }
  EXPECT_FALSE(IsReserved(FrameTablePfn(0) + kFrameTableFrames));
  EXPECT_FALSE(IsReserved(FrameTablePfn(1) + kFrameTableFrames));
  EXPECT_FALSE(IsReserved(MemmapPfn(1) + kMemmapFrames));
  EXPECT_FALSE(IsReserved(MemmapPfn(1) - 1));
}

TEST(PfnTest, UsableFramesAreWholeBlocksAndNoStump) {
  EXPECT_EQ(UsableFrames(16 << 20), 4096u);
  EXPECT_EQ(UsableFrames((16 << 20) + 4095), 4096u);
  EXPECT_EQ(UsableFrames((16 << 20) + (1 << 20)), 4096u);
  EXPECT_EQ(UsableFrames(1ull << 40), 1ull << 28);
  EXPECT_EQ(UsableFrames((128 << 20) + (4 << 20)), kSectionFrames);  // a stump of two blocks
  EXPECT_EQ(UsableFrames((128 << 20) + (6 << 20)), kSectionFrames + kSectionFramesMin);
  for (uint64_t mib = 16; mib < 400; mib++) {
    const uint64_t frames = UsableFrames(mib << 20);
    EXPECT_EQ(UsableFrames(OffsetOf(frames)), frames);
    EXPECT_LE(OffsetOf(frames), mib << 20);
  }
}

TEST(OwnerWordTest, EveryFlippedBitIsRejected) {
  for (const unsigned order : {0u, 3u, 9u}) {
    const Pfn pfn = 512 * 7;
    const uint64_t word = PackOwner(pfn, FrameKind::kTreeNode, order, 4711);
    ASSERT_TRUE(OwnerIsValid(pfn, word));
    EXPECT_EQ(UnpackOwner(word).object_id, 4711u);
    EXPECT_EQ(UnpackOwner(word).order, order);
    int accepted = 0;
    for (int bit = 0; bit < 64; bit++) accepted += OwnerIsValid(pfn, word ^ (1ull << bit)) ? 1 : 0;
    EXPECT_EQ(accepted, 0);  // the check byte is 8 bits: this holds for these words
    EXPECT_FALSE(OwnerIsValid(pfn + 1024, word)) << "a word of another frame";
  }
  EXPECT_FALSE(OwnerIsValid(513, PackOwner(513, FrameKind::kTreeNode, 1, 1))) << "not aligned";
  EXPECT_FALSE(OwnerIsValid(512, 0));
}

TEST(ChecksumTest, DependsOnPlaceAndEveryBit) {
  std::string text(300, 'x');
  const uint64_t sum = Checksum64(text.data(), text.size(), 1);
  EXPECT_NE(sum, Checksum64(text.data(), text.size(), 2));
  EXPECT_NE(sum, Checksum64(text.data(), text.size() - 1, 1));
  for (size_t i = 0; i < text.size() * 8; i++) {
    text[i / 8] = static_cast<char>(text[i / 8] ^ (1 << (i % 8)));
    EXPECT_NE(sum, Checksum64(text.data(), text.size(), 1));
    text[i / 8] = static_cast<char>(text[i / 8] ^ (1 << (i % 8)));
  }
}

TEST(FormatTableTest, DecodesAndPrints) {
  LaneRun run{7, 0xabc};
  const std::string text = DecodeFields(kLaneRunTable, std::as_bytes(std::span(&run, 1)));
  EXPECT_EQ(text, "pfn: 7\nowner: 0xabc\n");
  const std::string table = FormatMarkdown(kSuperblockTable);
  EXPECT_NE(table.find("| 0 | 8 | `magic` | `tuffpool` |"), std::string::npos);
  Superblock sb{};
  std::copy(kSuperblockMagic, kSuperblockMagic + 8, sb.magic);
  EXPECT_NE(
      DecodeFields(kSuperblockTable, std::as_bytes(std::span(&sb, 1))).find("magic: tuffpool"),
      std::string::npos);
  // Bytes that end early are decoded as far as they go.
  EXPECT_EQ(DecodeFields(kLaneRunTable, std::as_bytes(std::span(&run, 1)).first(8)), "pfn: 7\n");
}

class PointCounter : public StepObserver {
 public:
  void OnPoint(const Step& step) override { seen.emplace_back(step.id); }
  std::vector<std::string> seen;
};

void PassAPoint() { CRASH_POINT("test.1"); }

TEST(StepsTest, AreListedAndObserved) {
  bool listed = false;
  for (const Step* step : AllSteps()) listed |= std::string_view(step->id) == "test.1";
  EXPECT_TRUE(listed);
  PointCounter counter;
  PassAPoint();
  SetStepObserver(&counter);
  PassAPoint();
  SetStepObserver(nullptr);
  PassAPoint();
  EXPECT_EQ(counter.seen, std::vector<std::string>{"test.1"});
}

TEST(StepsTest, IdsOfOneKindAreUnique) {
  std::set<std::pair<std::string, StepKind>> seen;
  for (const Step* step : AllSteps()) {
    EXPECT_TRUE(seen.emplace(step->id, step->kind).second) << step->id << " " << step->file;
  }
}

TEST(CountersTest, SumOverMoreThreadsThanSlots) {
  auto counters = std::make_unique<Counters>();
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreadSlots + 20; i++) {
    threads.emplace_back([&] {
      for (int k = 0; k < 100; k++) counters->Add(Counter::kPuts, 2);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counters->Sum(Counter::kPuts), (kThreadSlots + 20) * 200);
  EXPECT_EQ(counters->Sum(Counter::kGets), 0u);
}

}  // namespace
}  // namespace tuff
