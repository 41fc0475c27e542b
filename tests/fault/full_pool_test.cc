// ENOSPC at every frame count: the workloads of the crash tests in pools in which exactly so many
// frames are free, from none until there is enough; and sparse pools on disks with so many pages.
//
// An operation answers OK or NoSpace, and is then there wholly or not at all; no frame is lost; and
// what works in a full pool by the headers' word does work while the allocator's reserve is whole.
// TUFF_FAULT_ALL=1: all workloads, and no count is left out.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "tests/crash/crash_image.h"
#include "tests/crash/isolate.h"
#include "tests/crash/workload.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

constexpr unsigned kHangs = 300;  // seconds
constexpr size_t kProblemsMax = 8;

struct Run {
  Pfn pfn;
  unsigned order;
};
using Runs = std::vector<Run>;

uint64_t FramesOf(const Runs& runs) {
  uint64_t sum = 0;
  for (const Run& run : runs) sum += 1ull << run.order;
  return sum;
}

// How what is free lies.
enum class Layout : uint8_t {
  kRuns,       // together
  kScattered,  // no two are neighbours
  kReserve,    // the allocator's reserve is full, and beside it so many are scattered
};
constexpr Layout kLayouts[] = {Layout::kRuns, Layout::kScattered, Layout::kReserve};
const char* LayoutName(Layout layout) {
  return layout == Layout::kRuns        ? "together"
         : layout == Layout::kScattered ? "scattered"
                                        : "beside the reserve";
}

// Takes away an open pool's free frames, and gives them back.
class FreeFrameKeeper {
 public:
  explicit FreeFrameKeeper(PageMap& map) : map_(map) {}

  /// Leaves exactly `n` free, or as many beside the reserve. False if there are not so many.
  bool Leave(uint64_t n, Layout layout) {
    if (layout == Layout::kReserve) {
      TakeAll({AllocFor::kGrowth});
    } else {
      TakeAll({AllocFor::kGrowth, AllocFor::kExchange});
    }
    return layout == Layout::kRuns ? GiveRuns(n) : GiveScattered(n);
  }

  void GiveBack() {
    for (const Run& run : taken_) map_.allocator().Free(run.pfn, run.order);
    taken_.clear();
  }

  /// All frames that can be had, which are given back.
  uint64_t CountHad() {
    GiveBack();
    TakeAll({AllocFor::kGrowth, AllocFor::kExchange});
    const uint64_t sum = FramesOf(taken_);
    GiveBack();
    return sum;
  }

 private:
  void TakeAll(std::initializer_list<AllocFor> purposes) {
    map_.limbo().Reclaim();
    for (unsigned order = kOrderMax + 1; order-- > 0;) {
      for (const AllocFor purpose : purposes) {
        while (const Pfn pfn = map_.allocator().Allocate(order, purpose)) {
          taken_.push_back({pfn, order});
        }
      }
    }
  }

  // Of the first run that is large enough, or of several; what is left of it stays taken.
  bool GiveRuns(uint64_t n) {
    Runs kept;
    for (Run run : taken_) {
      for (; n > 0 && (1ull << run.order) > n; run.order--) {
        kept.push_back({run.pfn + (1ull << (run.order - 1)), run.order - 1});
      }
      if (n == 0) {
        kept.push_back(run);
        continue;
      }
      map_.allocator().Free(run.pfn, run.order);
      n -= 1ull << run.order;
    }
    taken_ = std::move(kept);
    return n == 0;
  }

  bool GiveScattered(uint64_t n) {
    Runs kept;
    for (const Run& run : taken_) {
      for (Pfn pfn = run.pfn; pfn < run.pfn + (1ull << run.order); pfn++) {
        if (n > 0 && pfn % 8 == 0) {
          map_.allocator().Free(pfn, 0);
          n--;
        } else {
          kept.push_back({pfn, 0});
        }
      }
    }
    taken_ = std::move(kept);
    return n == 0;
  }

  PageMap& map_;
  Runs taken_;
};

struct Scene {
  std::string name;
  Granularity granularity = Granularity::kCacheLine;
  std::string path;
};

// One workload, in a process of its own.
class FullPool {
 public:
  explicit FullPool(const Scene& scene) : scene_(scene) {
    session_ = {scene.path, scene.granularity, nullptr};
    const Workload workload = MakeWorkload(scene.name, {scene.path + ".dry", scene.granularity});
    for (const Operations& thread : workload.threads) run_ = run_ + thread;
    Prepare(Operations{CreatePoolOp()} + workload.prepare);
  }

  /// What is wrong, line by line.
  std::string FramesFill() {
    for (const Layout layout : kLayouts) FillFrames(layout);
    return Problems();
  }
  std::string DiskFills() {
    FillDisk();
    return Problems();
  }

 private:
  bool TooMany() const { return problems_.size() >= kProblemsMax; }
  void Problem(const std::string& what) {
    if (!TooMany()) problems_.push_back(fmt::format("{}: {}: {}", scene_.name, doing_, what));
  }
  std::string Problems() const { return fmt::format("{}", fmt::join(problems_, "\n")); }
  void Doing(std::string what) {
    doing_ = std::move(what);
    NowDoing(scene_.name + ": " + doing_);
  }

  void Prepare(const Operations& operations) {
    Doing("preparing");
    for (const Operation& operation : operations) {
      if (Status s = operation.run(session_); !s.ok()) Problem(operation.name + s.ToString());
      operation.effect(&start_);
    }
    const PageMap& map = PoolTestPeer::Map(*session_.pool);
    const auto bytes = OffsetOf(map.frames());
    if (Status s = session_.Close(); !s.ok()) Problem(s.ToString());
    const std::string file = ReadWholeFile(session_.path);
    image_ = SparseImage::OfMapping(reinterpret_cast<const std::byte*>(file.data()), bytes);
  }

  void Restore() {
    unlink(session_.path.c_str());
    if (!image_.WriteTo(session_.path)) Problem("cannot write the image");
    ReserveBlocks();
    now_ = start_;
  }

  // As the pool had reserved what it used; but not the memmap, as after a mount with that in DRAM.
  void ReserveBlocks() {
    const int fd = open(session_.path.c_str(), O_WRONLY | O_CLOEXEC);
    uint64_t done = ~0ull;
    for (const auto& [pfn, frame] : image_.frames()) {
      const uint64_t block = BlockOf(pfn);
      if (block == done) continue;
      done = block;
      if (fallocate(fd, 0, static_cast<off_t>(OffsetOf(block << kBlockShift)),
                    static_cast<off_t>(OffsetOf(kBlockFrames))) != 0) {
        Problem("cannot reserve the image's blocks");
      }
    }
    close(fd);
  }

  // From no frame until all goes well again and again. The steps grow while the answers
  // stay the same.
  void FillFrames(Layout layout) {
    const bool every_count = EnvNumber("TUFF_FAULT_ALL", 0) != 0;
    uint64_t well = 0;
    uint64_t refused = 0;
    uint64_t n = 0;
    for (; !TooMany() && well < 12;) {
      Doing(fmt::format("{} frames {}", n, LayoutName(layout)));
      if (session_.pool == nullptr) {
        Restore();
        if (Status s = session_.Open(); !s.ok()) return Problem("opening: " + s.ToString());
      }
      FreeFrameKeeper keeper(PoolTestPeer::Map(*session_.pool));
      if (!keeper.Leave(n, layout)) break;
      must_shrink_ = layout == Layout::kReserve;
      const bool all_well = RunOperations();
      LookAtPool();
      if (Status s = session_.pool->WaitForBackgroundWork(); !s.ok()) {
        Problem("in the background: " + s.ToString());
      }
      const uint64_t had = keeper.CountHad();
      if (const uint64_t free = FreeFrames(*session_.pool); had != free) {
        Problem(fmt::format("{} frames are free, but {} can be had", free, had));
      }
      well = all_well ? well + 1 : 0;
      refused = all_well ? 0 : refused + 1;
      n += every_count ? 1 : 1 + well / 4 + refused / (layout == Layout::kScattered ? 2 : 8);
      if (now_ != start_) CloseAndExamine();
    }
    if (session_.pool != nullptr) CloseAndExamine();
    if (layout == Layout::kRuns && well == 0) Problem("there is never enough");
  }

  // True if all went well.
  bool RunOperations() {
    bool all_well = true;
    for (const Operation& operation : run_) {
      const Status s = operation.run(session_);
      if (s.ok()) {
        operation.effect(&now_);
        continue;
      }
      all_well = false;
      const std::string text = operation.name + ": " + s.ToString();
      if (s.code() != Code::kNoSpace) {
        Problem(text);
      } else if (s.message().find(session_.path) == s.message().npos) {
        Problem("does not say where: " + text);
      } else if (must_shrink_ && Shrinks(operation)) {
        Problem("must not be refused: " + text);
      }
      if (operation.name.find(" from ") != operation.name.npos) SettleRange(operation);
    }
    return all_well;
  }

  // DeleteRange that has failed may have deleted a part, from the first key on.
  void SettleRange(const Operation& operation) {
    Contents after = now_;
    operation.effect(&after);
    auto found = ReadContents(*session_.pool);
    if (!found.ok()) return Problem("reading: " + found.status().ToString());
    const Contents before = now_;
    for (const auto& [key, value] : before) {
      if (after.contains(key)) continue;
      if (found->contains(key)) break;
      now_.erase(key);
    }
  }

  static bool Shrinks(const Operation& operation) {
    return operation.name.starts_with("delete") || operation.name.starts_with("drop") ||
           operation.name == "wait";
  }

  void LookAtPool() {
    auto contents = ReadContents(*session_.pool);
    if (!contents.ok()) return Problem("reading: " + contents.status().ToString());
    if (const std::string here = Difference(now_, *contents); !here.empty()) Problem(here);
    if (const std::string here = test::Problems(*session_.pool); !here.empty()) Problem(here);
  }

  void CloseAndExamine() {
    if (Status s = session_.Close(); !s.ok()) Problem("closing: " + s.ToString());
    ExamineOptions options;
    options.granularity = scene_.granularity;
    const Examination found = Examine(session_.path, {now_}, options);
    if (!found.problem.empty()) Problem("afterwards: " + found.problem);
  }

  // Disk.
  uint64_t PagesLeft() const {
    struct statvfs st {};
    if (statvfs(session_.path.c_str(), &st) != 0) Die();
    return st.f_bavail * st.f_bsize / kFrameSize;
  }
  [[noreturn]] static void Die() { std::abort(); }

  void LeavePages(uint64_t n) {
    const int fd = open(Filler().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    const uint64_t left = PagesLeft();
    if (fd < 0 || left < n) Die();
    if (left > n && fallocate(fd, 0, 0, static_cast<off_t>((left - n) * kFrameSize)) != 0) Die();
    close(fd);
    if (PagesLeft() != n) Problem(fmt::format("{} pages are left", PagesLeft()));
  }
  std::string Filler() const { return session_.path + ".filler"; }

  void FillDisk() {
    const uint64_t needed = PagesTaken();
    std::vector<uint64_t> counts;
    for (uint64_t n = 0; n <= needed + 2; n++) {
      const bool near = n < 3 || n + 2 > needed || n % kBlockFrames < 2;
      if (near || n % (needed / 8 + 1) == 0) counts.push_back(n);
    }
    bool last_well = false;
    for (const uint64_t n : counts) {
      for (const bool before_opening : {false, true}) {
        if (!TooMany()) last_well = TryOnDisk(n, before_opening);
      }
    }
    if (!last_well && !TooMany()) Problem("there is never enough");
  }

  uint64_t PagesTaken() {
    Doing("on a large disk");
    Restore();
    const uint64_t before = PagesLeft();
    if (Status s = session_.Open(); !s.ok()) Problem("opening: " + s.ToString());
    if (!RunOperations()) Problem("the disk is too small");
    CloseAndExamine();
    return before - PagesLeft();
  }

  // True if all went well.
  bool TryOnDisk(uint64_t n, bool before_opening) {
    Doing(fmt::format("{} pages left {} opening", n, before_opening ? "before" : "after"));
    Restore();
    if (before_opening) LeavePages(n);
    if (Status s = session_.Open(); !s.ok()) {
      if (s.code() != Code::kNoSpace || !before_opening) Problem("opening: " + s.ToString());
      unlink(Filler().c_str());
      return false;
    }
    if (!before_opening) LeavePages(n);
    const bool all_well = RunOperations();
    LookAtPool();
    unlink(Filler().c_str());
    CloseAndExamine();
    return all_well;
  }

  const Scene scene_;
  Session session_;
  Operations run_;
  SparseImage image_;
  Contents start_;
  Contents now_;
  bool must_shrink_ = false;
  std::string doing_;
  std::vector<std::string> problems_;
};

// Of the workloads, those that come to all kinds of changes.
std::vector<std::string> Chosen() {
  std::vector<std::string> names = {
      "create_second_store", "overwrite",      "delete",         "split",           "merge",
      "inner_split",         "compound_split", "compound_merge", "batch_leaves",    "batch_chunks",
      "transaction",         "delete_range",   "drop_tall",      "bulk_one_parent", "consolidate"};
  if (EnvNumber("TUFF_FAULT_ALL", 0) == 0) return names;
  names = WorkloadNames();
  // What is held is free again after opening.
  const auto reopens = {"create_pool", "close", "reopen", "drop_reopen"};
  std::erase_if(names, [&](const std::string& name) {
    return std::find(reopens.begin(), reopens.end(), name) != reopens.end();
  });
  return names;
}

class FullPoolTest : public testing::TestWithParam<std::tuple<std::string, Granularity>> {
 protected:
  void Run(const std::string& directory, std::string (FullPool::*part)()) {
    const Scene scene{std::get<0>(GetParam()), std::get<1>(GetParam()), directory + "/pool"};
    const Isolated isolated = RunIsolated([&] {
      alarm(kHangs);
      return (FullPool(scene).*part)();
    });
    EXPECT_EQ(isolated.death, "");
    EXPECT_EQ(isolated.output, "");
  }
};

TEST_P(FullPoolTest, EveryFrameCount) {
  const TempDir dir;
  Run(dir.path(), &FullPool::FramesFill);
}

class FullDiskTest : public FullPoolTest {};

TEST_P(FullDiskTest, EveryPageCount) {
  const SmallTmpfs disk(kPoolSizeMin * 3);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not permitted";
  Run(disk.path(), &FullPool::DiskFills);
}

// Those that need much, or a section's tables; all, if so wished.
std::vector<std::string> ChosenForDisk() {
  if (EnvNumber("TUFF_FAULT_ALL", 0) != 0) return Chosen();
  return {"create_second_store", "split", "delete", "bulk_two_parents"};
}

constexpr Granularity kGranularities[] = {Granularity::kCacheLine, Granularity::kPage};

std::string NameOf(const testing::TestParamInfo<std::tuple<std::string, Granularity>>& info) {
  const bool page = std::get<1>(info.param) == Granularity::kPage;
  return std::get<0>(info.param) + (page ? "_Page" : "_CacheLine");
}

INSTANTIATE_TEST_SUITE_P(Workloads, FullPoolTest,
                         testing::Combine(testing::ValuesIn(Chosen()),
                                          testing::ValuesIn(kGranularities)),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Workloads, FullDiskTest,
                         testing::Combine(testing::ValuesIn(ChosenForDisk()),
                                          testing::ValuesIn(kGranularities)),
                         NameOf);

}  // namespace
}  // namespace tuff::test
