// docs/format.md has the field table of every on-media structure, as the code has it.
//
// TUFF_UPDATE_DOCS=1 writes the page's generated part anew instead.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include "engine/node_format.h"
#include "engine/object_format.h"
#include "engine/record_format.h"
#include "engine/repair/dump_format.h"
#include "engine/repair/undo_format.h"
#include "pagemap/frame_format.h"
#include "pagemap/lane_format.h"
#include "pagemap/superblock_format.h"
#include "tests/test_util.h"

namespace tuff::test {
namespace {

constexpr const FormatTable* kTables[] = {
    &kSuperblockTable,     &kLiveStatusTable,     &kOwnerWordTable,  &kLaneEntryTable,
    &kLaneRunTable,        &kRedoStoreTable,      &kRedoChunkTable,  &kAnchorTable,
    &kCatalogueEntryTable, &kGraveyardEntryTable, &kNodeHeaderTable, &kInnerSlotTable,
    &kRecordHeaderTable,   &kDumpHeaderTable,     &kDumpPieceTable,  &kUndoHeaderTable,
    &kUndoPageTable,
};

const std::string kPage = SourceFile("docs/format.md");
const std::string kBegin = "<!-- generated: formats -->\n";
const std::string kEnd = "<!-- end -->";

std::string Generated() {
  std::string text = "\n## Field tables\n\n";
  for (const FormatTable* table : kTables) text += FormatMarkdown(*table) + "\n";
  return text;
}

TEST(FormatDocTest, PageHasEveryTable) {
  std::string page = ReadWholeFile(kPage);
  const size_t begin = page.find(kBegin);
  ASSERT_NE(begin, page.npos) << kPage << " has no line " << kBegin;
  const size_t from = begin + kBegin.size();
  const size_t end = page.find(kEnd, from);
  ASSERT_NE(end, page.npos) << kPage << " has no line " << kEnd;
  if (EnvNumber("TUFF_UPDATE_DOCS", 0) != 0) {
    page.replace(from, end - from, Generated());
    std::ofstream(kPage, std::ios::binary) << page;
    return;
  }
  EXPECT_EQ(page.substr(from, end - from), Generated())
      << "write it anew: TUFF_UPDATE_DOCS=1 engine_test --gtest_filter='FormatDoc*'";
}

TEST(FormatDocTest, NoStructureIsLeftOut) {
  const std::regex declared("\\nTUFF_FORMAT\\(\\s*(\\w+)");
  size_t found = 0;
  for (const char* directory : {"engine", "pagemap"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(SourceFile(directory))) {
      if (entry.path().extension() != ".h") continue;
      const std::string text = ReadWholeFile(entry.path());
      const std::sregex_iterator end;
      for (std::sregex_iterator it(text.begin(), text.end(), declared); it != end; ++it, ++found) {
        EXPECT_NE(Generated().find("### " + it->str(1) + " ("), std::string::npos)
            << it->str(1) << " of " << entry.path();
        EXPECT_TRUE(entry.path().string().ends_with("_format.h")) << entry.path();
      }
    }
  }
  EXPECT_EQ(found, std::size(kTables));
}

// The numbers that the written part of the page states.
TEST(FormatDocTest, Geometry) {
  EXPECT_EQ(kCatalogueAnchorPfn, 2u);
  EXPECT_EQ(kLanesPfn, 64u);
  EXPECT_EQ(kLanes, 64u);
  EXPECT_EQ(FrameTablePfn(0), 128u);
  EXPECT_EQ(FrameTablePfn(3), 3 * kSectionFrames);
  EXPECT_EQ(kFrameTableFrames, 64u);
  EXPECT_EQ(MemmapPfn(0), 512u);
  EXPECT_EQ(MemmapPfn(2), 2 * kSectionFrames + 512);
  EXPECT_EQ(kMemmapFrames, 512u);
  EXPECT_EQ(kSectionFramesMin, 1536u);
  EXPECT_EQ(kPfnBits, 40u);
}

}  // namespace
}  // namespace tuff::test
