// Power failures and kills at every step of every workload.
#include <fmt/format.h>

#include "tests/crash/explorer.h"

namespace tuff::test {
namespace {

class CrashTest : public ::testing::TestWithParam<Granularity> {};

TEST_P(CrashTest, All) {
  TempDir dir;
  Coverage coverage;
  ExploreOptions options;
  options.seed = EnvNumber("TUFF_CRASH_SEED", 1);
  const char* only = std::getenv("ONLY");
  for (const Workload& workload : AllWorkloads(dir.File("dry"))) {
    if (only && workload.name != only) continue;
    const uint64_t before = coverage.images, before2 = coverage.second_level_images;
    const auto start = std::chrono::steady_clock::now();
    const ExploreResult result = Explore(workload, GetParam(), dir.path(), options, &coverage);
    for (const std::string& failure : result.failures) ADD_FAILURE() << failure;
    std::fflush(stdout);
    fmt::print("{:<26} {:>7} images, {:>7} of them of the second level, {:.2f} s\n", workload.name,
               coverage.images - before, coverage.second_level_images - before2,
               std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
}

INSTANTIATE_TEST_SUITE_P(Granularities, CrashTest,
                         ::testing::Values(Granularity::kCacheLine, Granularity::kPage));

}  // namespace
}  // namespace tuff::test
