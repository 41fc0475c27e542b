// Salvages one damaged image after the other (damage.h), and compares what is saved with what the
// leaves held: what lies in undamaged leaves is all there, whatever else is damaged; of damaged
// ones, every value is one that its key once had. TUFF_DAMAGE_STRIDE=n: every n-th damage.
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include <fmt/format.h>

#include "engine/repair/salvage.h"
#include "tests/crash/image_file.h"
#include "tests/crash/isolate.h"
#include "tests/damage/damage.h"
#include "tests/damage/rich_pool.h"

namespace tuff::test {
namespace {

constexpr size_t kAtOnce = 20;
constexpr unsigned kSecondsMax = kSanitized ? 120 : 30;

Thoroughness HowThorough() {
  Thoroughness how;
  how.stride = EnvNumber("TUFF_DAMAGE_STRIDE", kSanitized ? 400 : 60);
  how.stride_bulk = 16;
  how.stride_leaves = 12;
  return how;
}

bool IsInLeaf(Kind kind) { return kind >= Kind::kLeafHeader && kind <= Kind::kLogEnd; }
bool IsInLog(Kind kind) { return kind >= Kind::kLogRecord && kind <= Kind::kLogEnd; }
bool IsInLane(Kind kind) { return kind == Kind::kLane || kind == Kind::kRedoChunk; }

class Sweep {
 public:
  Sweep(const SparseImage& image, const SparseImage& recovered)
      : rich_(TheRichPool()), image_(image), layout_(ReadLayout(image, recovered, rich_.stores)) {
    NoteValues(layout_);
    for (const SparseImage& earlier : rich_.earlier) {
      NoteValues(ReadLayout(earlier, earlier, rich_.stores));
    }
    for (const LeafStates& leaf : layout_.leaves) {
      for (size_t k = 0; k < leaf.keys.size(); k++) {
        if (leaf.states.back()[k])
          present_[leaf.store + "/" + leaf.keys[k]] = *leaf.states.back()[k];
      }
    }
  }

  // What was wrong, or nothing.
  std::string Run() {
    const std::vector<Damage> damages = AllDamages(image_, layout_, rich_.earlier, HowThorough());
    const auto sets = Combine(damages, layout_, kAtOnce);
    const Isolated run = RunIsolated([&] {
      TempDir dir;
      ImageFile file(dir.File("old"), image_.bytes());
      std::string wrong = One(file, dir.File("new"), damages, {});
      for (const auto& set : sets) {
        NowDoing(Describe(damages, set));
        alarm(kSecondsMax);
        wrong += One(file, dir.File("new"), damages, set);
        if (wrong.size() > 4000) break;
      }
      return wrong + fmt::format("{} damages in {} images", damages.size(), sets.size());
    });
    return run.death + run.output;
  }

 private:
  void NoteValues(const Layout& layout) {
    for (const LeafStates& leaf : layout.leaves) {
      for (size_t k = 0; k < leaf.keys.size(); k++) {
        auto& values = values_[leaf.store + "/" + leaf.keys[k]];
        for (const auto& state : leaf.states) {
          if (state[k]) values.insert(*state[k]);
        }
      }
    }
  }

  std::string Describe(const std::vector<Damage>& damages, const std::vector<uint32_t>& set) const {
    std::string text;
    for (const uint32_t i : set) text += damages[i].ToString(layout_) + "; ";
    return text;
  }

  std::string One(ImageFile& file, const std::string& to, const std::vector<Damage>& damages,
                  const std::vector<uint32_t>& set) const {
    const SparseImage image = Apply(image_, damages, set);
    file.Load(image);
    SalvageOptions options;
    options.sparse = true;
    options.open = SmallPool().open;
    auto report = SalvagePool(file.path(), to, options);
    std::string wrong;
    if (!report.ok()) {
      wrong = report.status().ToString();
    } else {
      auto pool = Pool::Open(to, SmallPool().open);
      if (!pool.ok()) return pool.status().ToString();
      wrong = Compare(*report, **pool, damages, set) + Problems(**pool);
      unlink(to.c_str());
    }
    if (!file.Holds(image, false)) wrong += "the old pool has changed";
    return wrong.empty() ? "" : wrong + "\n  with " + Describe(damages, set) + "\n";
  }

  std::string Compare(const SalvageReport& report, Pool& pool, const std::vector<Damage>& damages,
                      const std::vector<uint32_t>& set) const {
    std::set<uint32_t> damaged;  // leaves
    bool all = true;             // of what is in no damaged leaf is there
    bool silent = false;         // nobody can tell that something is missing
    for (const uint32_t i : set) {
      const Damage& damage = damages[i];
      if (IsInLeaf(damage.kind)) damaged.insert(layout_.targets[damage.target].scope[0]);
      silent = silent || IsInLog(damage.kind) || IsInLane(damage.kind);
      all = all && !IsInLane(damage.kind);
      for (const uint64_t word : layout_.deciders) {
        const bool hit = damage.place < word + 8 && word < damage.place + damage.bytes.size();
        all = all && !hit;
        silent = silent || hit;  // the change is undone, or seems to have happened
      }
    }
    std::map<std::string, std::string> saved;
    for (const SalvagedStore& store : report.stores) {
      const auto known = rich_.stores.find(store.object_id);
      const std::string name = known == rich_.stores.end() ? store.name : known->second;
      if (known == rich_.stores.end() && !store.name_lost) return "a store from nowhere: " + name;
      for (const auto& [key, value] : Read(**pool.OpenStore(store.name))) {
        if (known != rich_.stores.end()) saved[name + "/" + key] = value;
      }
    }
    for (const auto& [key, value] : saved) {
      const auto values = values_.find(key);
      if (values == values_.end() || !values->second.contains(value)) {
        return fmt::format("'{}' never was '{}'", key, value.substr(0, 40));
      }
    }
    if (saved != present_ && report.whole() && !silent) return "the report hides a loss";
    for (uint32_t i = 0; i < layout_.leaves.size() && all; i++) {
      if (damaged.contains(i)) continue;
      const LeafStates& leaf = layout_.leaves[i];
      for (size_t k = 0; k < leaf.keys.size(); k++) {
        const std::string key = leaf.store + "/" + leaf.keys[k];
        const auto found = saved.find(key);
        const bool same = leaf.states.back()[k]
                              ? found != saved.end() && found->second == *leaf.states.back()[k]
                              : found == saved.end();
        if (!same) {
          return fmt::format("leaf {}: '{}' is {}", leaf.pfn, key,
                             found == saved.end() ? "not there" : "another");
        }
      }
    }
    return "";
  }

  const RichPool& rich_;
  const SparseImage& image_;
  const Layout layout_;
  std::map<std::string, std::set<std::string>> values_;  // that a key ever had
  std::map<std::string, std::string> present_;
};

TEST(SalvageSweep, OfAPoolThatWasClosed) {
  ASSERT_FALSE(TheRichPool().stores.empty());
  const std::string result = Sweep(TheRichPool().clean, TheRichPool().clean).Run();
  EXPECT_EQ(result.find('\n'), result.npos) << result;
  std::printf("%s\n", result.substr(result.rfind('\n') + 1).c_str());
}

TEST(SalvageSweep, OfAPoolThatWasKilled) {
  ASSERT_FALSE(TheRichPool().stores.empty());
  const std::string result = Sweep(TheRichPool().unclean, TheRichPool().recovered).Run();
  EXPECT_EQ(result.find('\n'), result.npos) << result;
  std::printf("%s\n", result.substr(result.rfind('\n') + 1).c_str());
}

}  // namespace
}  // namespace tuff::test
