// The crash tests tested: with any one flush or fence left out, the explorer finds something wrong.
#include <fmt/format.h>

#include <algorithm>

#include "tests/crash/explorer.h"
#include "tests/crash/mutant_lab.h"

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

class MutantTest : public ::testing::TestWithParam<Mutant> {};

TEST_P(MutantTest, IsFound) {
  if (kSanitized) GTEST_SKIP() << "what a mutant does wrong is not for a sanitizer to judge";
  const Mutant& mutant = GetParam();
  ExploreOptions options;
  options.seed = EnvNumber("TUFF_CRASH_SEED", options.seed);
  options.leave_out = mutant.id;
  options.failures_max = 1;
  options.minimise = false;
  options.images = 4000;
  options.later_images = 8000;
  options.roots = 40;
  uint64_t images = 0;
  for (const char* workload : mutant.workloads) {
    const ExploreResult result = ExploreIsolated(workload, mutant.granularity, options);
    ASSERT_GT(result.left_out, 0u) << workload << " never came to " << mutant.id;
    images += result.coverage.images();
    if (result.failures.empty()) continue;
    const std::string& failure = result.failures[0];
    // An image's name comes first, or else it has failed for another reason.
    ASSERT_TRUE(failure.starts_with(fmt::format("{}/", workload))) << failure;
    NoteKilled(mutant.id, fmt::format(" {}-{}", workload, GranularityName(mutant.granularity)));
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

std::vector<std::string> Ids() {
  std::vector<std::string> ids;
  for (const Mutant& mutant : kMutants) ids.emplace_back(mutant.id);
  return ids;
}
[[maybe_unused]] const bool listed = ListMutants(Ids());

}  // namespace
}  // namespace tuff::test
