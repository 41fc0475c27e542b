// fsck: each problem has an image that shows it, and is gone after one repair; a check changes
// nothing; a repair that is interrupted anywhere is done again, or taken back.
#include "engine/repair/fsck.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "engine/catalogue.h"
#include "engine/node_writer.h"
#include "engine/repair/patch.h"
#include "engine/repair/pool_walk.h"
#include "pagemap/lane_format.h"
#include "tests/damage/rich_pool.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The rich pool's file, what lies where in it, and hands that change it.
class Patient {
 public:
  explicit Patient(const SparseImage& image = TheRichPool().clean) {
    EXPECT_TRUE(image.WriteTo(path()));
    auto opened = PoolImage::Open(path(), {});
    EXPECT_OK(opened.status());
    image_ = std::move(*opened);
    FsckReport report;
    image_->domain().BeginOverlay();
    walk_ = WalkPool(*image_, image_->superblock(), {}, &report, [](const Problem&) {});
    EXPECT_OK(image_->domain().EndOverlay());
  }
  std::string path() const { return dir_.File("pool"); }
  std::string undo() const { return dir_.File("undo"); }
  const PoolImage& image() const { return *image_; }
  /// Before anything else opens the file to write.
  void LetGo() { image_.reset(); }

  const WalkedObject& Catalogue() const { return walk_.objects.at(kCatalogueObjectId); }
  const WalkedObject& One(const std::function<bool(const WalkedObject&)>& wanted) const {
    for (const auto& [id, object] : walk_.objects) {
      if (wanted(object) && Load64(image_->base() + RootPlace(object)) != 0) return object;
    }
    ADD_FAILURE() << "the rich pool has no such object";
    return Catalogue();
  }
  const WalkedObject& TallStore() const {
    return One([&](const WalkedObject& object) {
      return object.kind == ObjectKind::kStore && !object.buried && Root(object).level() > 0;
    });
  }
  const WalkedObject& Buried() const {
    return One([&](const WalkedObject& object) {
      return object.buried && object.kind == ObjectKind::kStore && Root(object).level() > 0;
    });
  }
  static uint64_t RootPlace(const WalkedObject& object) {
    return OffsetOf(object.anchor) + offsetof(Anchor, root);
  }
  NodeView NodeOf(uint64_t word) const {
    return NodeView(image_->base() + OffsetOf(ChildPfn(word)), ChildPfn(word));
  }
  NodeView Root(const WalkedObject& object) const {
    return NodeOf(Load64(image_->base() + RootPlace(object)));
  }
  NodeView FirstLeaf(const WalkedObject& object) const {
    NodeView node = Root(object);
    while (node.level() > 0) node = NodeOf(node.ChildWord(0));
    return node;
  }
  NodeView LeafOf(const WalkedObject& object, std::string_view key) const {
    NodeView node = Root(object);
    while (node.level() > 0) node = NodeOf(node.ChildWord(node.ChildIndex(key)));
    return node;
  }
  NodeView LoggedLeaf(const WalkedObject& object) const {
    NodeView node = Root(object);
    while (node.level() > 1) node = NodeOf(node.ChildWord(0));
    for (size_t i = 0; i < node.count(); i++) {
      const NodeView leaf = NodeOf(node.ChildWord(i));
      if (Load64(leaf.data() + leaf.base_end()) != 0) return leaf;
    }
    ADD_FAILURE() << "no leaf has a log";
    return FirstLeaf(object);
  }

  void Flip(uint64_t place, uint8_t mask = 0x10) { FlipByte(path(), place, mask); }
  void SetWord(uint64_t place, uint64_t word) { WriteStruct(path(), place, word); }
  uint64_t Word(uint64_t place) { return ReadStruct<uint64_t>(path(), place); }
  /// Writes a leaf anew with one more record.
  void Add(const NodeView& leaf, std::string_view key, std::string_view value) {
    const uint64_t number = image_->superblock().number_limit - 1;
    std::vector<std::byte> extra(RecordBytes(key.size(), value.size()));
    EncodeRecord(extra.data(), key, value, PackSequence(number, RecordType::kPut), 0);
    RecordView record;
    ASSERT_TRUE(ParseRecord(extra.data(), 0, extra.size(), &record));
    std::vector<RecordView> records = ReadLeaf(leaf, image_->hash_seed(), false).records;
    records.push_back(record);
    NodeIdentity id;
    id.pfn = leaf.pfn();
    id.number = leaf.number();
    id.object_id = leaf.header().object_id;
    id.order = leaf.order();
    id.sequence_max = number;
    id.low = leaf.low();
    if (leaf.has_high()) id.high = leaf.high();
    std::optional<std::string> high;
    if (id.high) high = std::string(*id.high);
    records = NewestOf(std::move(records), id.low, high);
    ASSERT_LE(LeafBaseBytes(records, id.low, id.high), leaf.bytes());
    std::vector<std::byte> bytes(leaf.bytes());
    WriteLeaf(bytes.data(), id, records, image_->hash_seed());
    WriteAt(path(), OffsetOf(leaf.pfn()),
            {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  /// Makes a node's checksum right again.
  void Seal(const NodeView& node) {
    const std::string bytes = ReadAt(path(), OffsetOf(node.pfn()), node.bytes());
    SetWord(OffsetOf(node.pfn()), NodeChecksum(reinterpret_cast<const std::byte*>(bytes.data()),
                                               node.base_end(), image_->hash_seed(), node.pfn()));
  }
  Pfn FreeFrame() const {
    Pfn pfn = image_->frames() - 1;
    while (walk_.reached[pfn]) pfn--;
    return pfn;
  }
  NodeView CompoundLeaf() const {
    NodeView found;
    for (uint64_t section = 0; section < SectionsOf(image_->frames()); section++) {
      image_->ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) {
        const OwnerWord owner = UnpackOwner(word);
        if (owner.order > 0 && walk_.heads[pfn]) found = image_->NodeAt(pfn, owner.order);
      });
    }
    return found;
  }

 private:
  TempDir dir_;
  std::unique_ptr<PoolImage> image_;
  PoolWalkResult walk_;
};

struct Outcome {
  std::set<ProblemCode> codes;
  uint64_t unrepaired = 0;
  bool sound = false;
};

Outcome RunFsckOn(const std::string& path, FsckMode mode, const std::string& undo = "") {
  PoolImage::Options how;
  how.for_repair = mode != FsckMode::kCheck;
  auto image = PoolImage::Open(path, how);
  EXPECT_OK(image.status());
  FsckOptions options;
  options.mode = mode;
  auto report = RunFsck(**image, options);
  EXPECT_OK(report.status());
  Outcome outcome;
  for (const Problem& problem : report->problems) outcome.codes.insert(problem.code);
  outcome.unrepaired = report->unrepaired;
  outcome.sound = report->sound();
  if (how.for_repair) {
    EXPECT_OK(CommitRepair(**image, undo).status());
  }
  return outcome;
}

struct Case {
  ProblemCode code;
  std::function<void(Patient&)> damage;
  bool unclean = false;
  bool can_be_repaired = true;
};

const std::vector<Case>& Cases() {
  using enum ProblemCode;
  static const std::vector<Case> cases = {
      {kSuperblockCopy, [](Patient& p) { p.Flip(OffsetOf(kMirrorPfn) + 40); }},
      {kSuperblocksLost,
       [](Patient& p) {
         p.Flip(OffsetOf(kMirrorPfn) + 40);
         p.Flip(OffsetOf(kSuperblockPfn) + 90);
       }},
      {kTruncated,
       [](Patient& p) {
         ASSERT_EQ(truncate(p.path().c_str(), static_cast<off_t>(p.image().file_bytes() - 4096)),
                   0);
       },
       false, false},
      {kNumbersBehind,
       [](Patient& p) { EditSuperblocks(p.path(), [](Superblock& sb) { sb.number_limit = 2; }); }},
      {kLaneDamaged,
       [](Patient& p) {
         // The deciding word of a live lane is neither the old nor the new one.
         for (unsigned lane = 0; lane < kLanes; lane++) {
           const uint64_t place = OffsetOf(kLanesPfn + lane);
           const auto entry = ReadStruct<LaneEntry>(p.path(), place);
           if (entry.state == 0 || entry.decider != static_cast<uint16_t>(LaneDecider::kWord)) {
             continue;
           }
           p.SetWord(entry.place, entry.old_value ^ (1ull << 63));
           return;
         }
         FAIL() << "no lane is live";
       },
       true},
      {kLaneNotEmpty, [](Patient& p) { p.SetWord(OffsetOf(kLanesPfn + 3), 77); }},
      {kOwnerDamaged,
       [](Patient& p) { p.Flip(OwnerWordOffset(p.FirstLeaf(p.TallStore()).pfn()) + 2); }},
      {kOwnerWrong,
       [](Patient& p) { p.SetWord(OwnerWordOffset(p.FirstLeaf(p.TallStore()).pfn()), 0); }},
      {kLeaked,
       [](Patient& p) {
         const Pfn pfn = p.FreeFrame();
         p.SetWord(OwnerWordOffset(pfn), PackOwner(pfn, FrameKind::kTreeNode, 0, 16));
       }},
      {kOwnerOfTable, [](Patient& p) { p.SetWord(OwnerWordOffset(5), 1); }},
      {kOwnerInside,
       [](Patient& p) {
         const Pfn pfn = p.CompoundLeaf().pfn() + 1;
         p.SetWord(OwnerWordOffset(pfn), PackOwner(pfn, FrameKind::kTreeNode, 0, 16));
       }},
      {kReferredTwice,
       [](Patient& p) {
         NodeView node = p.Root(p.Buried());
         const size_t n = node.count();
         ASSERT_GE(n, 2u);
         p.SetWord(node.ChildPlace(n - 1), node.ChildWord(n - 2));
       }},
      {kAnchorDamaged,
       [](Patient& p) { p.Flip(OffsetOf(p.TallStore().anchor) + offsetof(Anchor, created_ns)); }},
      {kChildWord, [](Patient& p) { p.Flip(Patient::RootPlace(p.TallStore()) + 7); }},
      {kNodeDamaged, [](Patient& p) { p.Flip(OffsetOf(p.FirstLeaf(p.TallStore()).pfn()) + 20); }},
      {kWrongRange,
       [](Patient& p) {
         const NodeView root = p.Root(p.TallStore());
         p.SetWord(root.ChildPlace(0), root.ChildWord(1));
         p.SetWord(root.ChildPlace(1), root.ChildWord(0));
       }},
      {kRecordDamaged,
       [](Patient& p) {
         const NodeView leaf = p.FirstLeaf(p.TallStore());
         RecordView record;
         ASSERT_TRUE(leaf.BaseRecord(0, &record));
         p.Flip(OffsetOf(leaf.pfn()) + record.offset);  // its checksum
         p.Seal(leaf);
       }},
      {kLogDamaged,
       [](Patient& p) {
         const NodeView leaf = p.LoggedLeaf(p.TallStore());
         p.Flip(OffsetOf(leaf.pfn()) + leaf.base_end());
       }},
      {kCatalogueRecord,
       [](Patient& p) {
         p.Add(p.LeafOf(p.Catalogue(), CatalogueKey(400)), CatalogueKey(400), "short");
       }},
      {kGraveyardRecord,
       [](Patient& p) {
         const WalkedObject& graveyard = p.One(
             [](const WalkedObject& object) { return object.kind == ObjectKind::kGraveyard; });
         p.Add(p.LeafOf(graveyard, CatalogueKey(400)), CatalogueKey(400), "short");
       }},
      {kOrphan,
       [](Patient& p) {
         const NodeView leaf = p.LeafOf(p.Catalogue(), CatalogueKey(p.TallStore().id));
         WriteAt(p.path(), OffsetOf(leaf.pfn()), std::string(leaf.bytes(), '\0'));
       }},
      {kGraveyardFlag,
       [](Patient& p) {
         EditSuperblocks(p.path(), [](Superblock& sb) { sb.state &= ~kStateGraveyard; });
       }},
      {kDroppedStore,
       [](Patient& p) {
         const WalkedObject& buried = p.Buried();
         const CatalogueEntry entry{buried.anchor, static_cast<uint32_t>(ObjectKind::kStore), 0};
         const std::string value(reinterpret_cast<const char*>(&entry), sizeof entry);
         p.Add(p.LeafOf(p.Catalogue(), CatalogueKey(buried.id)), CatalogueKey(buried.id),
               value + "ghost");
       }},
  };
  return cases;
}

class FsckTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { ASSERT_FALSE(TheRichPool().stores.empty()); }
};

TEST_P(FsckTest, IsFoundRepairedAndGone) {
  Patient patient(GetParam().unclean ? TheRichPool().unclean : TheRichPool().clean);
  GetParam().damage(patient);
  patient.LetGo();
  const std::string before = ReadFile(patient.path());
  const Outcome check = RunFsckOn(patient.path(), FsckMode::kCheck);
  // Whether a store has lost its name shows only when the catalogue is mended.
  const bool shows_later = GetParam().code == ProblemCode::kOrphan;
  EXPECT_TRUE(shows_later || check.codes.contains(GetParam().code));
  EXPECT_EQ(check.unrepaired > 0, true);
  EXPECT_TRUE(ReadFile(patient.path()) == before) << "a check has changed the file";

  const Outcome repair = RunFsckOn(patient.path(), FsckMode::kRepair, patient.undo());
  EXPECT_TRUE(repair.codes.contains(GetParam().code));
  EXPECT_EQ(repair.unrepaired == 0, GetParam().can_be_repaired);
  const Outcome again = RunFsckOn(patient.path(), FsckMode::kCheck);
  EXPECT_EQ(again.sound, GetParam().can_be_repaired);
  if (GetParam().can_be_repaired) {
    auto pool = Pool::Open(patient.path(), SmallPool().open);
    ASSERT_OK(pool.status());
    EXPECT_EQ(Problems(**pool), "");
    EXPECT_OK((*pool)->Close());
  }
}

TEST_P(FsckTest, PreenRepairsWhatCostsNothing) {
  Patient patient(GetParam().unclean ? TheRichPool().unclean : TheRichPool().clean);
  GetParam().damage(patient);
  patient.LetGo();
  const Outcome preen = RunFsckOn(patient.path(), FsckMode::kPreen);
  if (KindOf(GetParam().code).severity == Severity::kCosmetic) {
    EXPECT_EQ(preen.unrepaired, 0u);
    EXPECT_TRUE(RunFsckOn(patient.path(), FsckMode::kCheck).sound);
  } else {
    EXPECT_GT(preen.unrepaired, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Problems, FsckTest, testing::ValuesIn(Cases()), [](const auto& info) {
  std::string name = KindOf(info.param.code).name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(FsckTableTest, EveryProblemHasAnImage) {
  std::set<ProblemCode> shown;
  for (const Case& one : Cases()) shown.insert(one.code);
  for (const ProblemKind& kind : ProblemKinds()) {
    EXPECT_TRUE(shown.contains(kind.code)) << kind.name;
  }
}

TEST(FsckTableTest, TheDocumentHasTheTable) {
  const std::string path = std::string(TUFF_SOURCE_DIR) + "/docs/fsck.md";
  std::string text = ReadFile(path);
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

TEST(FsckSelfTest, TheChecksumsAreRight) { EXPECT_OK(TestChecksums()); }

// Which pages are written between which fences.
class TurnRecorder : public StepObserver {
 public:
  void OnStore(const std::byte*, uint64_t offset, std::span<const std::byte> bytes) override {
    const char* const from = reinterpret_cast<const char*>(bytes.data());
    stores_.push_back({offset, turns_, {from, bytes.size()}});
  }
  bool OnFence(const Step&, const std::byte*) override {
    turns_++;
    return true;
  }
  size_t turns() const { return turns_; }
  struct Stored {
    uint64_t offset;
    size_t turn;
    std::string bytes;
  };
  const std::vector<Stored>& stores() const { return stores_; }

 private:
  std::vector<Stored> stores_;
  size_t turns_ = 0;
};

// Damage of all sorts, and the file as a repair makes it.
class Interrupted : public testing::Test {
 protected:
  void Damage(Patient* patient) {
    for (const Case& one : Cases()) {
      if (one.code == ProblemCode::kNodeDamaged || one.code == ProblemCode::kOwnerWrong ||
          one.code == ProblemCode::kLogDamaged || one.code == ProblemCode::kWrongRange) {
        one.damage(*patient);
      }
    }
    patient->LetGo();
    before_ = ReadFile(patient->path());
    SetStepObserver(&recorder_);
    (void)RunFsckOn(patient->path(), FsckMode::kRepair, patient->undo());
    SetStepObserver(nullptr);
    after_ = ReadFile(patient->path());
    contents_ = ContentsOf(patient->path());
  }
  static Contents ContentsOf(const std::string& path) {
    Contents contents;
    auto pool = Pool::Open(path, SmallPool().open);
    EXPECT_OK(pool.status());
    auto stores = (*pool)->ListStores();
    for (const StoreInfo& info : *stores) {
      auto store = (*pool)->OpenStore(info.name);
      for (auto& [key, value] : Read(**store)) contents[info.name + "/" + key] = value;
    }
    EXPECT_OK((*pool)->Close());
    return contents;
  }

  TurnRecorder recorder_;
  std::string before_;
  std::string after_;
  Contents contents_;
};

class Killer : public StepObserver {
 public:
  explicit Killer(int at) : left_(at) {}
  void OnPoint(const Step& step) override {
    if (std::string_view(step.id).starts_with("patch.") && left_-- == 0) _exit(9);
  }

 private:
  int left_;
};

TEST_F(Interrupted, AtAnyPointARepairIsDoneAgainOrTakenBack) {
  Patient patient;
  Damage(&patient);
  int points = 0;
  for (bool killed = true; killed; points++) {
    WriteAt(patient.path(), 0, before_);
    unlink(patient.undo().c_str());
    const pid_t child = fork();
    if (child == 0) {
      Killer killer(points);
      SetStepObserver(&killer);
      (void)RunFsckOn(patient.path(), FsckMode::kRepair, patient.undo());
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    killed = status == 9 << 8;
    ASSERT_TRUE(killed || status == 0);
    if (points % 2 == 0) {
      ASSERT_OK(RevertRepair(patient.path(), patient.undo()).status());
      EXPECT_TRUE(ReadFile(patient.path()) == before_) << "killed at point " << points;
    } else {
      EXPECT_EQ(RunFsckOn(patient.path(), FsckMode::kRepair).unrepaired, 0u);
      EXPECT_TRUE(RunFsckOn(patient.path(), FsckMode::kCheck).sound);
      EXPECT_EQ(Difference(contents_, ContentsOf(patient.path())), "");
    }
  }
  EXPECT_GT(points, 10);
}

// What a power failure may leave: words of the pages that were not synced yet, old or new.
TEST_F(Interrupted, ByAPowerFailure) {
  Patient patient;
  Damage(&patient);
  const std::string& path = patient.path();
  Random random(5);
  for (int turn = 0; turn < (kSanitized ? 10 : 60); turn++) {
    const size_t now = random.Below(recorder_.turns());
    std::string mixed = before_;
    for (const auto& [offset, turn_of_store, bytes] : recorder_.stores()) {
      if (turn_of_store > now) break;
      for (size_t at = 0; at < bytes.size(); at += 8) {
        if (turn_of_store == now && random.OneIn(2)) continue;
        std::memcpy(&mixed[offset + at], &bytes[at], 8);
      }
    }
    WriteAt(path, 0, mixed);
    ASSERT_EQ(RunFsckOn(path, FsckMode::kRepair).unrepaired, 0u);
    ASSERT_TRUE(RunFsckOn(path, FsckMode::kCheck).sound);
    ASSERT_EQ(Difference(contents_, ContentsOf(path)), "") << "step " << now;
    WriteAt(path, 0, mixed);
    ASSERT_OK(RevertRepair(path, patient.undo()).status());
    ASSERT_TRUE(ReadFile(path) == before_);
  }
}

TEST(UndoFile, IsCheckedBeforeItIsUsed) {
  Patient patient;
  patient.Flip(OffsetOf(kMirrorPfn) + 40);
  patient.LetGo();
  (void)RunFsckOn(patient.path(), FsckMode::kRepair, patient.undo());
  const std::string repaired = ReadFile(patient.path());
  FlipByte(patient.undo(), 100);
  EXPECT_EQ(RevertRepair(patient.path(), patient.undo()).status().code(), Code::kCorruption);
  FlipByte(patient.undo(), 100);
  EXPECT_TRUE(ReadFile(patient.path()) == repaired);
  // Not once the pool has been used again.
  auto pool = Pool::Open(patient.path(), SmallPool().open);
  ASSERT_OK(pool.status());
  EXPECT_OK((*pool)->Close());
  pool = Status();
  EXPECT_EQ(RevertRepair(patient.path(), patient.undo()).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace tuff::test
