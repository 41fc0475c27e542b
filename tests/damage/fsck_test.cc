// fsck: each problem has an image that shows it, and is gone after one repair; a check changes
// nothing.
#include "engine/repair/fsck.h"

#include <unistd.h>

#include <cstdlib>

#include "tests/damage/patient.h"

namespace tuff::test {
namespace {

class FsckTest : public testing::TestWithParam<FsckCase> {
 protected:
  void SetUp() override { ASSERT_FALSE(TheRichPool().stores.empty()); }
};

TEST_P(FsckTest, IsFoundRepairedAndGone) {
  Patient patient(GetParam().unclean ? TheRichPool().unclean : TheRichPool().clean);
  GetParam().damage(patient);
  patient.LetGo();
  const std::string before = ReadWholeFile(patient.path());
  const FsckOutcome check = RunFsckOn(patient.path(), FsckMode::kCheck);
  // Whether a store has lost its name shows only when the catalogue is mended.
  const bool shows_later = GetParam().code == ProblemCode::kOrphan;
  EXPECT_TRUE(shows_later || check.codes.contains(GetParam().code));
  EXPECT_EQ(check.unrepaired > 0, true);
  EXPECT_TRUE(ReadWholeFile(patient.path()) == before) << "a check has changed the file";

  const FsckOutcome repair = RunFsckOn(patient.path(), FsckMode::kRepair, patient.undo());
  EXPECT_TRUE(repair.codes.contains(GetParam().code));
  EXPECT_EQ(repair.unrepaired, 0u);
  EXPECT_TRUE(RunFsckOn(patient.path(), FsckMode::kCheck).sound);
  ExpectWhole(patient.path());
}

TEST_P(FsckTest, PreenRepairsWhatCostsNothing) {
  Patient patient(GetParam().unclean ? TheRichPool().unclean : TheRichPool().clean);
  GetParam().damage(patient);
  patient.LetGo();
  const FsckOutcome preen = RunFsckOn(patient.path(), FsckMode::kPreen);
  if (KindOf(GetParam().code).severity == Severity::kCosmetic) {
    EXPECT_EQ(preen.unrepaired, 0u);
    EXPECT_TRUE(RunFsckOn(patient.path(), FsckMode::kCheck).sound);
  } else {
    EXPECT_GT(preen.unrepaired, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Problems, FsckTest, testing::ValuesIn(FsckCases()), [](const auto& info) {
  std::string name = KindOf(info.param.code).name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(FsckTableTest, EveryProblemHasAnImage) {
  std::set<ProblemCode> shown;
  for (const FsckCase& one : FsckCases()) shown.insert(one.code);
  for (const ProblemKind& kind : ProblemKinds()) {
    EXPECT_TRUE(shown.contains(kind.code)) << kind.name;
  }
}

TEST(FsckTableTest, TheDocumentHasTheTable) {
  const std::string path = TUFF_SOURCE_DIR "/docs/fsck.md";
  std::string text = ReadWholeFile(path);
  constexpr std::string_view kBegin = "<!-- problems -->\n";
  constexpr std::string_view kEnd = "<!-- end of problems -->\n";
  const size_t from = text.find(kBegin);
  const size_t to = text.find(kEnd);
  ASSERT_TRUE(from != text.npos && to != text.npos);
  const std::string table = ProblemsMarkdown();
  if (std::getenv("TUFF_UPDATE_DOCS") != nullptr) {
    text.replace(from + kBegin.size(), to - from - kBegin.size(), table);
    std::ofstream(path) << text;
    return;
  }
  EXPECT_EQ(text.substr(from + kBegin.size(), to - from - kBegin.size()), table)
      << "write it anew: TUFF_UPDATE_DOCS=1 fsck_test --gtest_filter='*TheDocument*'";
}

// A record of the catalogue that says store `id` has its anchor in `anchor`.
void Name(Patient& patient, uint32_t id, Pfn anchor) {
  const CatalogueEntry entry{anchor, static_cast<uint32_t>(ObjectKind::kStore), 0};
  const std::string value(reinterpret_cast<const char*>(&entry), sizeof entry);
  patient.Add(patient.LeafOf(patient.Catalogue(), CatalogueKey(id)), CatalogueKey(id),
              value + "ghost");
}

TEST(FsckCatalogueTest, RecordsThatLeadToNoAnchorOfTheirOwnAreRemoved) {
  for (const int where : {0, 1, 2}) {
    Patient patient;
    const Pfn anchors[] = {patient.TallStore().anchor, patient.image().frames() + 7, kLanesPfn};
    Name(patient, 400, anchors[where]);
    patient.LetGo();
    const std::set<ProblemCode> expected = {ProblemCode::kCatalogueRecord};
    EXPECT_EQ(RunFsckOn(patient.path(), FsckMode::kCheck).codes, expected) << where;
    const FsckOutcome repair = RunFsckOn(patient.path(), FsckMode::kRepair);
    EXPECT_EQ(repair.codes, expected) << where;
    EXPECT_EQ(repair.unrepaired, 0u);
    EXPECT_TRUE(RunFsckOn(patient.path(), FsckMode::kCheck).sound);
    ExpectWhole(patient.path());
  }
}

// What owner words, lanes and superblocks tell by themselves, and no more.
TEST(FsckQuickTest, LooksAtTablesOnly) {
  using enum ProblemCode;
  const std::set<ProblemCode> of_tables = {kSuperblockCopy, kSuperblocksLost, kTruncated,
                                           kLaneDamaged,    kLaneNotEmpty,    kOwnerDamaged,
                                           kOwnerOfTable,   kOwnerInside};
  for (const FsckCase& one : FsckCases()) {
    Patient patient(one.unclean ? TheRichPool().unclean : TheRichPool().clean);
    one.damage(patient);
    patient.LetGo();
    const std::string before = ReadWholeFile(patient.path());
    const FsckOutcome quick = RunFsckOn(patient.path(), FsckMode::kCheck, "", true);
    EXPECT_EQ(quick.codes.contains(one.code), of_tables.contains(one.code))
        << KindOf(one.code).name;
    EXPECT_EQ(quick.sound, !of_tables.contains(one.code)) << KindOf(one.code).name;
    EXPECT_TRUE(ReadWholeFile(patient.path()) == before);
  }
  for (const SparseImage& image : {TheRichPool().clean, TheRichPool().unclean}) {
    Patient sound(image);
    sound.LetGo();
    EXPECT_TRUE(RunFsckOn(sound.path(), FsckMode::kCheck, "", true).sound);
  }
}

TEST(FsckSelfTest, TheChecksumsAreRight) { EXPECT_OK(TestChecksums()); }

}  // namespace
}  // namespace tuff::test
