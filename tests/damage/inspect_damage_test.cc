// Everything that `tuff inspect` can be asked, of many damaged pools: it ends, reads nothing
// outside the file, and leaves the file as it is.
//
// TUFF_DAMAGE_STRIDE=n: every n-th damage, at random.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/inspect/inspect.h"
#include "tests/crash/image_file.h"
#include "tests/crash/isolate.h"
#include "tests/damage/damage.h"
#include "tests/damage/rich_pool.h"

namespace tuff::test {
namespace {

// What a report says, so that every byte of it is touched.
size_t SizeOf(const inspect::Object& object) {
  size_t size = 0;
  for (const inspect::Item& item : object.items()) {
    size += item.name.size() + item.text.size() + item.meaning.size();
    for (const inspect::Object& inside : item.objects) size += SizeOf(inside);
  }
  return size;
}

class Asker {
 public:
  explicit Asker(std::vector<std::string> stores) : stores_(std::move(stores)) {}

  // Everything, but of frames only those of the damaged place and of a few others.
  void AskAll(const PoolImage& image, uint64_t place, uint64_t turn) {
    Take(inspect::Superblocks(image));
    Take(inspect::LaneEntries(image));
    Take(inspect::Snapshots(image));
    Take(inspect::Descriptors(image));
    Take(inspect::BuddyInfo(image));
    Take(inspect::Section(image, 0));
    for (const std::string& store : stores_) {
      Take(inspect::Tree(image, store));
      Take(inspect::Key(image, store, fmt::format("key{}", turn)));
    }
    Take(inspect::Tree(image, fmt::format("/{}", turn % 40)));
    const Pfn pfn = place >> kFrameShift;
    // The frame whose owner word it is, too, if it is one.
    const uint64_t table = OffsetOf(FrameTablePfn(0));
    const Pfn owned =
        place >= table && place < table + 8 * kSectionFrames ? (place - table) / 8 : 0;
    for (const Pfn frame : {pfn, owned, turn % image.frames()}) {
      Take(inspect::Frame(image, frame, true));
      Take(inspect::Node(image, frame, true));
    }
  }
  uint64_t said() const { return said_; }
  uint64_t damaged() const { return damaged_; }

 private:
  void Take(const Result<inspect::Report>& report) {
    if (!report.ok()) {
      said_ += report.status().message().size();
      return;
    }
    said_ += SizeOf(report->body);
    damaged_ += report->damage.empty() ? 0 : 1;
  }

  const std::vector<std::string> stores_;
  uint64_t said_ = 0;
  uint64_t damaged_ = 0;  // reports that name damage
};

std::string Sweep(const SparseImage& image, const SparseImage& recovered) {
  const Layout layout = ReadLayout(image, recovered, TheRichPool().stores);
  Thoroughness how;
  how.stride = EnvNumber("TUFF_DAMAGE_STRIDE", kSanitized ? 200 : 16);
  how.stride_bulk = 16;
  how.stride_leaves = 12;
  const std::vector<Damage> damages = AllDamages(image, layout, TheRichPool().earlier, how);
  std::vector<std::string> stores{"/catalogue", "/graveyard"};
  for (const auto& [id, name] : TheRichPool().stores) stores.push_back(name);
  TempDir dir;
  ImageFile file(dir.File("pool"), image.bytes());
  Asker asker(stores);
  for (uint32_t i = 0; i < damages.size(); i++) {
    NowDoing(damages[i].ToString(layout));
    const SparseImage damaged = Apply(image, damages, {i});
    file.Load(damaged);
    auto opened = PoolImage::Open(file.path(), {.also_in_use = true});
    if (opened.ok()) asker.AskAll(**opened, damages[i].place, i);
    if (!file.Holds(damaged, i % 64 == 0))
      return "the file has changed: " + damages[i].ToString(layout);
  }
  std::printf("%zu damages, %lu reports name one\n", damages.size(), asker.damaged());
  if (damages.size() < 50) return "too few damages";
  return asker.damaged() == 0 ? "no report names a damage" : "";
}

// No report of what is not damaged names any damage.
std::string Undamaged(const SparseImage& image) {
  TempDir dir;
  ImageFile file(dir.File("pool"), image.bytes());
  file.Load(image);
  auto opened = PoolImage::Open(file.path(), {.also_in_use = true});
  if (!opened.ok()) return opened.status().ToString();
  std::vector<std::string> stores{"/catalogue", "/graveyard"};
  for (const auto& [id, name] : TheRichPool().stores) stores.push_back(name);
  Asker asker(stores);
  for (uint64_t turn = 0; turn < (*opened)->frames(); turn += kSanitized ? 97 : 7) {
    asker.AskAll(**opened, OffsetOf(turn), turn);
    if (asker.damaged() != 0)
      return fmt::format("damage is named of an image without any, {}", turn);
  }
  return "";
}

void ExpectGood(const Isolated& run) {
  EXPECT_EQ(run.death, "");
  EXPECT_EQ(run.output, "");
}

TEST(InspectDamage, OfPoolsThatAreWhole) {
  ASSERT_FALSE(TheRichPool().stores.empty());
  ExpectGood(RunIsolated([] { return Undamaged(TheRichPool().clean); }));
  ExpectGood(RunIsolated([] { return Undamaged(TheRichPool().unclean); }));
}

// What rich_pool.h says of the lanes: two batches, two splits and a merge.
TEST(InspectDamage, LanesTellWhatTheNextOpenDoes) {
  ASSERT_FALSE(TheRichPool().stores.empty());
  TempDir dir;
  ASSERT_TRUE(TheRichPool().unclean.WriteTo(dir.File("pool")));
  auto opened = PoolImage::Open(dir.File("pool"), {.also_in_use = true});
  ASSERT_OK(opened);
  const inspect::Report report = inspect::LaneEntries(**opened);
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_TRUE(report.notes[0].starts_with("not closed cleanly: 5 lanes hold changes"));
  std::map<std::string, int> verdicts;
  for (const inspect::Object& lane : report.body.Find("lanes")->objects) {
    verdicts[lane.Find("verdict")->text]++;
  }
  EXPECT_EQ(verdicts,
            (std::map<std::string, int>{{"live: committed, the next open finishes it", 3},
                                        {"live: not committed, the next open undoes it", 2}}));
}

TEST(InspectDamage, OfAPoolThatWasClosed) {
  ASSERT_FALSE(TheRichPool().stores.empty());
  ExpectGood(RunIsolated([] { return Sweep(TheRichPool().clean, TheRichPool().clean); }));
}

TEST(InspectDamage, OfAPoolThatWasKilled) {
  ASSERT_FALSE(TheRichPool().stores.empty());
  ExpectGood(RunIsolated([] { return Sweep(TheRichPool().unclean, TheRichPool().recovered); }));
}

}  // namespace
}  // namespace tuff::test
