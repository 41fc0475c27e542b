// The corruption sweep through fsck: what is damaged is repaired in one pass, the second finds
// nothing; no more is lost than what was damaged; and the repair can be taken back.
//
// Each set of damages: -n (the file stays), -y with an undo file, -n (sound), the pool is opened,
// checked and read. A leaf that no damage concerns has its present contents, each other key a value
// that it once had, or none. TUFF_DAMAGE_STRIDE=n: every n-th damage.
#include <fmt/format.h>
#include <unistd.h>

#include <set>

#include "engine/repair/fsck.h"
#include "engine/repair/patch.h"
#include "tests/crash/isolate.h"
#include "tests/damage/rich_pool.h"
#include "tests/damage/verdict.h"
#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

constexpr size_t kAtOnce = 6;
constexpr size_t kSetsPerProcess = 200;
constexpr size_t kFailuresMax = 8;

class Repairer {
 public:
  Repairer(const std::string& dir, const SparseImage& image, const Layout& layout)
      : dir_(dir),
        image_(image),
        layout_(layout),
        file_(dir + "/pool", image.bytes()),
        watch_(file_) {}

  // What is wrong; empty if nothing.
  std::string Try(const std::vector<Damage>& damages, const std::vector<uint32_t>& which,
                  uint64_t turn) {
    wrong_.clear();
    const SparseImage damaged = Apply(image_, damages, which);
    file_.Load(damaged);
    FindScope(damages, which);
    if (!Fsck(FsckMode::kCheck)) return wrong_;
    if (!file_.Holds(damaged, false)) return "a check has changed the file";
    if (refused_) return "";
    const std::string undo = dir_ + "/undo";
    unlink(undo.c_str());
    const bool was_sound = sound_;
    if (!Fsck(FsckMode::kRepair, undo)) return wrong_;
    if (was_sound && !sound_) return "-y finds what -n has not: " + text_;
    const std::string found = text_;
    if (unrepaired_ != 0) return "left unrepaired: " + text_;
    if (!Fsck(FsckMode::kCheck)) return wrong_;
    if (!sound_) return "the second pass finds " + text_ + "\n  after the first has found " + found;
    if (turn % 4 == 0 && access(undo.c_str(), F_OK) == 0) {
      if (auto reverted = RevertRepair(file_.path(), undo); !reverted.ok()) {
        return "reverting: " + reverted.status().ToString();
      }
      if (!file_.Holds(damaged, true)) return "the undo file does not restore the file";
      if (!Fsck(FsckMode::kRepair)) return wrong_;
    }
    ReadAll();
    return wrong_.empty() ? "" : wrong_ + "\n  after fsck has found " + found;
  }

 private:
  bool Fsck(FsckMode mode, const std::string& undo = "") {
    PoolImage::Options how;
    how.padded = true;
    how.for_repair = mode != FsckMode::kCheck;
    auto image = PoolImage::Open(file_.path(), how);
    refused_ = !image.ok();
    if (refused_) {
      wrong_ = alone_ ? "" : "the image is refused: " + image.status().ToString();
      return alone_;
    }
    FsckOptions options;
    options.mode = mode;
    auto report = RunFsck(**image, options);
    if (!report.ok()) {
      wrong_ = "fsck: " + report.status().ToString();
      return false;
    }
    sound_ = report->sound();
    unrepaired_ = report->unrepaired;
    text_.clear();
    for (const Problem& problem : report->problems) {
      text_ += fmt::format("{}[{}]; ", problem.text, problem.object_id);
    }
    if (mode == FsckMode::kCheck) return true;
    auto pages = CommitRepair(**image, undo);
    if (!pages.ok()) wrong_ = "writing the repair: " + pages.status().ToString();
    return pages.ok();
  }

  void FindScope(const std::vector<Damage>& damages, const std::vector<uint32_t>& which) {
    alone_ = false;
    in_scope_.assign(layout_.leaves.size(), false);
    for (const uint32_t i : which) {
      alone_ = alone_ || damages[i].alone;
      for (const uint32_t leaf : layout_.targets[damages[i].target].scope) {
        if (leaf < in_scope_.size()) in_scope_[leaf] = true;
      }
    }
  }

  void ReadAll() {
    auto pool = Pool::Open(file_.path(), SmallPool().open);
    if (!pool.ok()) {
      wrong_ = "opening what was repaired: " + pool.status().ToString();
      return;
    }
    wrong_ = Problems(**pool);
    for (size_t i = 0; i < layout_.leaves.size() && wrong_.empty(); i++) {
      ReadLeafOf(**pool, layout_.leaves[i], in_scope_[i] || alone_);
    }
    if (Status s = (*pool)->Close(); !s.ok() && wrong_.empty()) wrong_ = s.ToString();
  }

  void ReadLeafOf(Pool& pool, const LeafStates& leaf, bool may_have_lost) {
    auto store = pool.OpenStore(leaf.store);
    if (!store.ok()) {
      if (!alone_) wrong_ = "store " + leaf.store + ": " + store.status().ToString();
      return;
    }
    for (size_t k = 0; k < leaf.keys.size(); k++) {
      std::string value;
      const Status s = (*store)->Get(leaf.keys[k], &value);
      const auto got = s.ok() ? std::optional<std::string>(value) : std::nullopt;
      if (!s.ok() && !s.IsNotFound()) {
        wrong_ = "get: " + s.ToString();
      } else if (!may_have_lost && got != leaf.states.back()[k]) {
        wrong_ = fmt::format("{}/{} of leaf {} is {}, though no damage concerns it", leaf.store,
                             leaf.keys[k], leaf.pfn, got ? "another one" : "lost");
      } else if (got && std::none_of(leaf.states.begin(), leaf.states.end(),
                                     [&](const auto& state) { return state[k] == got; })) {
        wrong_ = fmt::format("{}/{} has a value that it never had", leaf.store, leaf.keys[k]);
      }
    }
  }

  const std::string dir_;
  const SparseImage& image_;
  const Layout& layout_;
  ImageFile file_;
  ImageFile::Watch watch_;
  bool alone_ = false;
  std::vector<bool> in_scope_;
  bool refused_ = false;
  bool sound_ = false;
  uint64_t unrepaired_ = 0;
  std::string text_;
  std::string wrong_;
};

void Sweep(const SparseImage& image, const SparseImage& recovered) {
  const Layout layout = ReadLayout(image, recovered, TheRichPool().stores);
  Thoroughness how;
  const bool thorough = EnvNumber("TUFF_DAMAGE_THOROUGH", 0) != 0;
  how.stride = EnvNumber("TUFF_DAMAGE_STRIDE", thorough ? 1 : kSanitized ? 200 : 17);
  how.stride_bulk = thorough ? 1 : 16;
  how.stride_leaves = 12;
  const auto damages = AllDamages(image, layout, TheRichPool().earlier, how);
  const auto sets = Combine(damages, layout, kAtOnce);
  size_t failures = 0;
  for (size_t first = 0; first < sets.size() && failures < kFailuresMax;) {
    const size_t last = std::min(first + kSetsPerProcess, sets.size());
    size_t done = first;
    const Isolated run = RunIsolated([&] {
      TempDir dir;
      Repairer repairer(dir.File(""), image, layout);
      std::string text;
      for (size_t i = first; i < last; i++) {
        alarm(kSanitized ? 240 : 60);
        std::string what;
        for (const uint32_t d : sets[i]) what += damages[d].ToString(layout) + "; ";
        NowDoing(fmt::format("#{} {}", i, what));
        const std::string wrong = repairer.Try(damages, sets[i], i);
        if (!wrong.empty()) text += wrong + "\n  with " + what + "\n";
      }
      return text;
    });
    done = last;
    if (!run.output.empty()) {
      failures++;
      ADD_FAILURE() << run.output.substr(0, 40000);
    }
    if (!run.death.empty()) {
      failures++;
      ADD_FAILURE() << run.death;
      const size_t at = run.death.find('#');
      if (at != run.death.npos) done = std::stoul(run.death.substr(at + 1)) + 1;
    }
    first = done;
  }
  fmt::print("{} damages in {} images\n", damages.size(), sets.size());
}

TEST(FsckSweep, OfAPoolThatWasClosed) {
  ASSERT_FALSE(TheRichPool().stores.empty());
  Sweep(TheRichPool().clean, TheRichPool().clean);
}

TEST(FsckSweep, OfAPoolThatWasKilled) {
  ASSERT_FALSE(TheRichPool().stores.empty());
  Sweep(TheRichPool().unclean, TheRichPool().recovered);
}

}  // namespace
}  // namespace tuff::test
