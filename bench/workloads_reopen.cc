// Opening what another process left, closed or killed. compare.py runs a cell for each step: fill;
// reopen-clean; be-killed, which it kills; reopen-killed.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "workloads.h"

namespace tuff::bench {
namespace {

constexpr double kWindowSeconds = 0.01;
constexpr double kFullSpeedShare = 0.9;  // of the speed in the later half

/// When the first window came that was at full speed, in windows; the steady speed is the median of
/// the later half's.
size_t WindowsToFullSpeed(const std::vector<uint64_t>& gets) {
  std::vector<uint64_t> later(gets.begin() + static_cast<ptrdiff_t>(gets.size() / 2), gets.end());
  const auto middle = later.begin() + static_cast<ptrdiff_t>(later.size() / 2);
  std::nth_element(later.begin(), middle, later.end());
  const double wanted = kFullSpeedShare * static_cast<double>(*middle);
  const auto first = std::find_if(
      gets.begin(), gets.end(), [wanted](uint64_t n) { return static_cast<double>(n) >= wanted; });
  return static_cast<size_t>(first - gets.begin()) + 1;
}

void Reopen(Cell& cell, std::string_view workload) {
  const Cell::Counted before = cell.CountNow();
  const Records& records = cell.records();
  Extras extras;
  Seen seen;
  const auto start = Clock::now();
  cell.Open();
  std::unique_ptr<Session> session = cell.engine().NewSession();
  session->Get(records.Key(0).view(), &seen);
  cell.CheckFound(workload, Seen(), seen, 1);
  const double first_get = SecondsSince(start);
  extras.first_get_ms = first_get * 1000;

  Random random(Clock::now().time_since_epoch().count());
  std::vector<uint64_t> gets(
      std::max<size_t>(2, static_cast<size_t>(cell.config().seconds / kWindowSeconds)));
  Measured measured;
  const auto gets_start = Clock::now();
  for (size_t w = 0; w < gets.size(); w++) {
    while (SecondsSince(gets_start) < kWindowSeconds * static_cast<double>(w + 1)) {
      const Seen before_get = seen;
      const auto from = Clock::now();
      session->Get(records.Key(random.Below(cell.config().records)).view(), &seen);
      measured.latencies.Add(static_cast<uint64_t>((Clock::now() - from).count()));
      cell.CheckFound(workload, before_get, seen, 1);
      gets[w]++;
    }
    measured.operations += gets[w];
  }
  measured.seconds = SecondsSince(gets_start);
  extras.full_speed_ms =
      (first_get + kWindowSeconds * static_cast<double>(WindowsToFullSpeed(gets))) * 1000;
  cell.Print(workload, measured, before, extras);
}

void ReopenClean(Cell& cell) { Reopen(cell, "reopen-clean"); }
void ReopenKilled(Cell& cell) { Reopen(cell, "reopen-killed"); }

/// Leaves a database for the workloads below; no row.
void FillOnly(Cell&) {}

/// Overwrites until it is killed; says when it has begun.
void BeKilled(Cell& cell) {
  cell.Open();
  const std::unique_ptr<Session> session = cell.engine().NewSession();
  Random random(1);
  for (uint64_t n = 0;; n++) {
    const uint64_t i = random.Below(cell.config().records);
    session->Put(cell.records().Key(i).view(), cell.records().Value(i, n));
    if (n == 0) {
      std::puts("overwriting");
      std::fflush(stdout);
    }
  }
}

using Needs = Workload::Needs;
constexpr Workload kReopen[] = {
    {"fill", Needs::kFilled, FillOnly},
    {"reopen-clean", Needs::kExisting, ReopenClean},
    {"be-killed", Needs::kExisting, BeKilled},
    {"reopen-killed", Needs::kExisting, ReopenKilled},
};

}  // namespace

std::span<const Workload> ReopenWorkloads() { return kReopen; }

}  // namespace tuff::bench
