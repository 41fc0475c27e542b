// The crash tests tested: with any one flush or fence left out, the explorer finds something wrong.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tests/crash/explorer.h"

namespace tuff::test {
namespace {

struct Mutant {
  const char* id;                      // of the flush or fence that is left out
  std::vector<const char*> workloads;  // in turn until one finds it
  Granularity granularity = Granularity::kCacheLine;
};

const Mutant kMutants[] = {
    {"create.5", {"create_pool"}},
    {"super.1", {"create_pool"}},
    {"super.2", {"create_pool"}},
    {"put.3", {"put"}},
    {"group.10", {"put_long"}, Granularity::kPage},
    {"put.4", {"put"}},
    {"group.8", {"delete"}, Granularity::kPage},
    {"smo.1", {"split"}},
    {"smo.1", {"split"}, Granularity::kPage},
    {"smo.4", {"split"}},
    {"smo.8", {"consolidate"}},
    {"smo.8", {"merge"}, Granularity::kPage},
    {"smo.9", {"split"}},
    {"smo.12", {"consolidate"}},
    {"lane.1", {"split"}},
    {"lane.1", {"merge"}, Granularity::kPage},
    {"lane.2", {"split"}},
    {"lane.3", {"merge"}},
    {"lane.4", {"consolidate"}},
    {"object.1", {"create_second_store"}},
    {"object.3", {"create_second_store"}},
    {"object.6", {"create_second_store"}},
    {"object.7", {"create_second_store"}},
    {"mount.3", {"put"}, Granularity::kPage},
    {"mount.4", {"close"}},
    {"mount.5", {"close"}},
    {"recover.2", {"consolidate"}},
    {"recover.5", {"create_second_store"}},
    {"recover.6", {"split"}},
    {"recover.8", {"split"}},
    {"recover.9", {"consolidate"}},
    {"recover.10", {"consolidate"}},
    {"recover.12", {"consolidate"}},
    {"recover.13", {"merge", "root_shrink"}},
    {"recover.14", {"batch_chunk"}},
    {"recover.16", {"batch_stores"}},
    {"recover.17", {"batch_stores"}},
    {"recover.18", {"batch_stores"}},
    {"recover.21", {"batch_stores"}},
    {"tail.2", {"put"}},
    {"tail.3", {"put"}},
    {"group.3", {"batch_one_leaf"}},
    {"group.3", {"batch_one_leaf"}, Granularity::kPage},
    {"group.4", {"batch_one_leaf"}},
    {"batch.2", {"batch_chunk"}},
    {"batch.2", {"batch_chunk"}, Granularity::kPage},
    {"batch.5", {"batch_stores"}},
    {"batch.8", {"batch_stores"}},
    {"batch.8", {"batch_stores"}, Granularity::kPage},
    {"batch.9", {"batch_stores"}},
    {"batch.12", {"bulk_one_leaf"}},
    {"lane.5", {"batch_stores"}},
    {"lane.5", {"batch_stores"}, Granularity::kPage},
    {"change.1", {"bulk_one_leaf"}},
    {"change.1", {"bulk_one_leaf"}, Granularity::kPage},
    {"change.4", {"drop_store", "bulk_one_leaf"}},
    {"change.8", {"drop_store"}},
    {"change.9", {"drop_store"}},
    {"change.12", {"bulk_given_up"}},
};

// Flushes and fences without which nothing goes wrong that these tests could see, and why.
const std::map<std::string, std::string> kUnseen = {
    {"create.1", "devices only"},
    {"create.2", "devices only"},
    {"create.3", "devices only"},
    {"create.6", "before Create returns there may as well be no pool"},
    {"batch.1", "batch.2 flushes the same line: a chunk's bytes begin in that of its head"},
    {"anchor.1", "times only, which the tests do not compare"},
    {"anchor.2", "times only, which the tests do not compare"},
    {"object.9", "the entry may live on: finishing once more what is finished changes nothing"},
    {"recover.1", "an entry is durable before anything that it could undo is stored"},
    {"recover.3", "recover.8 makes the same durable before the entry is retired"},
    {"tail.6", "what is torn stays torn behind the next record, and is cut again"},
    {"tail.7", "as tail.6"},
};

// What became of every flush and fence.
class Table : public ::testing::Environment {
 public:
  void Add(const std::string& id, const std::string& found) { found_[id] += found; }

  void TearDown() override {
    if (found_.empty()) return;
    fmt::print("\n");
    for (const auto& [id, found] : found_) fmt::print("{:<11} found by{}\n", id, found);
    for (const auto& [id, why] : kUnseen) fmt::print("{:<11} not seen: {}\n", id, why);
    (void)std::fflush(stdout);
  }

 private:
  std::map<std::string, std::string> found_;
};

Table* const table = static_cast<Table*>(::testing::AddGlobalTestEnvironment(new Table));

class MutantTest : public ::testing::TestWithParam<Mutant> {};

TEST_P(MutantTest, IsFound) {
  if (kSanitized) GTEST_SKIP() << "what a mutant does wrong is not for a sanitizer to judge";
  const Mutant& mutant = GetParam();
  ExploreOptions options;
  options.seed = EnvNumber("TUFF_CRASH_SEED", options.seed);
  options.leave_out = mutant.id;
  options.failures_max = 1;
  options.images_per_moment = 60;
  options.second_roots = 40;
  uint64_t images = 0;
  for (const char* workload : mutant.workloads) {
    const ExploreResult result = ExploreIsolated(workload, mutant.granularity, options);
    ASSERT_GT(result.left_out, 0u) << workload << " never came to " << mutant.id;
    images += result.coverage.images;
    if (result.failures.empty()) continue;
    const std::string& failure = result.failures[0];
    // An image's name comes first, or else it has failed for another reason.
    ASSERT_TRUE(failure.starts_with(fmt::format("{}/", workload))) << failure;
    table->Add(mutant.id, fmt::format(" {}-{}", workload, GranularityName(mutant.granularity)));
    fmt::print("without {}: {}\n", mutant.id, failure);
    (void)std::fflush(stdout);
    return;
  }
  FAIL() << mutant.id << " was left out, and " << images << " images looked well";
}

std::string NameOf(const ::testing::TestParamInfo<Mutant>& info) {
  std::string name = fmt::format("without_{}_{}_{}", info.param.id, info.param.workloads[0],
                                 GranularityName(info.param.granularity));
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '.' || c == '-'; }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, MutantTest, ::testing::ValuesIn(kMutants), NameOf);

TEST(MutantListTest, EveryFlushAndFenceIsThere) {
  std::set<std::string> listed;
  for (const Mutant& mutant : kMutants) listed.insert(mutant.id);
  for (const auto& [id, why] : kUnseen) listed.insert(id);
  std::set<std::string> known;
  for (const Step* step : AllSteps()) {
    if (step->kind == StepKind::kFlush || step->kind == StepKind::kFence) known.insert(step->id);
  }
  EXPECT_EQ(listed, known);
}

}  // namespace
}  // namespace tuff::test
