// Power failures and kills at every step of every workload: nothing acknowledged is lost, nothing
// happens by half, nothing leaks, and the pool goes on.
//
//   TUFF_CRASH_SEED=n        other samples
//   TUFF_CRASH_PERCENT=n     of the moments; from 100 on more images of each
//   TUFF_CRASH_REPLAY=name   one image, by the name that a failure of the same build gave
//                            (workloads of two threads do not repeat themselves exactly)
#include <fmt/format.h>

#include <algorithm>

#include "tests/crash/explorer.h"

namespace tuff::test {
namespace {

constexpr unsigned kUsualPercent = 7;
constexpr unsigned kSanitizedPercent = 2;
constexpr unsigned kUsualImages = 90;  // of one moment
constexpr unsigned kUsualRoots = 4;    // of the second level

// An image of these takes several times as long as others; smaller ones do the same under PAGE.
const std::set<std::string> kLong = {"drop_large", "bulk_parents"};

using Parameter = std::pair<std::string, Granularity>;

std::vector<Parameter> Parameters() {
  std::vector<Parameter> all;
  for (const std::string& name : WorkloadNames()) {
    all.emplace_back(name, Granularity::kCacheLine);
    if (!kLong.contains(name)) all.emplace_back(name, Granularity::kPage);
  }
  for (const char* name : {"create_second_store", "put", "split", "root_shrink"}) {
    all.emplace_back(name, Granularity::kByte);
  }
  return all;
}

std::string Replay() {
  const char* const name = std::getenv("TUFF_CRASH_REPLAY");
  return name == nullptr ? "" : name;
}

// Crash points that no workload can come to: why.
const std::map<std::string, std::string> kUnreachable = {};

// What all workloads have met.
class Total : public ::testing::Environment {
 public:
  void Add(const Coverage& coverage) {
    explored_++;
    sum_.images += coverage.images;
    sum_.second_level_images += coverage.second_level_images;
    sum_.moments += coverage.moments;
    for (const auto& [id, of] : coverage.by_id) {
      sum_.by_id[id].images += of.images;
      sum_.by_id[id].workloads.insert(of.workloads.begin(), of.workloads.end());
    }
  }

  void TearDown() override {
    if (explored_ != Parameters().size() || !Replay().empty()) return;
    fmt::print("\n{} images at {} moments, {} of them of the second level\n\n", sum_.images,
               sum_.moments, sum_.second_level_images);
    fmt::print("{:<12} {:>8}   workloads; (2): of the second level\n", "crash point", "images");
    for (const Step* step : AllSteps()) {
      if (step->kind != StepKind::kCrashPoint) continue;
      const Coverage::Of& of = sum_.by_id[step->id];
      const auto first_level = std::count_if(of.workloads.begin(), of.workloads.end(),
                                             [](const std::string& w) { return w.back() != ')'; });
      fmt::print("{:<12} {:>8}   {} + {} (2)\n", step->id, of.images, first_level,
                 of.workloads.size() - static_cast<size_t>(first_level));
      if (of.images > 0 || kUnreachable.contains(step->id)) continue;
      ADD_FAILURE() << "no workload comes to " << step->id << " (" << step->file << ")";
    }
  }

 private:
  size_t explored_ = 0;
  Coverage sum_;
};

Total* const total = static_cast<Total*>(::testing::AddGlobalTestEnvironment(new Total));

class CrashTest : public ::testing::TestWithParam<Parameter> {};

TEST_P(CrashTest, EveryImageIsSound) {
  const auto& [workload, granularity] = GetParam();
  ExploreOptions options;
  options.seed = EnvNumber("TUFF_CRASH_SEED", options.seed);
  if (kSanitized) {
    options.images_per_moment = 8;
    options.second_images_per_moment = 2;
    options.second_roots = 2;
  }
  const auto percent = static_cast<unsigned>(
      EnvNumber("TUFF_CRASH_PERCENT", kSanitized ? kSanitizedPercent : kUsualPercent));
  options.moments_percent = percent;
  if (percent < 100) {
    options.images_per_moment = std::min(options.images_per_moment, kUsualImages);
    options.second_roots = std::min(options.second_roots, kUsualRoots);
  }
  options.second_roots = std::max(options.second_roots, options.second_roots * percent / 100);
  options.replay = Replay();
  if (!options.replay.empty()) {
    const std::string mine = fmt::format("{}/{}/", workload, GranularityName(granularity));
    if (!options.replay.starts_with(mine)) GTEST_SKIP() << "another one is replayed";
    options.seed = std::strtoull(options.replay.c_str() + mine.size(), nullptr, 10);
  }
  const ExploreResult result = ExploreIsolated(workload, granularity, options);
  EXPECT_GT(result.coverage.images, 0u) << "there is no such image";
  for (const std::string& failure : result.failures) ADD_FAILURE() << failure;
  fmt::print("{} images, {} of them of the second level\n", result.coverage.images,
             result.coverage.second_level_images);
  (void)std::fflush(stdout);
  total->Add(result.coverage);
}

std::string NameOf(const ::testing::TestParamInfo<Parameter>& info) {
  std::string name = fmt::format("{}_{}", info.param.first, GranularityName(info.param.second));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Workloads, CrashTest, ::testing::ValuesIn(Parameters()), NameOf);

}  // namespace
}  // namespace tuff::test
