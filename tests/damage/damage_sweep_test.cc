// The corruption sweep: every kind of persistent byte of a rich pool is damaged in every way that
// is worth it, and the pool must bear it.
//
// What is damaged: each byte, by flipping bits; each line of 64 bytes, by zeros, by 0xff, by what
// it held earlier, by another frame's line of the same kind and by one of another kind (Damage).
// The pool is then opened, read, checked and written, read-only first (Examiner).
//
// What must be: no crash, no hang, no invented key, no wrong value, and no harm to what the damage
// does not concern. Either somebody says what is wrong (opening, an operation that meets it, or
// CheckPool), or what is read is a *legal state*. A legal state of a leaf is what it held when it
// was written or after any later append to its log, all its keys at one such moment; of a store
// whose root word is damaged, also nothing, as before its first put. A state that is not the
// present one is counted as older: a zeroed last line of a log looks as if it had never been
// written, and no checksum can tell.
//
// Of bytes of which many are alike (values, zeros, what hangs in the graveyard) a sixteenth is
// tried. TUFF_DAMAGE_THOROUGH=1: all of those, every bit of the others, and all earlier lines.
// TUFF_DAMAGE_STRIDE=n: every n-th damage, at random.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "tests/crash/isolate.h"
#include "tests/damage/rich_pool.h"
#include "tests/damage/verdict.h"

namespace tuff::test {
namespace {

constexpr size_t kSetsPerProcess = 300;
constexpr unsigned kSecondsMax = kSanitized ? 120 : 30;  // for one image: else it hangs
constexpr size_t kFailuresMax = 8;
constexpr size_t kAtOnce = 20;  // damages, to leaves that have nothing to do with each other

Thoroughness HowThorough() {
  Thoroughness how;
  const bool thorough = EnvNumber("TUFF_DAMAGE_THOROUGH", 0) != 0;
  how.stride = EnvNumber("TUFF_DAMAGE_STRIDE", thorough ? 1 : kSanitized ? 40 : 3);
  how.stride_bulk = thorough ? 1 : 16;
  how.stride_leaves = 12;
  how.all_bits = thorough;
  how.older_max = thorough ? 100 : 1;
  return how;
}

using Table = std::array<std::array<std::array<uint64_t, kOutcomes>, kHows>, kKinds>;

void Print(const std::string& title, const Table& table) {
  std::printf("%s\n%-13s %-16s %9s %9s %9s %9s %9s %9s\n", title.c_str(), "kind", "damage",
              "images", "open", "reading", "check", "older", "current");
  for (size_t kind = 0; kind < kKinds; kind++) {
    for (size_t how = 0; how < kHows; how++) {
      const auto& row = table[kind][how];
      uint64_t images = 0;
      for (const uint64_t n : row) images += n;
      if (images == 0) continue;
      std::printf("%-13s %-16s %9lu", KindName(static_cast<Kind>(kind)),
                  HowName(static_cast<How>(how)), images);
      for (const uint64_t n : row) std::printf(" %9lu", n);
      std::printf("\n");
    }
  }
  std::fflush(stdout);
}

class Sweep {
 public:
  Sweep(const SparseImage& image, const SparseImage& recovered)
      : image_(image), layout_(ReadLayout(image, recovered, TheRichPool().stores)) {}

  const Layout& layout() const { return layout_; }

  void Run(const std::string& title) {
    const Thoroughness how = HowThorough();
    damages_ = AllDamages(image_, layout_, TheRichPool().earlier, how);
    sets_ = Combine(damages_, layout_, kAtOnce);
    for (size_t first = 0; first < sets_.size() && failures_ < kFailuresMax;) {
      first = RunSome(first, std::min(first + kSetsPerProcess, sets_.size()));
    }
    Print(fmt::format("{}: {} damages in {} images", title, damages_.size(), sets_.size()), table_);
  }

  // No damage at all.
  std::string Undamaged(uint64_t turn) {
    const Isolated run = RunIsolated([&] {
      TempDir dir;
      Examiner examiner(dir.File("pool"), image_, layout_, TheRichPool().stores);
      return examiner.Examine({}, {}, turn).wrong;
    });
    return run.death + run.output;
  }

 private:
  // In a process of its own; returns how far it has come.
  size_t RunSome(size_t first, size_t last) {
    const Isolated run = RunIsolated([&] {
      TempDir dir;
      Examiner examiner(dir.File("pool"), image_, layout_, TheRichPool().stores);
      std::string text;
      for (size_t i = first; i < last; i++) {
        alarm(kSecondsMax);
        NowDoing(fmt::format("#{} {}", i, Describe(sets_[i])));
        const Verdict verdict = examiner.Examine(damages_, sets_[i], i);
        for (const Outcome outcome : verdict.outcomes)
          text += fmt::format("{} ", static_cast<int>(outcome));
        std::string wrong = verdict.wrong;
        std::replace(wrong.begin(), wrong.end(), '\n', ' ');
        text += wrong + '\n';
      }
      return text;
    });
    std::istringstream lines(run.output);
    std::string line;
    for (size_t i = first; i < last && std::getline(lines, line); i++) Note(sets_[i], line);
    if (run.death.empty()) return last;
    failures_++;
    ADD_FAILURE() << run.death;
    const size_t at = run.death.find('#');
    return at == run.death.npos ? last : std::stoul(run.death.substr(at + 1)) + 1;
  }

  void Note(const std::vector<uint32_t>& set, const std::string& line) {
    std::istringstream words(line);
    for (const uint32_t i : set) {
      int outcome = 0;
      words >> outcome;
      table_[static_cast<size_t>(damages_[i].kind)][static_cast<size_t>(damages_[i].how)]
            [static_cast<size_t>(outcome)]++;
    }
    std::string wrong;
    std::getline(words >> std::ws, wrong);
    if (wrong.empty()) return;
    failures_++;
    ADD_FAILURE() << wrong << "\n  with " << Describe(set);
  }

  std::string Describe(const std::vector<uint32_t>& set) const {
    std::string text;
    for (const uint32_t i : set) text += damages_[i].ToString(layout_) + "; ";
    return text;
  }

  const SparseImage& image_;
  const Layout layout_;
  std::vector<Damage> damages_;
  std::vector<std::vector<uint32_t>> sets_;
  size_t failures_ = 0;
  Table table_{};
};

// Kinds that a layout has nothing of.
std::string Missing(const Layout& layout) {
  std::set<Kind> kinds;
  for (const Target& target : layout.targets) {
    for (const Region& region : target.regions) kinds.insert(region.kind);
  }
  std::string missing;
  for (size_t kind = 0; kind < kKinds; kind++) {
    if (!kinds.contains(static_cast<Kind>(kind))) missing += KindName(static_cast<Kind>(kind));
  }
  return missing;
}

// What the leaves of a layout hold at present.
Contents PresentOf(const Layout& layout, const std::map<uint32_t, std::string>& stores) {
  Contents contents;
  for (const auto& [id, name] : stores) contents[name];
  for (const LeafStates& leaf : layout.leaves) {
    for (size_t k = 0; k < leaf.keys.size(); k++) {
      const auto& value = leaf.states.back()[k];
      if (value) contents[leaf.store + "/" + leaf.keys[k]] = *value;
    }
  }
  return contents;
}

TEST(DamageSweep, OfAPoolThatWasClosed) {
  ASSERT_FALSE(TheRichPool().stores.empty());
  Sweep sweep(TheRichPool().clean, TheRichPool().clean);
  ASSERT_EQ(Difference(TheRichPool().contents, PresentOf(sweep.layout(), TheRichPool().stores)),
            "");
  for (const uint64_t turn : {0, 1}) ASSERT_EQ(sweep.Undamaged(turn), "");
  EXPECT_EQ(Missing(sweep.layout()), "redo chunk");
  sweep.Run("closed, never crashed");
}

TEST(DamageSweep, OfAPoolThatWasKilled) {
  ASSERT_FALSE(TheRichPool().stores.empty());
  Sweep sweep(TheRichPool().unclean, TheRichPool().recovered);
  ASSERT_EQ(
      Difference(TheRichPool().contents_recovered, PresentOf(sweep.layout(), TheRichPool().stores)),
      "");
  for (const uint64_t turn : {0, 1}) ASSERT_EQ(sweep.Undamaged(turn), "");
  EXPECT_EQ(Missing(sweep.layout()), "");
  sweep.Run("killed, five lanes live");
}

}  // namespace
}  // namespace tuff::test
