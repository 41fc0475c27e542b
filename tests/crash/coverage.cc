#include "tests/crash/coverage.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "pagemap/steps.h"
#include "tests/crash/maker.h"

namespace tuff::test {
namespace {

constexpr const char* kPair = "pair/";
constexpr const char* kRandom = "random/";

std::string Cell(uint64_t n) { return n == 0 ? "-" : fmt::format("{}", n); }

}  // namespace

uint64_t Coverage::images() const {
  return images_by_level[0] + images_by_level[1] + images_by_level[2];
}

void Coverage::Add(const Coverage& other) {
  for (const auto& [id, of] : other.by_id) {
    for (size_t i = 0; i < of.images.size(); i++) by_id[id].images[i] += of.images[i];
    by_id[id].workloads.insert(of.workloads.begin(), of.workloads.end());
  }
  for (const auto& [workload, images] : other.by_workload) by_workload[workload] += images;
  for (size_t i = 0; i < images_by_level.size(); i++)
    images_by_level[i] += other.images_by_level[i];
  moments += other.moments;
}

void ExploreResult::Add(const ExploreResult& other) {
  failures.insert(failures.end(), other.failures.begin(), other.failures.end());
  left_out += other.left_out;
  coverage.Add(other.coverage);
}

std::string ToText(const ExploreResult& result) {
  const Coverage& coverage = result.coverage;
  std::string text = fmt::format("sums {} {} {}\n", result.left_out, coverage.moments,
                                 fmt::join(coverage.images_by_level, " "));
  for (std::string failure : result.failures) {
    std::replace(failure.begin(), failure.end(), '\n', '\x1f');
    text += "failure " + failure + "\n";
  }
  for (const auto& [workload, images] : coverage.by_workload) {
    text += fmt::format("of {} {}\n", workload, images);
  }
  for (const auto& [id, of] : coverage.by_id) {
    for (const std::string& workload : of.workloads)
      text += fmt::format("in {} {}\n", id, workload);
    text += fmt::format("id {} {}\n", id, fmt::join(of.images, " "));
  }
  return text;
}

ExploreResult FromText(const std::string& text) {
  ExploreResult result;
  Coverage& coverage = result.coverage;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string what;
    std::string id;
    words >> what;
    if (what == "sums") {
      words >> result.left_out >> coverage.moments;
      for (uint64_t& images : coverage.images_by_level) words >> images;
    } else if (what == "failure") {
      std::replace(line.begin(), line.end(), '\x1f', '\n');
      result.failures.push_back(line.substr(what.size() + 1));
    } else if (what == "id") {
      words >> id;
      for (uint64_t& images : coverage.by_id[id].images) words >> images;
    } else if (what == "of") {
      words >> id;
      words >> coverage.by_workload[id];
    } else if (what == "in") {
      std::string workload;
      words >> id >> workload;
      coverage.by_id[id].workloads.insert(workload);
    }
  }
  return result;
}

void PrintCrashPoints(const Coverage& coverage) {
  fmt::print("{:<12} {:>10} {:>10} {:>10}   images; then: come to by so many\n", "crash point",
             "byte", "cache-line", "page");
  for (const Step* step : AllSteps()) {
    if (step->kind != StepKind::kCrashPoint) continue;
    const auto at = coverage.by_id.find(step->id);
    const Coverage::Of of = at == coverage.by_id.end() ? Coverage::Of{} : at->second;
    const auto count = [&](const char* prefix) {
      return std::count_if(of.workloads.begin(), of.workloads.end(),
                           [&](const std::string& name) { return name.starts_with(prefix); });
    };
    const auto pairs = count(kPair);
    const auto random = count(kRandom);
    fmt::print("{:<12} {:>10} {:>10} {:>10}   {} workloads, {} pairs, {} random ones\n", step->id,
               Cell(of.images[static_cast<size_t>(Granularity::kByte)]),
               Cell(of.images[static_cast<size_t>(Granularity::kCacheLine)]),
               Cell(of.images[static_cast<size_t>(Granularity::kPage)]),
               static_cast<ptrdiff_t>(of.workloads.size()) - pairs - random, pairs, random);
  }
}

void PrintPairs(const Coverage& coverage) {
  fmt::print("\nimages of a row's operation and then a column's\n{:<13}", "");
  for (const std::string& second : OperationKinds()) fmt::print(" {:>7.7}", second);
  for (const std::string& first : OperationKinds()) {
    fmt::print("\n{:<13}", first);
    for (const std::string& second : OperationKinds()) {
      uint64_t images = 0;
      for (const bool full : {false, true}) {
        const auto at = coverage.by_workload.find(PairName(first, second, full));
        if (at != coverage.by_workload.end()) images += at->second;
      }
      fmt::print(" {:>7}", Cell(images));
    }
  }
  fmt::print("\n");
}

}  // namespace tuff::test
