// Lanes.
#include <fmt/format.h>

#include "engine/inspect/decode.h"
#include "engine/inspect/inspect.h"
#include "pagemap/lanes.h"

namespace tuff::inspect {
namespace {

constexpr size_t kStoresShown = 200;

std::string Verdict(const PoolImage& image, const LaneReading& reading) {
  switch (reading.verdict) {
    case LaneReading::Verdict::kEmpty:
      return "empty";
    case LaneReading::Verdict::kTorn:
      return "torn: nothing of it was done, the next open drops it";
    case LaneReading::Verdict::kBad:
      return "damaged: whole, but impossible";
    case LaneReading::Verdict::kLive:
      break;
  }
  if (!reading.committed) {
    return reading.entry.decider == static_cast<uint16_t>(LaneDecider::kRedo)
               ? "damaged: a store of its list is malformed or out of bounds"
               : "damaged: the word that decides is neither the old nor the new one";
  }
  const char* const when = image.in_use() ? "would finish" : "finishes";
  return *reading.committed ? fmt::format("live: committed, the next open {} it", when)
                            : "live: not committed, the next open undoes it";
}

void AddRuns(const std::vector<LaneRun>& runs, const char* what, Object* to) {
  for (const LaneRun& run : runs) {
    Object& row = to->Row("runs");
    row.Text("change", what);
    row.Number("pfn", run.pfn);
    row.Hex("owner", run.owner, OwnerText(run.pfn, run.owner));
  }
}

}  // namespace

Report LaneEntries(const PoolImage& image) {
  Report report;
  AddNotes(image, &report);
  unsigned held = 0;
  for (unsigned lane = 0; lane < kLanes; lane++) {
    held += Load64(image.base() + OffsetOf(kLanesPfn + lane)) != 0 ? 1 : 0;
  }
  report.body.Text("summary", held == 0
                                  ? fmt::format("all {} lanes are empty", kLanes)
                                  : fmt::format("{} of {} lanes hold an entry", held, kLanes));
  std::deque<Object>& lanes = report.body.List("lanes");
  for (unsigned lane = 0; lane < kLanes; lane++) {
    const LaneReading reading = ReadLane(image, lane);
    if (reading.verdict == LaneReading::Verdict::kEmpty) continue;
    const std::string verdict = Verdict(image, reading);
    Object& entry = lanes.emplace_back();
    entry.Number("lane", lane);
    entry.Number("pfn", kLanesPfn + lane);
    entry.Text("verdict", verdict);
    AddFields(kLaneEntryTable, &reading.entry, &entry);
    if (verdict.starts_with("damaged")) {
      report.damage.push_back(fmt::format("lane {} is {}", lane, verdict));
    } else if (AtRest(image)) {
      report.damage.push_back(
          fmt::format("lane {} is not empty, though the pool was closed cleanly", lane));
    }
    if (reading.verdict != LaneReading::Verdict::kLive) continue;
    AddRuns(reading.new_runs, "allocates", &entry);
    AddRuns(reading.old_runs, "frees", &entry);
    if (reading.stores.empty()) continue;
    entry.Number("store_count", reading.stores.size());
    for (size_t i = 0; i < std::min(reading.stores.size(), kStoresShown); i++) {
      Object& row = entry.Row("stores");
      row.Hex("place", reading.stores[i].place);
      row.Number("pfn", reading.stores[i].place >> kFrameShift);
      row.Number("bytes", reading.stores[i].bytes);
    }
  }
  return report;
}

}  // namespace tuff::inspect
