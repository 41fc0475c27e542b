// What the suite's figures rest on: keys and values, the zipfian choice, percentiles, boxes of
// time.
#include "records.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "histogram.h"
#include "measure.h"

namespace tuff::bench {
namespace {

constexpr uint64_t kDraws = 400'000;

TEST(KeyTest, KeysOfEightBytesDifferToo) {
  std::set<std::string> keys;
  for (uint64_t i = 0; i < 10'000; i++) keys.emplace(Key(i, kKeyBytesSmall).view());
  EXPECT_EQ(keys.size(), 10'000u);
}

TEST(RecordsTest, ValuesHaveTheirSizeAndDifferByTheSalt) {
  const Records records(16, 100);
  EXPECT_EQ(records.Value(7, 0).size(), 100u);
  EXPECT_NE(records.Value(7, 0), records.Value(7, 1));
  EXPECT_EQ(records.LogicalBytes(0, 10), 1160u);
}

TEST(RecordsTest, MixedSizesAreLogUniformBetweenTheirBounds) {
  const Records records(16, 0);
  constexpr uint64_t kRecords = 20'000;
  size_t smallest = SIZE_MAX;
  size_t largest = 0;
  uint64_t below_middle = 0;
  for (uint64_t i = 0; i < kRecords; i++) {
    const size_t bytes = records.ValueBytes(i);
    EXPECT_EQ(records.Value(i, 3).size(), bytes);
    smallest = std::min(smallest, bytes);
    largest = std::max(largest, bytes);
    if (static_cast<double>(bytes) < std::sqrt(kMixedValueBytesMin * kMixedValueBytesMax)) {
      below_middle++;
    }
  }
  EXPECT_EQ(smallest, kMixedValueBytesMin);
  EXPECT_LE(largest, kMixedValueBytesMax);
  EXPECT_GT(largest, kMixedValueBytesMax * 9 / 10);
  EXPECT_NEAR(static_cast<double>(below_middle) / kRecords, 0.5, 0.02);
}

/// Ranks come as often as 1/(rank+1)^0.99 says.
TEST(ZipfianTest, Frequencies) {
  constexpr uint64_t kItems = 1000;
  const Zipfian zipfian(kItems);
  Random random(5);
  std::vector<uint64_t> counts(kItems);
  for (uint64_t i = 0; i < kDraws; i++) counts.at(zipfian.Rank(random))++;
  double zeta = 0;
  for (uint64_t i = 1; i <= kItems; i++) zeta += std::pow(static_cast<double>(i), -0.99);
  uint64_t first_hundred = 0;
  double wanted_hundred = 0;
  for (uint64_t rank = 0; rank < 100; rank++) {
    first_hundred += counts[rank];
    wanted_hundred += std::pow(static_cast<double>(rank + 1), -0.99) / zeta;
  }
  EXPECT_NEAR(static_cast<double>(counts[0]) / kDraws, 1 / zeta, 0.005);
  EXPECT_NEAR(static_cast<double>(counts[1]) / kDraws, std::pow(2, -0.99) / zeta, 0.005);
  EXPECT_NEAR(static_cast<double>(first_hundred) / kDraws, wanted_hundred, 0.02);
  EXPECT_GT(counts[kItems - 1], 0u);
}

TEST(ZipfianTest, ScatteredStaysInRange) {
  const Zipfian zipfian(3);
  Random random(6);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; i++) seen.insert(zipfian.Scattered(random));
  EXPECT_LT(*seen.rbegin(), 3u);
}

TEST(HistogramTest, PercentilesAreWithinABucket) {
  Histogram one, other;
  for (uint64_t ns = 1; ns <= 100'000; ns++) (ns % 2 == 0 ? one : other).Add(ns);
  one.Merge(other);
  EXPECT_EQ(one.total(), 100'000u);
  for (const double p : {0.01, 0.5, 0.99, 0.999}) EXPECT_NEAR(one.PercentileUs(p), 100 * p, p);
}

TEST(HistogramTest, ExtremesAreKept) {
  Histogram histogram;
  EXPECT_EQ(histogram.PercentileUs(0.5), 0);
  histogram.Add(0);
  histogram.Add(UINT64_MAX);
  EXPECT_EQ(histogram.PercentileUs(0), 0);
  EXPECT_GT(histogram.PercentileUs(1 - 1e-9), 1e7);
}

TEST(BoxTest, EndsInTimeAndCountsAll) {
  std::atomic<uint64_t> calls{0};
  const Measured measured = RunBox({2, 0.05, 4}, [&](unsigned) -> Step {
    return [&] {
      calls++;
      return uint64_t{3};
    };
  });
  EXPECT_EQ(measured.calls, calls);
  EXPECT_EQ(measured.operations, 3 * calls);
  EXPECT_GE(measured.seconds, 0.05);
  EXPECT_EQ(measured.kept_from_running.size(), 2u);
  EXPECT_GE(measured.latencies.total(), calls / 4);
}

TEST(BoxTest, EndsWhenNothingIsLeft) {
  const Measured measured = RunBox({2, 0, 1}, [](unsigned) -> Step {
    return [left = 10]() mutable -> uint64_t { return left-- > 0 ? 1 : 0; };
  });
  EXPECT_EQ(measured.operations, 20u);
  EXPECT_EQ(measured.latencies.total(), 20u);
}

}  // namespace
}  // namespace tuff::bench
