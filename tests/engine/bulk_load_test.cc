// Bulk loads, dropping stores, and the graveyard where they leave what goes.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

std::string Key(int i) { return fmt::format("key{:07}", i); }

uint64_t Count(Store& store) {
  uint64_t n = 0;
  auto it = store.NewIterator();
  for (it->SeekToFirst(); it->Valid(); it->Next()) n++;
  EXPECT_OK(it->status());
  return n;
}

class BulkLoadTest : public testing::Test {
 protected:
  static CreateOptions Options() {
    CreateOptions options = SmallPool();
    options.size_bytes = 256u << 20;
    return options;
  }
  Pool& pool() { return fixture_.pool(); }
  Store& store() { return fixture_.store(); }
  Status Load(int n, const std::string& value) {
    auto loader = store().NewBulkLoader();
    if (!loader.ok()) return loader.TakeStatus();
    for (int i = 0; i < n; i++) {
      if (Status s = (*loader)->Add(Key(i), value); !s.ok()) return s;
    }
    return (*loader)->Finish();
  }
  PoolFixture fixture_{Options()};
};

TEST_F(BulkLoadTest, AnyNumberOfRecordsIsThereAndSound) {
  for (const int n : {0, 1, 2, 20, 26, 60, 5000, 5500, 400000}) {
    ASSERT_OK(Load(n, n > 10000 ? "v" : std::string(100, 'v')));
    ASSERT_OK(pool().WaitForBackgroundWork());
    EXPECT_EQ(Count(store()), static_cast<uint64_t>(n));
    EXPECT_EQ(Problems(pool()), "") << n;
    std::string value;
    for (int i = 0; i < n; i += 1 + n / 1000) ASSERT_OK(store().Get(Key(i), &value));
    for (int i = 0; i < n; i += 1 + n / 300) ASSERT_OK(store().Put(Key(i) + "x", "later"));
    EXPECT_EQ(Problems(pool()), "") << n;
    fixture_.Reopen();
    EXPECT_EQ(Problems(pool()), "") << n;
    ASSERT_OK(pool().DropStore("store"));
    auto again = pool().CreateStore("store");
    ASSERT_OK(again);
    ASSERT_OK(pool().WaitForBackgroundWork());
    EXPECT_EQ(Problems(pool()), "") << n;
    fixture_.Reopen();
  }
}

TEST_F(BulkLoadTest, LongKeysAndLargeValues) {
  Random random(5);
  std::map<std::string, std::string> records;
  for (int i = 0; i < 3000; i++) {
    records[fmt::format("{:06}", i) + std::string(random.Below(1000), 'k')] =
        std::string(random.Below(random.Below(4) == 0 ? 15000 : 200), 'v');
  }
  auto loader = store().NewBulkLoader();
  ASSERT_OK(loader);
  for (const auto& [key, value] : records) ASSERT_OK((*loader)->Add(key, value));
  ASSERT_OK((*loader)->Finish());
  std::map<std::string, std::string> found;
  auto it = store().NewIterator();
  for (it->SeekToFirst(); it->Valid(); it->Next()) found.emplace(it->key(), it->value());
  EXPECT_EQ(found, records);
  ASSERT_OK(pool().WaitForBackgroundWork());
  EXPECT_EQ(Problems(pool()), "");
}

// The last separators of a node share no prefix with the first ones: it needs more bytes than it
// seemed while it was being filled.
TEST_F(BulkLoadTest, KeysWhoseCommonPrefixEndsSuddenly) {
  for (const int group : {40, 700, 3000}) {
    const int n = group * 3 + 5;
    const auto key = [&](int i) {
      return std::string(static_cast<size_t>(800 + i / group), 'a' + i / group) +
             fmt::format("{:06}", i);
    };
    auto loader = store().NewBulkLoader();
    ASSERT_OK(loader);
    for (int i = 0; i < n; i++) ASSERT_OK((*loader)->Add(key(i), "value"));
    ASSERT_OK((*loader)->Finish());
    loader->reset();
    EXPECT_EQ(Problems(pool()), "") << group;
    EXPECT_EQ(Count(store()), static_cast<uint64_t>(n));
    std::string value;
    for (int i = 0; i < n; i++) ASSERT_OK(store().Get(key(i), &value));
    ASSERT_OK(store().DeleteRange("", std::nullopt));
  }
}

// The last node of a level has no end, and stores its separators whole.
TEST_F(BulkLoadTest, KeysThatBeginAlike) {
  for (const size_t alike : {20, 60, 100, 400, 900}) {
    const int n = alike < 100 ? 20000 : 3000;
    auto loader = store().NewBulkLoader();
    ASSERT_OK(loader);
    const auto key = [&](int i) { return std::string(alike, 'p') + Key(i); };
    for (int i = 0; i < n; i++) ASSERT_OK((*loader)->Add(key(i), "v"));
    ASSERT_OK((*loader)->Finish());
    loader = Status(Code::kBusy, "finished");
    EXPECT_EQ(Count(store()), static_cast<uint64_t>(n));
    EXPECT_EQ(Problems(pool()), "") << alike;
    for (int i = 0; i < n; i += 100) ASSERT_OK(store().Put(key(i) + "x", "later"));
    EXPECT_EQ(Problems(pool()), "") << alike;
    ASSERT_OK(pool().DropStore("store"));
    fixture_.Reopen();
  }
}

TEST_F(BulkLoadTest, UnsortedKeyIsNamedByItsPositionAndTheLoadGoesOn) {
  auto loader = store().NewBulkLoader();
  ASSERT_OK(loader);
  ASSERT_OK((*loader)->Add("b", "1"));
  ASSERT_OK((*loader)->Add("c", "1"));
  for (const char* key : {"a", "c"}) {
    const Status s = (*loader)->Add(key, "1");
    EXPECT_EQ(s.code(), Code::kInvalidArgument);
    EXPECT_NE(s.message().find("record 3 "), std::string::npos) << s.message();
  }
  ASSERT_OK((*loader)->Add("d", "1"));
  ASSERT_OK((*loader)->Finish());
  EXPECT_EQ(Count(store()), 3u);
}

TEST_F(BulkLoadTest, NeedsAnEmptyStoreToTheEnd) {
  {
    auto loader = store().NewBulkLoader();
    ASSERT_OK(loader);
    ASSERT_OK((*loader)->Add("b", "1"));
    ASSERT_OK(store().Put("a", "1"));
    EXPECT_EQ((*loader)->Finish().code(), Code::kConflict);
  }
  EXPECT_EQ(store().NewBulkLoader().status().code(), Code::kInvalidArgument);
  ASSERT_OK(store().Delete("a"));
  ASSERT_OK(Load(100, "v"));
  EXPECT_EQ(Count(store()), 100u);
  ASSERT_OK(pool().WaitForBackgroundWork());
  EXPECT_EQ(Problems(pool()), "");
}

TEST_F(BulkLoadTest, EmptiedTreeOfSeveralLevelsIsReplaced) {
  for (int i = 0; i < 20000; i++) ASSERT_OK(store().Put(Key(i), "v"));
  ASSERT_OK(store().DeleteRange("", std::nullopt));
  ASSERT_OK(Load(1000, "w"));
  EXPECT_EQ(Count(store()), 1000u);
  ASSERT_OK(pool().WaitForBackgroundWork());
  EXPECT_EQ(Problems(pool()), "");
}

TEST_F(BulkLoadTest, GivenUpLoadsLeaveNothing) {
  const uint64_t free_before = FreeFrames(pool());
  for (const int n : {1, 5000, 100000}) {
    auto loader = store().NewBulkLoader();
    ASSERT_OK(loader);
    for (int i = 0; i < n; i++) ASSERT_OK((*loader)->Add(Key(i), std::string(50, 'v')));
    EXPECT_EQ(Problems(pool()), "");  // in the middle: it hangs in the graveyard
    loader = Status(Code::kBusy, "given up");
    ASSERT_OK(pool().WaitForBackgroundWork());
  }
  EXPECT_EQ(Count(store()), 0u);
  EXPECT_EQ(Problems(pool()), "");
  EXPECT_GE(FreeFrames(pool()) + 4, free_before);
}

TEST_F(BulkLoadTest, SnapshotsFromBeforeStayEmpty) {
  auto before = pool().GetSnapshot();
  ASSERT_OK(before);
  auto loader = store().NewBulkLoader();
  ASSERT_OK(loader);
  ASSERT_OK((*loader)->Add("a", "1"));
  auto during = pool().GetSnapshot();
  ASSERT_OK(during);
  ASSERT_OK((*loader)->Finish());
  auto after = pool().GetSnapshot();
  ASSERT_OK(after);
  std::string value;
  EXPECT_TRUE(store().Get("a", &value, *before).IsNotFound());
  EXPECT_TRUE(store().Get("a", &value, *during).IsNotFound());
  EXPECT_OK(store().Get("a", &value, *after));
  ReadOptions at;
  at.snapshot = *during;
  auto it = store().NewIterator(at);
  it->SeekToFirst();
  EXPECT_FALSE(it->Valid());
  EXPECT_OK(it->status());
  it.reset();
  for (auto& snapshot : {before, during, after}) pool().ReleaseSnapshot(*snapshot);
}

// What a snapshot sees has been deleted before the load, and its leaves go with the load.
TEST_F(BulkLoadTest, SnapshotsFromBeforeKeepWhatWasDeleted) {
  for (int i = 0; i < 500; i++) ASSERT_OK(store().Put(Key(i), "before"));
  auto snapshot = pool().GetSnapshot();
  ASSERT_OK(snapshot);
  ASSERT_OK(store().DeleteRange("", std::nullopt));
  ASSERT_OK(Load(300, "loaded"));
  auto second = pool().GetSnapshot();
  ASSERT_OK(second);
  ASSERT_OK(store().DeleteRange("", std::nullopt));
  ASSERT_OK(Load(200, "loaded again"));
  std::string value;
  for (int i = 0; i < 500; i++) {
    ASSERT_OK(store().Get(Key(i), &value, *snapshot));
    EXPECT_EQ(value, "before");
    EXPECT_EQ(store().Get(Key(i), &value, *second).ok(), i < 300);
  }
  ReadOptions at;
  at.snapshot = *snapshot;
  auto it = store().NewIterator(at);
  uint64_t n = 0;
  for (it->SeekToLast(); it->Valid(); it->Prev()) n++;
  EXPECT_OK(it->status());
  EXPECT_EQ(n, 500u);
  it.reset();
  pool().ReleaseSnapshot(*snapshot);
  pool().ReleaseSnapshot(*second);
  EXPECT_EQ(pool().GetStatistics().versions_retained, 0u);
}

// A load's records have the number of its beginning, but come true at its end.
TEST_F(BulkLoadTest, SnapshotsTakenDuringALoadNeverSeeIt) {
  auto loader = store().NewBulkLoader();
  ASSERT_OK(loader);
  for (int i = 0; i < 100; i++) ASSERT_OK((*loader)->Add(Key(i), "loaded"));
  auto other = pool().CreateStore("other");
  ASSERT_OK(other);
  ASSERT_OK((*other)->Put("a", "1"));
  auto snapshot = pool().GetSnapshot();
  ASSERT_OK(snapshot);
  ASSERT_OK((*loader)->Finish());
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 100; i++) ASSERT_OK(store().Put(Key(i), "overwritten"));
  }
  std::string value;
  for (int i = 0; i < 100; i++) {
    EXPECT_TRUE(store().Get(Key(i), &value, *snapshot).IsNotFound());
  }
  ReadOptions at;
  at.snapshot = *snapshot;
  auto it = store().NewIterator(at);
  it->SeekToFirst();
  EXPECT_FALSE(it->Valid());
  it.reset();
  pool().ReleaseSnapshot(*snapshot);
}

TEST_F(BulkLoadTest, ADroppedStoreAnswersNotFoundToEverything) {
  ASSERT_OK(store().Put("a", "1"));
  ASSERT_OK(pool().DropStore("store"));
  EXPECT_CODE(store().CompareAndSwap("a", std::nullopt, "2"), Code::kNotFound);
  EXPECT_CODE(store().CompareAndSwap("a", "1", "2"), Code::kNotFound);
  EXPECT_CODE(store().CompareAndSwap("a", "1", std::nullopt), Code::kNotFound);
  EXPECT_CODE(store().CompareAndSwap("a", std::nullopt, std::nullopt), Code::kNotFound);
  for (const bool puts : {false, true}) {
    const auto modify = [&](auto) { return puts ? std::optional<std::string>("2") : std::nullopt; };
    EXPECT_CODE(store().ReadModifyWrite("a", modify), Code::kNotFound);
  }
  EXPECT_CODE(store().DeleteRange("", std::nullopt), Code::kNotFound);
  EXPECT_CODE(store().NewBulkLoader(), Code::kNotFound);
}

TEST_F(BulkLoadTest, DropFreesEverything) {
  const uint64_t free_before = FreeFrames(pool());
  auto other = pool().CreateStore("other");
  ASSERT_OK(other);
  for (int i = 0; i < 30000; i++) ASSERT_OK((*other)->Put(Key(i), std::string(100, 'v')));
  {
    auto it = (*other)->NewIterator();
    EXPECT_EQ(pool().DropStore("other").code(), Code::kBusy);
  }
  EXPECT_TRUE(pool().DropStore("absent").IsNotFound());
  EXPECT_FALSE(pool().DropStore("/graveyard").ok());
  ASSERT_OK(pool().DropStore("other"));
  std::string value;
  EXPECT_TRUE((*other)->Put("a", "1").IsNotFound());
  EXPECT_TRUE((*other)->Get(Key(1), &value).IsNotFound());
  EXPECT_TRUE(pool().OpenStore("other").status().IsNotFound());
  EXPECT_EQ(Problems(pool()), "");
  ASSERT_OK(pool().WaitForBackgroundWork());
  EXPECT_EQ(Problems(pool()), "");
  EXPECT_GE(FreeFrames(pool()) + 2, free_before);
  EXPECT_GT(pool().GetStatistics().nodes_dismantled, 1000u);
}

TEST_F(BulkLoadTest, CloseDoesNotWaitAndTheNextOpenGoesOn) {
  const uint64_t free_before = FreeFrames(pool());
  ASSERT_OK(Load(500000, std::string(100, 'v')));
  ASSERT_OK(pool().DropStore("store"));
  fixture_.Close();
  fixture_.Reopen();  // makes the store again
  EXPECT_EQ(Problems(pool()), "");
  ASSERT_OK(pool().WaitForBackgroundWork());
  EXPECT_EQ(Problems(pool()), "");
  EXPECT_GE(FreeFrames(pool()) + 4, free_before);
}

}  // namespace
}  // namespace tuff::test
