// WriteBatch, compare-and-swap, transactions, range deletes and many gets at once.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

std::string Key(int i) { return fmt::format("key{:06}", i); }
class BatchTest : public testing::Test {
 protected:
  Pool& pool() { return fixture_.pool(); }
  Store& store() { return fixture_.store(); }
  PoolFixture fixture_;
};

TEST_F(BatchTest, OneLeafCostsOneFence) {
  ASSERT_OK(store().Put("a", "0"));
  WriteBatch batch;
  for (const char* key : {"b", "c", "d"}) ASSERT_OK(batch.Put(store(), key, "1"));
  ASSERT_OK(batch.Delete(store(), "a"));
  const uint64_t before = pool().GetStatistics().fences;
  ASSERT_OK(pool().Write(batch));
  EXPECT_EQ(pool().GetStatistics().fences - before, 1u);
  EXPECT_EQ(Read(store()), (Contents{{"b", "1"}, {"c", "1"}, {"d", "1"}}));
  fixture_.Reopen();
  EXPECT_EQ(Read(store()), (Contents{{"b", "1"}, {"c", "1"}, {"d", "1"}}));
  EXPECT_EQ(Problems(pool()), "");
}

TEST_F(BatchTest, ManyLeavesAndStoresCostThreeFences) {
  auto other = pool().CreateStore("other");
  ASSERT_OK(other);
  Contents expected;
  for (int i = 0; i < 2000; i++) {
    ASSERT_OK(store().Put(Key(i), "old"));
    expected[Key(i)] = "old";
  }
  WriteBatch warm;
  ASSERT_OK(warm.Put(**other, "x", "0"));
  ASSERT_OK(pool().Write(warm));
  WriteBatch batch;
  for (int i = 0; i < 2000; i += 200) {
    ASSERT_OK(batch.Put(store(), Key(i), "new"));
    expected[Key(i)] = "new";
  }
  ASSERT_OK(batch.Put(**other, "x", "y"));
  const Statistics before = pool().GetStatistics();
  ASSERT_OK(pool().Write(batch));
  const Statistics after = pool().GetStatistics();
  const uint64_t rewritten =
      after.consolidations + after.splits - before.consolidations - before.splits;
  EXPECT_EQ(after.fences - before.fences, 3 + 3 * rewritten);
  EXPECT_EQ(Read(store()), expected);
  EXPECT_EQ(Read(**other), (Contents{{"x", "y"}}));
  fixture_.Reopen();
  EXPECT_EQ(Read(store()), expected);
  EXPECT_EQ(Problems(pool()), "");
}

TEST_F(BatchTest, OfOneKeysOperationsTheLastCounts) {
  WriteBatch batch;
  ASSERT_OK(batch.Put(store(), "a", "1"));
  ASSERT_OK(batch.Put(store(), "a", "2"));
  ASSERT_OK(batch.Put(store(), "b", "1"));
  ASSERT_OK(batch.Delete(store(), "b"));
  ASSERT_OK(batch.Delete(store(), "never there"));
  ASSERT_OK(pool().Write(batch));
  EXPECT_EQ(Read(store()), (Contents{{"a", "2"}}));
}

TEST_F(BatchTest, LargestBatchesAndNoLarger) {
  CreateOptions options = SmallPool();
  options.size_bytes = 256u << 20;
  PoolFixture large(options);
  {
    WriteBatch batch;
    for (size_t i = 0; i < kBatchOperationsMax; i++) {
      ASSERT_OK(batch.Put(large.store(), Key(static_cast<int>(i)), "value"));
    }
    const Status s = batch.Put(large.store(), "one more", "");
    EXPECT_EQ(s.code(), Code::kTooLarge);
    EXPECT_NE(s.message().find("65536"), std::string::npos);
    ASSERT_OK(large.pool().Write(batch));
    EXPECT_EQ(Read(large.store()).size(), kBatchOperationsMax);
  }
  {
    WriteBatch batch;
    const std::string value(16000, 'v');
    int n = 0;
    Status s;
    while ((s = batch.Put(large.store(), fmt::format("large{:04}", n), value)).ok()) n++;
    EXPECT_EQ(s.code(), Code::kTooLarge);
    EXPECT_GT(batch.bytes(), kBatchBytesMax - 17000);
    ASSERT_OK(large.pool().Write(batch));
    std::string found;
    ASSERT_OK(large.store().Get("large0000", &found));
    EXPECT_EQ(found, value);
    EXPECT_EQ(Read(large.store()).size(), kBatchOperationsMax + static_cast<size_t>(n));
  }
  EXPECT_EQ(Problems(large.pool()), "");
  large.Reopen();
  EXPECT_EQ(Problems(large.pool()), "");
}

TEST_F(BatchTest, AFullPoolRefusesItWhole) {
  const std::string value(1000, 'v');
  int n = 0;
  while (store().Put(Key(n), value).ok()) n++;
  const Contents before = Read(store());
  WriteBatch batch;
  for (int i = 0; i < 2000; i++) ASSERT_OK(batch.Put(store(), "z" + Key(i), value));
  EXPECT_EQ(pool().Write(batch).code(), Code::kNoSpace);
  EXPECT_EQ(Read(store()), before);
  EXPECT_EQ(Problems(pool()), "");
  uint64_t deleted = 0;
  ASSERT_OK(store().DeleteRange(Key(100), Key(n - 100), &deleted));
  EXPECT_EQ(deleted, static_cast<uint64_t>(n - 200));
  EXPECT_EQ(Read(store()).size(), 200u);
  EXPECT_EQ(Problems(pool()), "");
}

// Leaves with long keys and fences, each as full as puts may make it.
std::vector<std::string> FillWithLongKeys(Store& store, size_t value_bytes_below) {
  Random random(1);
  std::vector<std::string> keys;
  for (int refused = 0; refused < 40;) {
    std::string key = fmt::format("{:01024}", keys.size() + static_cast<size_t>(refused));
    const Status s = store.Put(key, std::string(random.Below(value_bytes_below), 'v'));
    if (s.ok()) {
      keys.push_back(std::move(key));
    } else {
      EXPECT_CODE(s, Code::kNoSpace);
      refused++;
    }
  }
  return keys;
}

TEST_F(BatchTest, ARangeIsDeletedFromAFullPoolWhole) {
  for (const size_t below : {1, 100, 1000, 15000}) {
    PoolFixture full;
    const auto keys = FillWithLongKeys(full.store(), below);
    uint64_t deleted = 0;
    ASSERT_OK(full.store().DeleteRange("", std::nullopt, &deleted));
    EXPECT_EQ(deleted, keys.size()) << below;
    EXPECT_EQ(Read(full.store()).size(), 0u) << below;
    EXPECT_EQ(Problems(full.pool()), "");
  }
}

TEST_F(BatchTest, AFullPoolTakesABatchOfOneDelete) {
  for (const size_t below : {1, 100, 1000, 15000}) {
    PoolFixture full;
    for (const std::string& key : FillWithLongKeys(full.store(), below)) {
      WriteBatch batch;
      ASSERT_OK(batch.Delete(full.store(), key));
      ASSERT_OK(full.pool().Write(batch)) << below;
    }
    EXPECT_EQ(Problems(full.pool()), "");
  }
}

TEST_F(BatchTest, AscendingBatchesFillTheirLeaves) {
  constexpr int kRecords = 20000;
  constexpr size_t kRecordBytes = 9 + 100;
  for (const int size : {20, 100, 1000}) {
    const uint64_t before = FreeFrames(pool());
    auto other = pool().CreateStore("other");
    ASSERT_OK(other);
    for (int i = 0; i < kRecords; i += size) {
      WriteBatch batch;
      for (int k = i; k < i + size; k++) {
        ASSERT_OK(batch.Put(**other, Key(k), std::string(100, 'v')));
      }
      ASSERT_OK(pool().Write(batch));
    }
    const uint64_t used = (before - FreeFrames(pool())) * kFrameSize;
    EXPECT_LT(static_cast<double>(used), 2.0 * kRecords * kRecordBytes) << size;
    EXPECT_EQ(Read(**other).size(), size_t{kRecords});
    EXPECT_EQ(Problems(pool()), "");
    ASSERT_OK(pool().DropStore("other"));
    ASSERT_OK(pool().WaitForBackgroundWork());
  }
}

TEST_F(BatchTest, LargeValuesSideBySide) {
  PoolFixture large([] {
    CreateOptions options = SmallPool();
    options.size_bytes = 64u << 20;
    return options;
  }());
  WriteBatch batch;
  for (int i = 0; i < 300; i++) {
    ASSERT_OK(batch.Put(large.store(), Key(i), std::string(15000, 'v')));
  }
  ASSERT_OK(large.pool().Write(batch));
  EXPECT_EQ(Read(large.store()).size(), 300u);
  EXPECT_EQ(Problems(large.pool()), "");
}

TEST_F(BatchTest, CompareAndSwap) {
  EXPECT_EQ(store().CompareAndSwap("a", "1", "2").code(), Code::kConflict);
  ASSERT_OK(store().CompareAndSwap("a", std::nullopt, "1"));
  EXPECT_EQ(store().CompareAndSwap("a", std::nullopt, "2").code(), Code::kConflict);
  EXPECT_EQ(store().CompareAndSwap("a", "0", "2").code(), Code::kConflict);
  ASSERT_OK(store().CompareAndSwap("a", "1", "2"));
  EXPECT_EQ(Read(store()), (Contents{{"a", "2"}}));
  EXPECT_EQ(store().CompareAndSwap("a", "1", std::nullopt).code(), Code::kConflict);
  ASSERT_OK(store().CompareAndSwap("a", "2", std::nullopt));
  ASSERT_OK(store().CompareAndSwap("a", std::nullopt, std::nullopt));
  EXPECT_EQ(Read(store()), Contents());
}

TEST_F(BatchTest, ReadModifyWriteLosesNoIncrement) {
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; i++) {
        EXPECT_OK(store().ReadModifyWrite("n", [](std::optional<std::string_view> old) {
          return std::to_string(old ? std::stoi(std::string(*old)) + 1 : 1);
        }));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Read(store()), (Contents{{"n", std::to_string(kThreads * kEach)}}));
}

TEST_F(BatchTest, MultiGetAnswersAsGets) {
  Random random(3);
  for (int i = 0; i < 3000; i += 2) ASSERT_OK(store().Put(Key(i), std::to_string(i)));
  for (const bool cold : {false, true}) {
    if (cold) fixture_.Reopen();
    std::vector<std::string> keys;
    for (int i = 0; i < 333; i++) keys.push_back(Key(static_cast<int>(random.Below(3100))));
    keys.emplace_back("");
    std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<std::string> values;
    std::vector<Status> statuses;
    store().MultiGet(views, &values, &statuses);
    ASSERT_EQ(values.size(), keys.size());
    for (size_t i = 0; i < keys.size(); i++) {
      std::string value;
      const Status s = store().Get(keys[i], &value);
      EXPECT_EQ(statuses[i].code(), s.code()) << keys[i];
      if (s.ok()) {
        EXPECT_EQ(values[i], value);
      }
    }
  }
}

TEST_F(BatchTest, DeleteRangeTakesTheRangeOnly) {
  for (int i = 0; i < 5000; i++) ASSERT_OK(store().Put(Key(i), "v"));
  uint64_t deleted = 0;
  ASSERT_OK(store().DeleteRange(Key(1000), Key(4000), &deleted));
  EXPECT_EQ(deleted, 3000u);
  EXPECT_EQ(Read(store()).size(), 2000u);
  ASSERT_OK(store().DeleteRange(Key(0), std::nullopt, &deleted));
  EXPECT_EQ(deleted, 2000u);
  EXPECT_EQ(Read(store()).size(), 0u);
  EXPECT_LT(Check(pool()).nodes, 20u);  // leaves come back
  EXPECT_EQ(Problems(pool()), "");
}

TEST_F(BatchTest, TransactionsConflictOnWhatTheyRead) {
  ASSERT_OK(store().Put("a", "1"));
  auto t = pool().BeginTransaction();
  ASSERT_OK(t);
  std::string value;
  ASSERT_OK((*t)->Get(store(), "a", &value));
  EXPECT_TRUE((*t)->Get(store(), "b", &value).IsNotFound());
  ASSERT_OK((*t)->Put(store(), "c", "3"));
  ASSERT_OK((*t)->Get(store(), "c", &value));
  EXPECT_EQ(value, "3");
  ASSERT_OK(store().Put("b", "2"));  // was absent when it was read
  EXPECT_EQ((*t)->Commit().code(), Code::kConflict);
  EXPECT_TRUE(store().Get("c", &value).IsNotFound());
  EXPECT_EQ((*t)->Commit().code(), Code::kInvalidArgument);

  t = pool().BeginTransaction();
  ASSERT_OK((*t)->Get(store(), "a", &value));
  ASSERT_OK((*t)->Delete(store(), "a"));
  ASSERT_OK((*t)->Put(store(), "c", value));
  ASSERT_OK(store().Put("unread", "x"));
  ASSERT_OK((*t)->Commit());
  EXPECT_EQ(Read(store()), (Contents{{"b", "2"}, {"c", "1"}, {"unread", "x"}}));
}

TEST_F(BatchTest, TransactionReadsOneMoment) {
  ASSERT_OK(store().Put("a", "1"));
  auto t = pool().BeginTransaction();
  for (int i = 0; i < 100; i++) ASSERT_OK(store().Put("a", "2"));
  std::string value;
  ASSERT_OK((*t)->Get(store(), "a", &value));
  EXPECT_EQ(value, "1");
  ASSERT_OK((*t)->Commit());  // it wrote nothing
}

}  // namespace
}  // namespace tuff::test
