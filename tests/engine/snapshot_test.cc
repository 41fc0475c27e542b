// Snapshots through the public interface, and what is kept for them.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <thread>

#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

std::string Key(int i) { return fmt::format("key{:06}", i); }

using Contents = std::map<std::string, std::string>;

Contents Read(Store& store, const Snapshot* snapshot, bool backward = false) {
  Contents found;
  ReadOptions options;
  options.snapshot = snapshot;
  auto it = store.NewIterator(options);
  if (backward) {
    for (it->SeekToLast(); it->Valid(); it->Prev()) found.emplace(it->key(), it->value());
  } else {
    for (it->SeekToFirst(); it->Valid(); it->Next()) found.emplace(it->key(), it->value());
  }
  EXPECT_OK(it->status());
  return found;
}

class SnapshotTest : public testing::Test {
 protected:
  Pool& pool() { return fixture_.pool(); }
  Store& store() { return fixture_.store(); }
  const Snapshot* Take() {
    auto snapshot = pool().GetSnapshot();
    EXPECT_OK(snapshot);
    return *snapshot;
  }

  PoolFixture fixture_;
};

TEST_F(SnapshotTest, SeesOnlyWhatWasThere) {
  for (int i = 0; i < 1000; i++) ASSERT_OK(store().Put(Key(i), "old"));
  const Snapshot* snapshot = Take();
  const Contents before = Read(store(), nullptr);
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 1000; i += 2) ASSERT_OK(store().Put(Key(i), "new" + std::to_string(round)));
  }
  for (int i = 1; i < 1000; i += 4) ASSERT_OK(store().Delete(Key(i)));
  for (int i = 1000; i < 1500; i++) ASSERT_OK(store().Put(Key(i), "later"));

  EXPECT_EQ(Read(store(), snapshot), before);
  EXPECT_EQ(Read(store(), snapshot, true), before);
  for (int i = 0; i < 1500; i++) {
    std::string value;
    const Status s = store().Get(Key(i), &value, snapshot);
    EXPECT_EQ(s.ok(), i < 1000) << i;
    if (s.ok()) {
      EXPECT_EQ(value, "old");
    }
  }
  EXPECT_GT(pool().GetStatistics().versions_retained, 0u);
  pool().ReleaseSnapshot(snapshot);
  EXPECT_EQ(pool().GetStatistics().versions_retained, 0u);
  EXPECT_EQ(pool().GetStatistics().version_bytes_retained, 0u);
  EXPECT_EQ(Problems(pool()), "");
}

TEST_F(SnapshotTest, ManyAtOnceEachSeeTheirOwn) {
  std::vector<std::pair<const Snapshot*, Contents>> taken;
  Contents now;
  Random random(7);
  for (int round = 0; round < 40; round++) {
    for (int i = 0; i < 300; i++) {
      const std::string key = Key(static_cast<int>(random.Below(400)));
      if (random.Below(4) == 0) {
        EXPECT_EQ(store().Delete(key).ok(), now.erase(key) > 0);
      } else {
        const std::string value = fmt::format("{}-{}", round, i);
        ASSERT_OK(store().Put(key, value));
        now[key] = value;
      }
    }
    taken.emplace_back(Take(), now);
    if (random.Below(3) == 0) {  // released in any order
      const size_t i = random.Below(taken.size());
      pool().ReleaseSnapshot(taken[i].first);
      taken.erase(taken.begin() + static_cast<ptrdiff_t>(i));
    }
    for (const auto& [snapshot, contents] : taken) {
      ASSERT_EQ(Read(store(), snapshot), contents) << round;
    }
  }
  for (const auto& [snapshot, contents] : taken) {
    EXPECT_EQ(Read(store(), snapshot, true), contents);
    pool().ReleaseSnapshot(snapshot);
  }
  EXPECT_EQ(pool().GetStatistics().versions_retained, 0u);
}

TEST_F(SnapshotTest, IteratorIsOnOneOfItsOwn) {
  for (int i = 0; i < 500; i++) ASSERT_OK(store().Put(Key(i), "old"));
  auto it = store().NewIterator();
  for (int i = 0; i < 500; i++) ASSERT_OK(store().Put(Key(i), "new"));
  for (int i = 0; i < 500; i += 2) ASSERT_OK(store().Delete(Key(i)));
  int n = 0;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    EXPECT_EQ(it->key(), Key(n++));
    EXPECT_EQ(it->value(), "old");
  }
  EXPECT_EQ(n, 500);
}

TEST_F(SnapshotTest, PinnedValueOfASnapshotOutlivesIt) {
  ASSERT_OK(store().Put("a", "old"));
  const Snapshot* snapshot = Take();
  for (int i = 0; i < 100; i++) ASSERT_OK(store().Put("a", "new"));
  auto pinned = store().GetPinned("a", snapshot);
  ASSERT_OK(pinned);
  EXPECT_EQ(pinned->view(), "old");
  pool().ReleaseSnapshot(snapshot);
  for (int i = 0; i < 100; i++) ASSERT_OK(store().Put("a", "newer"));
  EXPECT_EQ(pinned->view(), "old");
}

TEST_F(SnapshotTest, CloseListsWhatLives) {
  ASSERT_OK(store().Put("a", "1"));
  const Snapshot* snapshot = Take();
  {
    auto it = store().NewIterator();
    const Status s = pool().Close();
    EXPECT_EQ(s.code(), Code::kBusy);
    EXPECT_NE(s.message().find("1 iterator of 'store'"), std::string::npos) << s.message();
    EXPECT_NE(s.message().find("1 snapshot (the oldest"), std::string::npos) << s.message();
  }
  pool().ReleaseSnapshot(snapshot);
  fixture_.Close();
}

TEST_F(SnapshotTest, AForgottenOneShowsToOtherProcesses) {
  for (int i = 0; i < 200; i++) ASSERT_OK(store().Put(Key(i), "old"));
  auto info = Pool::Peek(fixture_.path());
  ASSERT_OK(info);
  EXPECT_EQ(info->writer_pid, static_cast<uint32_t>(getpid()));
  EXPECT_EQ(info->snapshots, 0u);
  const Snapshot* snapshot = Take();
  const Snapshot* another = Take();
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 200; i++) ASSERT_OK(store().Put(Key(i), "new"));
  }
  info = Pool::Peek(fixture_.path());
  ASSERT_OK(info);
  EXPECT_EQ(info->snapshots, 2u);
  EXPECT_GT(info->snapshot_age_ns_max, 500000000u);
  EXPECT_GT(info->versions_retained, 0u);
  EXPECT_GT(info->version_bytes_retained, 0u);
  EXPECT_EQ(pool().GetInfo().snapshots, 2u);
  pool().ReleaseSnapshot(snapshot);
  pool().ReleaseSnapshot(another);
  info = Pool::Peek(fixture_.path());
  ASSERT_OK(info);
  EXPECT_EQ(info->snapshots, 0u);
  fixture_.Close();
  info = Pool::Peek(fixture_.path());
  ASSERT_OK(info);
  EXPECT_EQ(info->writer_pid, 0u);
  EXPECT_CODE(Pool::Peek(fixture_.path() + ".absent"), Code::kNotFound);
}

TEST(SnapshotMemory, ABoundMakesTheOldestExpireAndNoPutFail) {
  CreateOptions options = SmallPool();
  options.open.version_memory_bytes_max = 20000;
  PoolFixture fixture(options);
  Store& store = fixture.store();
  const std::string value(100, 'v');
  for (int i = 0; i < 500; i++) ASSERT_OK(store.Put(Key(i), value));
  auto old = fixture.pool().GetSnapshot();
  ASSERT_OK(old);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 500; i++) ASSERT_OK(store.Put(Key(i), value + "2"));
  }
  std::string found;
  int expired = 0;
  for (int i = 0; i < 500; i++) {
    const Status s = store.Get(Key(i), &found, *old);
    if (s.ok()) {
      EXPECT_EQ(found, value);
    } else {
      EXPECT_EQ(s.code(), Code::kExpired) << s.ToString();
      expired++;
    }
  }
  EXPECT_GT(expired, 0);
  ReadOptions at_old;
  at_old.snapshot = *old;
  auto it = store.NewIterator(at_old);
  for (it->SeekToFirst(); it->Valid();) it->Next();
  EXPECT_EQ(it->status().code(), Code::kExpired);
  it.reset();
  EXPECT_LE(fixture.pool().GetStatistics().version_bytes_retained, 20000u);
  EXPECT_EQ(fixture.pool().GetStatistics().snapshots_expired, 1u);
  fixture.pool().ReleaseSnapshot(*old);
}

}  // namespace
}  // namespace tuff::test
