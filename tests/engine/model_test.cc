// Random operations on a pool and on a std::map; see model.h.
//
// TUFF_MODEL_OPS: how many in all (2 million; under a sanitizer 200 thousand).
// TUFF_MODEL_SEED: other random numbers.
#include <gtest/gtest.h>

#include "tests/engine/model.h"

namespace tuff::test {
namespace {

constexpr Granularity kLine = Granularity::kCacheLine;
constexpr Granularity kPage = Granularity::kPage;

constexpr ModelConfig kConfigs[] = {
    {.name = "Random16", .live_max = 20000, .share = 25},
    {.name = "Sequential100",
     .keys = KeyShape::kSequential,
     .values = ValueShape::k100,
     .live_max = 20000,
     .share = 20},
    {.name = "CommonPrefixEmptyDram",
     .keys = KeyShape::kCommonPrefix,
     .values = ValueShape::kEmpty,
     .memmap = MemmapPlace::kDram,
     .live_max = 20000,
     .share = 15},
    {.name = "AnyLengthMixed",
     .keys = KeyShape::kAnyLength,
     .values = ValueShape::kMixed,
     .live_max = 10000,
     .share = 12},
    {.name = "Random16Of1000", .values = ValueShape::k1000, .live_max = 8000, .share = 8},
    {.name = "LongSeparators",
     .keys = KeyShape::kLongSeparators,
     .values = ValueShape::kSmall,
     .live_max = 8000,
     .share = 5},
    {.name = "Random16Page", .granularity = kPage, .live_max = 10000, .share = 10},
    {.name = "AnyLengthMixedPage",
     .keys = KeyShape::kAnyLength,
     .values = ValueShape::kMixed,
     .granularity = kPage,
     .live_max = 5000,
     .share = 3},
    {.name = "Random16Mprotect", .guard = Guard::kMprotect, .live_max = 2000, .share = 2},
};

uint64_t Seed() { return EnvNumber("TUFF_MODEL_SEED", 77); }
uint64_t TotalOps() { return EnvNumber("TUFF_MODEL_OPS", kSanitized ? 200'000 : 2'000'000); }

class ModelTest : public testing::TestWithParam<ModelConfig> {};

TEST_P(ModelTest, AgreesWithMap) {
  const ModelConfig& config = GetParam();
  const uint64_t ops = TotalOps() * config.share / 100;
  Model model(config, Seed() + config.share);
  ASSERT_TRUE(model.fixture().is_open());
  for (uint64_t i = 1; i <= ops; i++) {
    model.Step();
    ASSERT_FALSE(HasFailure()) << "operation " << i;
    if (i % (ops / 12 + 1) == 0) {
      if (i % 2 == 0) model.ReleaseAllSnapshots();
      model.CheckPool();
    }
    if (i % (ops / 5 + 1) == 0) model.Reopen(i % 2 == 0);
    ASSERT_FALSE(HasFailure()) << "after operation " << i;
  }
  model.CompareAll();
  model.CheckPool();
  model.Reopen(true);
  EXPECT_OK(model.pool().WaitForBackgroundWork());
  model.CheckPool();
  const Statistics s = model.statistics();
  EXPECT_GT(s.batches, 0u);
  EXPECT_GT(s.conflicts, 0u);
  EXPECT_GT(s.versions_retained, 0u);
  if (ops >= 100'000) {
    EXPECT_GT(s.bulk_records, 0u);
    EXPECT_GT(s.nodes_dismantled, 0u);
  }
  EXPECT_GT(s.tails_built, 0u);
  EXPECT_GT(s.splits, 0u);
  EXPECT_GT(s.consolidations, 0u);
  if (config.values == ValueShape::kMixed || config.values == ValueShape::k1000) {
    EXPECT_GT(s.compound_nodes, 0u);
  }
  if (ops >= config.live_max * 5) {  // it has grown and shrunk
    EXPECT_GT(s.merges, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ModelTest, testing::ValuesIn(kConfigs),
                         [](const auto& info) { return std::string(info.param.name); });

// Up to a tree of four levels and down to nothing, in order, in reverse and at random.
TEST(ModelDepthTest, GrowsToFourLevelsAndShrinks) {
  ModelConfig config{.name = "Depth",
                     .keys = KeyShape::kLongSeparators,
                     .values = ValueShape::kEmpty,
                     .pool_bytes = 160ull << 20};
  config.live_max = 32000;
  Model model(config, 4);
  ASSERT_TRUE(model.fixture().is_open());
  unsigned depth = 0;
  for (uint64_t i = 0; i < config.live_max; i++) {
    // 7919 is prime: every number once, far apart, so leaves in the middle split as well.
    ASSERT_OK(model.Put(MakeKey(config.keys, i * 7919 % config.live_max), ""));
    if (i % 4000 == 3999) {
      const CheckReport report = Check(model.pool());
      ASSERT_TRUE(report.problems.empty()) << report.ToString();
      depth = report.depth_max;
    }
  }
  EXPECT_GE(depth, 4u);
  model.Reopen(true);
  // From the left, from the right, then the rest at random.
  for (size_t third : {3, 2}) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : model.map()) keys.push_back(key);
    const size_t n = keys.size() / third;
    for (size_t i = 0; i < n; i++) model.Delete(third == 3 ? keys[i] : keys[keys.size() - 1 - i]);
    ASSERT_FALSE(HasFailure());
    ASSERT_EQ(Problems(model.pool()), "");
  }
  model.CompareAll();
  while (!model.map().empty()) {
    model.Delete(model.LiveKey());
    ASSERT_FALSE(HasFailure());
  }
  const CheckReport report = Check(model.pool());
  EXPECT_TRUE(report.problems.empty()) << report.ToString();
  EXPECT_EQ(report.depth_max, 1u);
  // Root leaf and catalogue leaf and the store's anchor; deletes may leave a compound root leaf.
  EXPECT_LE(report.frames_in_use, 2u + (1u << kNodeOrderMax));
  model.AddStatistics();
  const Statistics s = model.statistics();
  EXPECT_GT(s.splits, 0u);
  EXPECT_GT(s.inner_splits, 0u);
  EXPECT_GT(s.merges, 0u);
  EXPECT_GT(s.inner_merges, 0u);
  EXPECT_GE(s.root_growths, 3u);
  EXPECT_GE(s.root_shrinks, 3u);
  EXPECT_GT(s.consolidations, 0u);
  EXPECT_GT(s.compound_nodes, 0u);
}

constexpr ModelConfig kFullConfigs[] = {
    {.name = "Random16", .values = ValueShape::k100, .pool_bytes = kPoolSizeMin},
    {.name = "Random16Page",
     .values = ValueShape::k100,
     .granularity = kPage,
     .pool_bytes = kPoolSizeMin},
    {.name = "Sequential",
     .keys = KeyShape::kSequential,
     .values = ValueShape::kSmall,
     .pool_bytes = kPoolSizeMin},
    {.name = "Mixed",
     .keys = KeyShape::kAnyLength,
     .values = ValueShape::kMixed,
     .granularity = kLine,
     .pool_bytes = 20ull << 20},
    {.name = "LongSeparators",
     .keys = KeyShape::kLongSeparators,
     .values = ValueShape::kSmall,
     .pool_bytes = kPoolSizeMin},
};

class FullPoolTest : public testing::TestWithParam<ModelConfig> {};

// A full pool can always shrink, and what was deleted can be filled again.
TEST_P(FullPoolTest, EveryDeleteSucceedsAndSpaceComesBack) {
  ModelConfig config = GetParam();
  config.live_max = 1'000'000;
  Model model(config, Seed());
  ASSERT_TRUE(model.fixture().is_open());
  size_t first_count = 0;
  for (int round = 0; round < 3; round++) {
    Random values(Seed());  // the same in every round
    Status s;
    uint64_t refused = 0;
    for (uint64_t i = 0; refused < 40; i++) {
      const std::string key = MakeKey(config.keys, i);
      s = model.Put(key, MakeValue(config.values, key.size(), values));
      if (s.ok()) continue;
      ASSERT_EQ(s.code(), Code::kNoSpace) << s.ToString();
      refused++;  // go on: other leaves may still have room
    }
    EXPECT_NE(s.message().find(model.fixture().path()), std::string_view::npos) << s.ToString();
    ASSERT_EQ(Problems(model.pool()), "");
    model.CompareAll();
    if (round == 0) first_count = model.map().size();
    EXPECT_GE(model.map().size(), first_count * 9 / 10) << "round " << round;
    if (round == 1) model.Reopen(false);  // deletes in a full pool that has just been opened

    std::vector<std::string> keys;
    for (const auto& [key, value] : model.map()) keys.push_back(key);
    if (round != 1) {  // at random; in key order in round 1
      for (size_t i = keys.size(); i > 1; i--) {
        std::swap(keys[i - 1], keys[model.random().Below(i)]);
      }
    }
    for (size_t i = 0; i < keys.size(); i++) {
      model.Delete(keys[i]);
      ASSERT_FALSE(HasFailure()) << "round " << round << ", delete " << i << " of " << keys.size();
    }
    ASSERT_EQ(Problems(model.pool()), "");
    model.CompareAll();
    EXPECT_OK(model.pool().CreateStore("made in round " + std::to_string(round)));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, FullPoolTest, testing::ValuesIn(kFullConfigs),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace tuff::test
