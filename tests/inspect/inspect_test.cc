// What inspecting a pool tells, compared with what is known of the pool.
#include "engine/inspect/inspect.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "engine/inspect/walk.h"
#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

using inspect::Item;
using inspect::Object;
using inspect::Report;

const Item& At(const Object& object, std::string_view name) {
  static const Item kNone;
  const Item* item = object.Find(name);
  EXPECT_NE(item, nullptr) << name;
  return item == nullptr ? kNone : *item;
}
uint64_t NumberAt(const Object& object, std::string_view name) { return At(object, name).number; }
const std::string& TextAt(const Object& object, std::string_view name) {
  return At(object, name).text;
}

class InspectTest : public testing::Test {
 protected:
  // Enough for a tree of two levels.
  InspectTest() {
    for (int i = 0; i < kRecords; i++) {
      EXPECT_OK(fixture_.store().Put(fmt::format("key{:04}", i), std::string(100, 'v')));
    }
  }
  const PoolImage& Image(bool in_use = false) {
    if (!in_use && fixture_.is_open()) fixture_.Close();
    auto image = PoolImage::Open(fixture_.path(), {.also_in_use = true});
    EXPECT_OK(image.status());
    image_ = std::move(*image);
    return *image_;
  }
  void Overwrite(uint64_t offset, std::string_view bytes) {
    const FileDescriptor file(open(fixture_.path().c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(bytes.size()));
  }
  void OverwriteWord(uint64_t offset, uint64_t word) {
    Overwrite(offset, {reinterpret_cast<const char*>(&word), sizeof word});
  }
  // Of a report that must be there and name no damage.
  Object Sound(Result<Report> report) {
    EXPECT_OK(report.status());
    if (!report.ok()) return {};
    for (const std::string& damage : report->damage) ADD_FAILURE() << damage;
    EXPECT_OK(report->missing);
    return std::move(report->body);
  }
  std::string FirstDamage(const Result<Report>& report) {
    EXPECT_OK(report.status());
    return report.ok() && !report->damage.empty() ? report->damage.front() : "";
  }
  Pfn RootPfn() { return ChildPfn(NumberAt(Sound(inspect::Tree(Image(), "store")), "root_word")); }

  static constexpr int kRecords = 500;
  PoolFixture fixture_;
  std::unique_ptr<PoolImage> image_;
};

TEST_F(InspectTest, SuperblocksDifferWhereTheyDo) {
  Object body = Sound(inspect::Superblocks(Image()));
  EXPECT_EQ(TextAt(body, "copies"), "the same");
  Overwrite(OffsetOf(kMirrorPfn) + offsetof(Superblock, mount_count), "\x77");
  const Report report = inspect::Superblocks(Image());
  ASSERT_EQ(report.damage.size(), 1u);
  EXPECT_EQ(report.damage[0], "copy 1 (frame 1): the checksum is wrong");
  EXPECT_EQ(TextAt(report.body, "copies"), "differ in mount_count");
  EXPECT_EQ(NumberAt(report.body, "counts"), 0u);
}

TEST_F(InspectTest, TreeCountsWhatIsThere) {
  const CheckReport check = Check(fixture_.pool());
  Object body = Sound(inspect::Tree(Image(), "store"));
  EXPECT_EQ(NumberAt(body, "height"), 2u);
  uint64_t nodes = 0;
  uint64_t records = NumberAt(At(body, "logs").objects[0], "records");
  for (const Object& level : At(body, "levels").objects) {
    nodes += NumberAt(level, "nodes");
    if (NumberAt(level, "level") == 0) records += NumberAt(level, "entries");
  }
  EXPECT_EQ(records, static_cast<uint64_t>(kRecords));
  for (const char* own : {"/catalogue", "/graveyard"}) {
    body = Sound(inspect::Tree(*image_, own));
    for (const Object& level : At(body, "levels").objects) nodes += NumberAt(level, "nodes");
  }
  EXPECT_EQ(nodes, check.nodes);
}

TEST_F(InspectTest, FreeFramesAreThoseOfTheAllocator) {
  const uint64_t free = FreeFrames(fixture_.pool());
  Object body = Sound(inspect::BuddyInfo(Image()));
  EXPECT_EQ(NumberAt(body, "free_frames"), free);
  body = Sound(inspect::Section(*image_, 0));
  EXPECT_EQ(NumberAt(body, "free"), free);
  EXPECT_EQ(inspect::Section(*image_, 1).status().code(), Code::kNotFound);
}

TEST_F(InspectTest, EveryFrameInUseIsReferredTo) {
  const PoolImage& image = Image();
  image.ForEachOwnerWord(0, [&](Pfn pfn, uint64_t) {
    const Object body = Sound(inspect::Frame(image, pfn, false));
    EXPECT_EQ(At(body, "referred_to_by").objects.size(), 1u) << pfn;
  });
  EXPECT_EQ(inspect::Frame(image, image.frames(), false).status().code(), Code::kNotFound);
  for (const auto& [pfn, use] : std::map<Pfn, std::string>{
           {0, "superblock"}, {2, "anchor of the catalogue"}, {70, "lane 6"}, {20, "reserved"}}) {
    EXPECT_EQ(TextAt(Sound(inspect::Frame(image, pfn, false)), "use"), use);
  }
}

TEST_F(InspectTest, KeysAreFoundWhereTheyLie) {
  EXPECT_OK(fixture_.store().Delete("key0007"));
  const PoolImage& image = Image();
  const Object body = Sound(inspect::Key(image, "store", "key0123"));
  EXPECT_EQ(TextAt(body, "value"), std::string(100, 'v'));
  EXPECT_EQ(At(body, "steps").objects.size(), 2u);
  const Object leaf =
      Sound(inspect::Node(image, NumberAt(At(body, "steps").objects.back(), "pfn"), true));
  EXPECT_EQ(NumberAt(At(leaf, "header").objects[0], "level"), 0u);
  for (const char* key : {"key0007", "other"}) {
    const auto report = inspect::Key(image, "store", key);
    ASSERT_OK(report);
    EXPECT_EQ(report->missing.code(), Code::kNotFound);
    EXPECT_TRUE(report->damage.empty());
  }
  EXPECT_EQ(inspect::Key(image, "none", "key").status().code(), Code::kNotFound);
}

TEST_F(InspectTest, DamageIsNamedAndTheRestIsShown) {
  const Object body = Sound(inspect::Key(Image(), "store", "key0123"));
  const Pfn leaf = NumberAt(At(body, "steps").objects.back(), "pfn");
  const Object& record = At(body, "records").objects[0];
  Overwrite(OffsetOf(leaf) + NumberAt(record, "offset") + 40, "x");
  const PoolImage& image = Image();
  for (const auto& report : {inspect::Key(image, "store", "key0123"), inspect::Tree(image, "store"),
                             inspect::Node(image, leaf, false)}) {
    EXPECT_TRUE(FirstDamage(report).starts_with(fmt::format("pfn {}: ", leaf)))
        << FirstDamage(report);
  }
  const Object whole = Sound(inspect::Key(image, "store", "key0499"));
  EXPECT_EQ(TextAt(whole, "found"), "yes");
}

// Child words are outside the checksum: a tree can be made to lead anywhere.
TEST_F(InspectTest, AWrongTreeIsLeftAgain) {
  const Pfn root = RootPfn();
  const NodeView node = image_->NodeAt(root, 0);
  const uint64_t first = node.ChildWord(0);
  const uint64_t itself = node.child_word();
  const uint64_t place = node.ChildPlace(1);
  for (const auto& [word, reason] : std::map<uint64_t, std::string>{
           {itself, "node is on level 1, not 0"},
           {first, "referred to twice"},
           {0, "object 17 refers to a frame outside the pool's data"},
           {PackChild(1ull << 39, 1), "object 17 refers to a frame outside the pool's data"},
           {first + (1ull << 40), "child word and node number do not match"}}) {
    OverwriteWord(place, word);
    const std::string damage = FirstDamage(inspect::Tree(Image(), "store"));
    EXPECT_TRUE(damage.ends_with(fmt::format("{} (child 1 of pfn {})", reason, root))) << damage;
  }
}

TEST_F(InspectTest, AStoreIsFoundByItsIdThoughTheCatalogueIsGone) {
  Overwrite(OffsetOf(kCatalogueAnchorPfn) + offsetof(Anchor, root), std::string(8, '\xa5'));
  const auto by_name = inspect::Tree(Image(), "store");
  ASSERT_OK(by_name);
  EXPECT_EQ(by_name->missing.code(), Code::kNotFound);
  EXPECT_FALSE(by_name->damage.empty());
  const auto by_id = inspect::Tree(*image_, "/17");
  ASSERT_OK(by_id);
  EXPECT_EQ(NumberAt(by_id->body, "height"), 2u);
}

TEST_F(InspectTest, APoolInUseTellsOfItsMount) {
  const auto snapshot = fixture_.pool().GetSnapshot();
  ASSERT_OK(snapshot);
  const PoolImage& image = Image(true);
  const Report snapshots = inspect::Snapshots(image);
  ASSERT_EQ(snapshots.notes.size(), 1u);
  EXPECT_TRUE(snapshots.notes[0].starts_with(fmt::format("in use by process {}:", getpid())));
  EXPECT_EQ(NumberAt(At(snapshots.body, "live_status").objects[0], "snapshots"), 1u);
  const Object descriptors = Sound(inspect::Descriptors(image));
  const bool in_pool = fixture_.map().memmap().place() == MemmapPlace::kPool;
  EXPECT_EQ(NumberAt(descriptors, "blocks_initialised") > 0, in_pool);
  if (in_pool) {
    uint64_t verified = 0;
    for (const Object& block : At(descriptors, "blocks").objects) {
      verified += NumberAt(block, "verified");
    }
    EXPECT_GT(verified, 2u);
  }
  fixture_.pool().ReleaseSnapshot(*snapshot);
  EXPECT_EQ(TextAt(Sound(inspect::Snapshots(Image())), "status"), "none: the pool is not open");
  EXPECT_EQ(TextAt(Sound(inspect::Descriptors(*image_)), "memmap"), "none: the pool is not open");
}

TEST_F(InspectTest, AnEntryInALaneOfAClosedPoolIsDamage) {
  Object body = Sound(inspect::LaneEntries(Image()));
  EXPECT_EQ(TextAt(body, "summary"), "all 64 lanes are empty");
  OverwriteWord(OffsetOf(kLanesPfn + 3), 17);
  EXPECT_EQ(FirstDamage(inspect::LaneEntries(Image())),
            "lane 3 is not empty, though the pool was closed cleanly");
}

TEST(FrameSet, TellsWhatItHasSeen) {
  inspect::FrameSet set;
  for (const Pfn pfn : {0ull, 63ull, 64ull, 32767ull, 32768ull, 1ull << 39}) {
    EXPECT_TRUE(set.Insert(pfn));
    EXPECT_FALSE(set.Insert(pfn));
  }
}

}  // namespace
}  // namespace tuff::test
