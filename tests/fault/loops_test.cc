// What the engine does on an open pool, with every call failing in turn: the workloads of the crash
// tests, and more.
#include <fmt/format.h>

#include "tests/fault/fault_loop.h"

namespace tuff::test {
namespace {

std::string NameOf(Granularity granularity) {
  return granularity == Granularity::kPage ? "Page" : "CacheLine";
}

// Of the workloads, those that come to all kinds of changes; TUFF_FAULT_ALL=1: all.
std::vector<std::string> Chosen() {
  if (EnvNumber("TUFF_FAULT_ALL", 0) != 0) return WorkloadNames();
  return {"create_first_store",
          "rename_store",
          "put_first",
          "delete",
          "reopen",
          "split",
          "merge",
          "batch_leaves",
          "batch_chunks",
          "transaction",
          "compare_and_swap",
          "drop_tall",
          "bulk_one_parent"};
}

class WorkloadFaultTest : public testing::TestWithParam<std::tuple<std::string, Granularity>> {};

TEST_P(WorkloadFaultTest, EveryCall) {
  const auto& [name, granularity] = GetParam();
  TempDir dir;
  Scenario scenario;
  scenario.name = name + "/" + NameOf(granularity);
  scenario.granularity = granularity;
  scenario.make = [name = name, dry_run = DryRun{dir.File("dry"), granularity}](Scenario* to) {
    Workload workload = MakeWorkload(name, dry_run);
    if (workload.with_pool) to->prepare = Operations{CreatePoolOp()} + workload.prepare;
    to->begins_open = workload.with_pool;
    to->must_grow = workload.must_grow;
    for (const Operations& thread : workload.threads) to->run = to->run + thread;
  };
  RunFaultLoops(scenario);
}

// Each function is met by some loop and has failed there; printed, so that one sees where.
class EveryFunctionIsMet : public testing::Environment {
 public:
  void TearDown() override {
    if (GTEST_FLAG_GET(filter) != "*" || kSanitized) return;
    for (const Call call : AllCalls()) {
      const auto at = AllFaults().find(call);
      const FaultTotals totals = at == AllFaults().end() ? FaultTotals() : at->second;
      fmt::print("{:16} {:9} calls {:7} faults in {:3} scenarios\n", CallName(call), totals.calls,
                 totals.faults, totals.scenarios.size());
      // Without protection keys in the processor nobody asks for a mapping's key; what is on tmpfs
      // is not written back.
      const bool may_be_absent = call == Call::kPkeyMprotect || call == Call::kSyncFileRange;
      EXPECT_TRUE(totals.faults > 0 || may_be_absent) << CallName(call);
    }
  }
};
[[maybe_unused]] auto* const environment =
    testing::AddGlobalTestEnvironment(new EveryFunctionIsMet);

INSTANTIATE_TEST_SUITE_P(Workloads, WorkloadFaultTest,
                         testing::Combine(testing::ValuesIn(Chosen()),
                                          testing::Values(Granularity::kCacheLine,
                                                          Granularity::kPage)),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + NameOf(std::get<1>(info.param));
                         });

}  // namespace
}  // namespace tuff::test
