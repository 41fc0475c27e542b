// Power failures and kills at every step of every workload: nothing acknowledged is lost, nothing
// happens by half, nothing leaks, and the pool goes on.
//
//   crash_test [--images N] [--replay NAME] [--examine FILE]
//     --images N      about so many images, at least; from some millions on nearly all there are
//     --replay NAME   only this image, by the name that a failure gave; what several threads do
//                     may be different the next time
//     --examine FILE  only this image, which a failure has kept
//   TUFF_CRASH_SEED=n other samples
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "tests/crash/explorer.h"
#include "tests/crash/maker.h"

namespace tuff::test {
namespace {

uint64_t images_wanted = kSanitized ? 4000 : 100000;

// How the images are shared out: hand-made workloads, pairs of operations; the rest is for random
// ones.
constexpr uint64_t kPercentOfHandMade = 40;
constexpr uint64_t kPercentOfPairs = 30;
constexpr uint64_t kImagesOfARandomOne = 120;
constexpr unsigned kRandomTasks = 8;  // of each granularity
constexpr size_t kSanitizedPairsOneIn = 16;

constexpr Granularity kGranularities[] = {Granularity::kCacheLine, Granularity::kPage};

// An image of these takes several times as long as others; smaller ones do the same under PAGE.
const std::set<std::string> kLong = {"drop_large", "bulk_parents"};

// Crash points that are not come to under one granularity: why.
const std::map<std::pair<std::string, Granularity>, std::string> kUnreachable = {
    {{"group.6", Granularity::kCacheLine}, "only under PAGE do writers append together"},
    {{"group.7", Granularity::kCacheLine}, "as group.6"},
    {{"group.9", Granularity::kCacheLine}, "as group.6"},
    {{"tail.4", Granularity::kPage}, "the first mount has synced all"},
    {{"patch.2", Granularity::kCacheLine}, "a repair is no mount: see Interrupted, in fsck_test"},
    {{"patch.2", Granularity::kPage}, "as under cache-line"},
    {{"patch.4", Granularity::kCacheLine}, "as patch.2"},
    {{"patch.4", Granularity::kPage}, "as patch.2"},
    {{"patch.5", Granularity::kCacheLine}, "as patch.2: see FsckTruncatedTest"},
    {{"patch.5", Granularity::kPage}, "as patch.2: see FsckTruncatedTest"},
    {{"patch.6", Granularity::kCacheLine}, "as patch.5"},
    {{"patch.6", Granularity::kPage}, "as patch.5"},
};

// One test.
struct Task {
  enum class Family { kHandMade, kPairs, kRandom };
  Family family;
  std::string name;  // what the workloads' names begin with
  Granularity granularity;
  unsigned number = 0;  // of a random one
};

void PrintTo(const Task& task, std::ostream* out) { *out << task.name; }

std::vector<Task> MakeTasks() {
  using Family = Task::Family;
  std::vector<Task> tasks;
  for (const std::string& name : WorkloadNames()) {
    tasks.push_back({Family::kHandMade, name, Granularity::kCacheLine});
    if (!kLong.contains(name)) tasks.push_back({Family::kHandMade, name, Granularity::kPage});
  }
  for (const char* name : {"create_second_store", "put", "split", "root_shrink"}) {
    tasks.push_back({Family::kHandMade, name, Granularity::kByte});
  }
  for (const Granularity granularity : kGranularities) {
    for (const std::string& first : OperationKinds()) {
      tasks.push_back({Family::kPairs, "pair/" + first, granularity});
    }
    for (unsigned i = 0; i < kRandomTasks; i++) {
      tasks.push_back({Family::kRandom, "random", granularity, i});
    }
  }
  return tasks;
}

const std::vector<Task>& Tasks() {
  static const std::vector<Task> tasks = MakeTasks();
  return tasks;
}

size_t CountTasks(Task::Family family) {
  return static_cast<size_t>(std::count_if(
      Tasks().begin(), Tasks().end(), [&](const Task& task) { return task.family == family; }));
}

std::string NameOf(const Task& task) {
  std::string name = fmt::format("{}_{}", task.name, GranularityName(task.granularity));
  if (task.family == Task::Family::kRandom) name += fmt::format("_{}", task.number);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '/'; }, '_');
  return name;
}

uint64_t Seed() { return EnvNumber("TUFF_CRASH_SEED", 1); }

// `seeds`: of each random task.
std::vector<std::string> WorkloadsOf(const Task& task, uint64_t seeds) {
  std::vector<std::string> workloads;
  if (task.family == Task::Family::kHandMade) return {task.name};
  if (task.family == Task::Family::kRandom) {
    for (uint64_t i = 0; i < seeds; i++) {
      const uint64_t number = (i * kRandomTasks + task.number) * std::size(kGranularities);
      workloads.push_back(
          RandomName((Seed() << 32) + number + static_cast<uint64_t>(task.granularity) + 1));
    }
    return workloads;
  }
  const std::string first = task.name.substr(task.name.find('/') + 1);
  bool full = task.granularity == Granularity::kPage;
  for (const std::string& second : OperationKinds()) {
    // Each pair under each granularity: in a full leaf under one, not under the other.
    workloads.push_back(PairName(first, second, full));
    full = !full;
  }
  if (!kSanitized) return workloads;
  std::vector<std::string> some;
  for (size_t i = std::hash<std::string>()(NameOf(task)) %
                  std::min(kSanitizedPairsOneIn, workloads.size());
       i < workloads.size(); i += kSanitizedPairsOneIn) {
    some.push_back(workloads[i]);
  }
  return some;
}

// Explores all that are to be tested, on all processors, before the first test reports.
class Explored : public ::testing::Environment {
 public:
  void SetUp() override {
    std::vector<const Task*> fixed;
    std::vector<const Task*> random;
    for (const Task& task : Tasks()) {
      if (!IsToRun(task)) continue;
      (task.family == Task::Family::kRandom ? random : fixed).push_back(&task);
    }
    all_ = fixed.size() + random.size() == Tasks().size();
    ExploreAll(fixed, 0);
    uint64_t images = 0;
    for (const auto& [name, result] : results_) images += result.coverage.images();
    const uint64_t share = images_wanted * (100 - kPercentOfHandMade - kPercentOfPairs) / 100;
    const uint64_t wanted = all_ ? images_wanted - std::min(images, images_wanted) : share;
    const uint64_t tasks = CountTasks(Task::Family::kRandom);
    ExploreAll(random, (wanted + wanted / 10) / kImagesOfARandomOne / tasks + 1);
  }

  const ExploreResult& Of(const Task& task) { return results_.at(NameOf(task)); }

  void TearDown() override {
    if (!all_) return;
    Coverage sum;
    for (const auto& [name, result] : results_) sum.Add(result.coverage);
    fmt::print(
        "\n{} images at {} moments; of crashes {}, of crashes in recoveries {}, in recoveries "
        "from those {}; seed {}\n\n",
        sum.images(), sum.moments, sum.images_by_level[0], sum.images_by_level[1],
        sum.images_by_level[2], Seed());
    PrintCrashPoints(sum);
    PrintPairs(sum);
    EXPECT_GE(sum.images(), images_wanted);
    for (const Step* step : AllSteps()) {
      if (step->kind != StepKind::kCrashPoint) continue;
      for (const Granularity granularity : kGranularities) {
        const bool met = sum.by_id[step->id].images[static_cast<size_t>(granularity)] > 0;
        const auto why = kUnreachable.find({step->id, granularity});
        if (why != kUnreachable.end()) {
          EXPECT_FALSE(met) << step->id << " is come to, and said not to be";
          fmt::print("{} under {}: {}\n", step->id, GranularityName(granularity), why->second);
          continue;
        }
        if (met) continue;
        ADD_FAILURE() << "no workload comes to " << step->id << " (" << step->file << ") under "
                      << GranularityName(granularity);
      }
    }
  }

 private:
  static bool IsToRun(const Task& task) {
    const auto& program = *::testing::UnitTest::GetInstance();
    for (int i = 0; i < program.total_test_suite_count(); i++) {
      const auto& suite = *program.GetTestSuite(i);
      for (int k = 0; k < suite.total_test_count(); k++) {
        const auto& test = *suite.GetTestInfo(k);
        if (std::string(test.name()).ends_with("/" + NameOf(task))) return test.should_run();
      }
    }
    return false;
  }

  static ExploreOptions OptionsOf(const Task& task, size_t workloads) {
    ExploreOptions options;
    options.seed = Seed();
    uint64_t images = kImagesOfARandomOne;
    if (task.family != Task::Family::kRandom) {
      const bool hand_made = task.family == Task::Family::kHandMade;
      images = images_wanted * (hand_made ? kPercentOfHandMade : kPercentOfPairs) / 100 /
               CountTasks(task.family) / workloads;
    }
    // Of recoveries the others see enough.
    options.later_images = task.family == Task::Family::kPairs ? 0 : images / 3;
    options.images = images - options.later_images;
    options.roots = static_cast<unsigned>(std::max<uint64_t>(6, options.later_images / 50));
    return options;
  }

  void ExploreAll(const std::vector<const Task*>& tasks, uint64_t seeds) {
    std::vector<Expedition> expeditions;
    for (const Task* task : tasks) {
      std::vector<std::string> workloads = WorkloadsOf(*task, seeds);
      const ExploreOptions options = OptionsOf(*task, workloads.size());
      expeditions.push_back({std::move(workloads), task->granularity, options});
    }
    std::vector<ExploreResult> results = ExploreAllIsolated(expeditions);
    for (size_t i = 0; i < tasks.size(); i++) results_[NameOf(*tasks[i])] = std::move(results[i]);
  }

  std::map<std::string, ExploreResult> results_;
  bool all_ = false;
};

Explored* const explored =
    static_cast<Explored*>(::testing::AddGlobalTestEnvironment(new Explored));

class CrashTest : public ::testing::TestWithParam<Task> {};

TEST_P(CrashTest, EveryImageIsSound) {
  const ExploreResult& result = explored->Of(GetParam());
  for (const std::string& failure : result.failures) ADD_FAILURE() << failure;
  EXPECT_GT(result.coverage.images(), 0u);
  fmt::print("{} images\n", result.coverage.images());
}

INSTANTIATE_TEST_SUITE_P(Workloads, CrashTest, ::testing::ValuesIn(Tasks()),
                         [](const auto& info) { return NameOf(info.param); });

// What is wrong with the image of this name; empty if nothing.
std::string Replay(const std::string& name) {
  for (const Granularity granularity :
       {Granularity::kByte, Granularity::kCacheLine, Granularity::kPage}) {
    const std::string part = fmt::format("/{}/", GranularityName(granularity));
    const size_t at = name.find(part);
    if (at == name.npos) continue;
    ExploreOptions options;
    options.replay = name;
    options.seed = std::strtoull(name.c_str() + at + part.size(), nullptr, 10);
    const ExploreResult result = ExploreIsolated(name.substr(0, at), granularity, options);
    if (!result.failures.empty()) return result.failures[0];
    return result.coverage.images() > 0 ? "" : "there is no image " + name;
  }
  return "no image has a name like " + name;
}

int Show(const std::string& wrong) {
  fmt::print("{}\n", wrong.empty() ? "nothing is wrong with it" : wrong);
  return wrong.empty() ? 0 : 1;
}

int Run(int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    const std::string_view flag = argv[i];
    const char* const value = i + 1 < argc ? argv[++i] : nullptr;
    if (flag == "--images" && value != nullptr) {
      images_wanted = std::strtoull(value, nullptr, 10);
    } else if (flag == "--replay" && value != nullptr) {
      return Show(Replay(value));
    } else if (flag == "--examine" && value != nullptr) {
      return Show(ExamineKept(value));
    } else {
      fmt::print(stderr, "usage: crash_test [--images N] [--replay NAME] [--examine FILE]\n");
      return 2;
    }
  }
  return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace tuff::test

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  return tuff::test::Run(argc, argv);
}
