// The public classes: limits of keys, values and names, stores by name, statistics, properties.
#include "tuff/pool.h"

#include <gtest/gtest.h>

#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

TEST(StatusTest, ShowsCodeAndMessage) {
  EXPECT_EQ(Status().ToString(), "ok");
  EXPECT_TRUE(Status().ok());
  const Status s(Code::kCorruption, "pfn 7: bad");
  EXPECT_EQ(s.ToString(), "damaged: pfn 7: bad");
  EXPECT_TRUE(s.IsCorruption());
  Status copy = s;
  EXPECT_EQ(copy.message(), "pfn 7: bad");
  copy = Status();
  EXPECT_EQ(copy.message(), "");
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Code::kNoMemory); code++) {
    names.insert(CodeName(static_cast<Code>(code)));
  }
  EXPECT_EQ(names.size(), 14u);
  EXPECT_FALSE(names.contains("?"));
  EXPECT_EQ(static_cast<int>(Code::kNoMemory), 13) << "numbers are permanent";
}

TEST(StoreTest, KeyAndValueLimits) {
  PoolFixture fixture;
  Store& store = fixture.store();
  std::string value;
  EXPECT_CODE(store.Put("", "v"), Code::kInvalidArgument);
  EXPECT_CODE(store.Get("", &value), Code::kInvalidArgument);
  EXPECT_CODE(store.Delete(""), Code::kInvalidArgument);
  EXPECT_CODE(store.GetPinned(""), Code::kInvalidArgument);
  const std::string longest(kKeySizeMax, 'k');
  EXPECT_CODE(store.Put(longest + "k", "v"), Code::kTooLarge);
  EXPECT_CODE(store.Get(longest + "k", &value), Code::kTooLarge);
  EXPECT_CODE(store.Delete(longest + "k"), Code::kTooLarge);
  for (const std::string& key : {std::string("k"), longest}) {
    const std::string largest(ValueSizeMax(key.size()), 'v');
    EXPECT_CODE(store.Put(key, largest + "v"), Code::kTooLarge);
    EXPECT_CODE(store.Get(key, &value), Code::kNotFound);
    EXPECT_OK(store.Put(key, largest));
    EXPECT_OK(store.Get(key, &value));
    EXPECT_TRUE(value == largest);
    EXPECT_OK(store.Put(key, ""));
    EXPECT_OK(store.Get(key, &value));
    EXPECT_EQ(value, "");
  }
  EXPECT_EQ(Problems(fixture.pool()), "");
}

TEST(StoreTest, LargestRecordsOneOverTheOther) {
  PoolFixture fixture;
  std::string value;
  for (int i = 0; i < 300; i++) {
    const std::string key(1, static_cast<char>('a' + i % 7));
    const std::string largest(ValueSizeMax(1), static_cast<char>(i));
    ASSERT_OK(fixture.store().Put(key, largest));
    ASSERT_OK(fixture.store().Get(key, &value));
    ASSERT_TRUE(value == largest);
  }
  EXPECT_EQ(Problems(fixture.pool()), "");
}

TEST(StoreTest, DeleteLooksFirst) {
  PoolFixture fixture;
  const Statistics before = fixture.pool().GetStatistics();
  EXPECT_CODE(fixture.store().Delete("nothing"), Code::kNotFound);
  EXPECT_EQ(fixture.pool().GetStatistics().fences, before.fences) << "wrote into an empty tree";
  ASSERT_OK(fixture.store().Put("key", "v"));
  ASSERT_OK(fixture.store().Delete("key"));
  const Statistics middle = fixture.pool().GetStatistics();
  EXPECT_CODE(fixture.store().Delete("key"), Code::kNotFound);
  EXPECT_CODE(fixture.store().Delete("other"), Code::kNotFound);
  EXPECT_EQ(fixture.pool().GetStatistics().fences, middle.fences);
  EXPECT_EQ(fixture.pool().GetStatistics().deletes, 1u);
}

TEST(StoreTest, PinnedValueMoves) {
  PoolFixture fixture;
  ASSERT_OK(fixture.store().Put("key", "value"));
  auto pinned = fixture.store().GetPinned("key");
  ASSERT_OK(pinned);
  PinnedValue first = std::move(*pinned);
  PinnedValue second;
  second = std::move(first);
  EXPECT_EQ(first.view(), "");  // NOLINT: moved-from on purpose
  EXPECT_EQ(second.view(), "value");
  ASSERT_OK(fixture.store().Delete("key"));
  EXPECT_EQ(second.view(), "value");
  EXPECT_CODE(fixture.pool().Close(), Code::kBusy);
  second.Reset();
  second.Reset();
  EXPECT_OK(fixture.pool().Close());
}

TEST(StatisticsTest, AnAppendCostsOneFlushAndOneFence) {
  for (const Granularity granularity : {Granularity::kCacheLine, Granularity::kPage}) {
    PoolFixture fixture(SmallPool(kPoolSizeMin, granularity));
    ASSERT_OK(fixture.store().Put("a", "1"));  // makes the root
    const Statistics before = fixture.pool().GetStatistics();
    for (int i = 0; i < 5; i++) ASSERT_OK(fixture.store().Put("key" + std::to_string(i), "value"));
    const Statistics after = fixture.pool().GetStatistics();
    EXPECT_EQ(after.fences - before.fences, 5u);
    EXPECT_EQ(after.flushes - before.flushes, 5u);
    EXPECT_EQ(after.syncs - before.syncs, granularity == Granularity::kPage ? 5u : 0u);
    const uint64_t unit = granularity == Granularity::kPage ? 4096 : 64;
    EXPECT_GE(after.flushed_bytes - before.flushed_bytes, 5 * unit);
    EXPECT_LE(after.flushed_bytes - before.flushed_bytes, 10 * unit);
    EXPECT_EQ(after.puts - before.puts, 5u);
    EXPECT_EQ(after.user_bytes_written - before.user_bytes_written, 5u * 9);
    std::string value;
    ASSERT_OK(fixture.store().Get("key0", &value));
    EXPECT_CODE(fixture.store().Get("no", &value), Code::kNotFound);
    const Statistics read = fixture.pool().GetStatistics();
    EXPECT_EQ(read.gets - after.gets, 1u);
    EXPECT_EQ(read.gets_not_found - after.gets_not_found, 1u);
    EXPECT_EQ(read.fences, after.fences);
  }
}

TEST(StatisticsTest, ALeafsTailIsBuiltOncePerMount) {
  PoolFixture fixture;
  for (int i = 0; i < 5; i++) ASSERT_OK(fixture.store().Put(std::to_string(i), "v"));
  fixture.Reopen();
  const Statistics before = fixture.pool().GetStatistics();  // the catalogue's leaf is read
  std::string value;
  for (int i = 0; i < 5; i++) ASSERT_OK(fixture.store().Get(std::to_string(i), &value));
  const Statistics after = fixture.pool().GetStatistics();
  EXPECT_EQ(after.tails_built - before.tails_built, 1u);
  EXPECT_EQ(after.torn_tails_cut, 0u);
}

TEST(PropertyTest, EveryListedOneHasAText) {
  PoolFixture fixture(SmallPool(kPoolSizeMin, Granularity::kCacheLine, Guard::kNone));
  const auto names = Pool::Properties();
  EXPECT_GE(names.size(), 4u);
  for (const std::string& name : names) {
    EXPECT_TRUE(name.starts_with("tuff.")) << name;
    auto text = fixture.pool().GetProperty(name);
    ASSERT_OK(text);
    EXPECT_NE(*text, "") << name;
  }
  EXPECT_CODE(fixture.pool().GetProperty("tuff.nonsense"), Code::kNotFound);
  EXPECT_CODE(fixture.pool().GetProperty(""), Code::kNotFound);
  EXPECT_EQ(*fixture.pool().GetProperty("tuff.granularity"), "cache-line");
  EXPECT_EQ(*fixture.pool().GetProperty("tuff.guard"), "none");
  const uint64_t free = std::stoull(*fixture.pool().GetProperty("tuff.free-frames"));
  // All but the tables, the store's anchor and the catalogue's leaf.
  EXPECT_EQ(free, kPoolSizeMin / kFrameSize - 192 - 512 - 4);
}

TEST(InfoTest, TellsOfThePool) {
  PoolFixture fixture(SmallPool(kPoolSizeMin, Granularity::kCacheLine, Guard::kNone));
  const PoolInfo first = fixture.pool().GetInfo();
  EXPECT_EQ(first.path, fixture.path());
  EXPECT_EQ(first.format_version, 1u);
  EXPECT_EQ(first.frames, 4096u);
  EXPECT_EQ(first.sections, 1u);
  EXPECT_EQ(first.mount_count, 1u);
  EXPECT_EQ(first.uuid.size(), 36u);
  EXPECT_EQ(first.uuid[14], '4');
  EXPECT_TRUE(first.was_clean);
  EXPECT_TRUE(first.ever_forced);
  EXPECT_FALSE(first.crashed_since_scrub);
  EXPECT_EQ(first.granularity, Granularity::kCacheLine);
  EXPECT_EQ(first.medium_granularity, Granularity::kPage);
  EXPECT_EQ(first.memmap, MemmapPlace::kPool);
  fixture.Reopen();
  EXPECT_EQ(fixture.pool().GetInfo().mount_count, 2u);
  EXPECT_EQ(fixture.pool().GetInfo().uuid, first.uuid);
  PoolFixture page(SmallPool(kPoolSizeMin, Granularity::kPage));
  EXPECT_EQ(page.pool().GetInfo().memmap, MemmapPlace::kDram) << "always so under PAGE";
  EXPECT_FALSE(page.pool().GetInfo().ever_forced);
}

}  // namespace
}  // namespace tuff::test
