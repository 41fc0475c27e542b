// Memory that runs out (I9): each allocation of an operation fails in turn, by itself or with all
// that follow. The operation says so, or has happened; nothing is lost, on the medium or beside it,
// and the pool goes on.
//
// The operators new of this program count; sanitized builds leave out most of the turns.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>

#include "tests/engine/engine_test_util.h"
#include "tests/failing_new.h"

namespace tuff::test {
namespace {

// Allocations, of any thread, that still succeed.
constexpr int64_t kAny = int64_t{1} << 62;
std::atomic<int64_t> allowed{kAny};
std::atomic<bool> refuse_all{false};  // those after the first that is refused, too
std::atomic<bool> refused{false};

}  // namespace

bool RefusesAllocation() {
  const int64_t left = allowed.fetch_sub(1, std::memory_order_relaxed);
  if (left > 0 || (left < 0 && !refuse_all)) return false;
  refused = true;
  return true;
}

namespace {

std::string Key(int i) { return fmt::format("key{:06}", i); }

/// Lets allocation `turn` (from 0) of `operation` fail. False: it has none of that number.
template <typename Operation>
bool RunWithRefusal(int64_t turn, const Operation& operation) {
  refused = false;
  allowed = turn;
  operation();
  allowed = kAny;
  return refused;
}

// Under which granularity, and whether all later allocations fail, too.
class MemoryTest : public testing::TestWithParam<std::tuple<Granularity, bool>> {
 protected:
  MemoryTest() {
    PageMap& map = fixture_.map();
    for (uint64_t block = 0; block < map.memmap().blocks(); block++) map.memmap().TouchBlock(block);
    // The graveyard is there, and its worker.
    EXPECT_OK(pool().CreateStore("second"));
    EXPECT_OK(pool().DropStore("second"));
    EXPECT_OK(pool().WaitForBackgroundWork());
    EXPECT_OK(store().Put("first", "1"));  // and the allocator's reserve is filled
    expected_ = {{"first", "1"}};
    held_back_ = HeldBack();
    refuse_all = std::get<1>(GetParam());
  }
  Pool& pool() { return fixture_.pool(); }
  Store& store() { return fixture_.store(); }

  // Frames that are free on the medium, but cannot be had: the reserve, and what has been lost.
  uint64_t HeldBack() {
    fixture_.map().limbo().Reclaim();
    return fixture_.map().allocator().CountFreeFrames() -
           fixture_.map().allocator().KnownFreeFrames();
  }
  void ExpectNothingLost(int64_t turn) {
    EXPECT_EQ(Problems(pool()), "") << "turn " << turn;
    EXPECT_EQ(HeldBack(), held_back_) << "turn " << turn;
  }

  PoolFixture fixture_{SmallPool(kPoolSizeMin, std::get<0>(GetParam()))};
  Contents expected_;
  uint64_t held_back_ = 0;
};

TEST_P(MemoryTest, Puts) {
  constexpr int kStep = kSanitized ? 7 : 1;
  int refusals = 0;
  for (int i = 0; i < 3000; i += kStep) {
    const std::string key = Key(i * 7919 % 1000);
    const std::string value(300, 'v');
    Status s;
    // Most puts take few allocations; those that split some dozens.
    if (RunWithRefusal(i % 61, [&] { s = store().Put(key, value); })) refusals++;
    if (s.ok()) {
      expected_[key] = value;
    } else {
      ASSERT_EQ(s.code(), Code::kNoMemory) << s.ToString();
      std::string found;
      ASSERT_EQ(store().Get(key, &found).ok(), expected_.contains(key)) << i;
    }
    if (i % 100 == 0) ExpectNothingLost(i);
    ASSERT_FALSE(HasFailure()) << i;
  }
  EXPECT_GT(refusals, 50 / kStep);  // else these puts need so little that nothing was tried
  EXPECT_EQ(Read(store()), expected_);
  fixture_.Reopen();
  EXPECT_EQ(Read(store()), expected_);
  EXPECT_EQ(Problems(pool()), "");
}

// What a delete does for the space that it leaves is not the delete: that has happened.
TEST_P(MemoryTest, Deletes) {
  constexpr int kKeys = 2000;
  for (int i = 0; i < kKeys; i++) {
    ASSERT_OK(store().Put(Key(i), std::string(100, 'v')));
    expected_[Key(i)] = std::string(100, 'v');
  }
  int refusals = 0;
  for (int i = 0; i < kKeys; i++) {
    const std::string key = Key(i * 7 % kKeys);
    Status s;
    if (RunWithRefusal(i % 41, [&] { s = store().Delete(key); })) refusals++;
    std::string found;
    if (s.ok()) {
      expected_.erase(key);
    } else {
      ASSERT_EQ(s.code(), Code::kNoMemory) << s.ToString();
    }
    ASSERT_EQ(store().Get(key, &found).ok(), expected_.contains(key)) << i;
    if (i % 100 == 0) ExpectNothingLost(i);
    ASSERT_FALSE(HasFailure()) << i;
  }
  EXPECT_GT(refusals, 50);
  EXPECT_EQ(Read(store()), expected_);
  fixture_.Reopen();
  EXPECT_EQ(Read(store()), expected_);
  EXPECT_EQ(Problems(pool()), "");
}

TEST_P(MemoryTest, Batches) {
  for (int i = 0; i < 600; i++) {
    ASSERT_OK(store().Put(Key(2 * i), "old"));
    expected_[Key(2 * i)] = "old";
  }
  // In one leaf; over many; deletes that leave thin leaves.
  struct Shape {
    int first, last, step;
    size_t bytes;
  };
  for (const Shape& shape :
       {Shape{0, 4, 1, 20}, Shape{0, 1200, 50, 200}, Shape{1, 300, 1, 100}, Shape{0, 1200, 2, 0}}) {
    bool more = true;
    for (int64_t turn = 0; more; turn += kSanitized ? 1 + turn / 10 : 1) {
      const std::string value = fmt::format("{:0{}}", turn, shape.bytes);
      WriteBatch batch;
      Contents after = expected_;
      for (int i = shape.first; i < shape.last; i += shape.step) {
        if (shape.bytes == 0 && turn % 2 == 0) {
          ASSERT_OK(batch.Delete(store(), Key(i)));
          after.erase(Key(i));
        } else {
          ASSERT_OK(batch.Put(store(), Key(i), value));
          after[Key(i)] = value;
        }
      }
      Status s;
      more = RunWithRefusal(turn, [&] { s = pool().Write(batch); });
      if (s.ok()) {
        expected_ = std::move(after);
      } else {
        ASSERT_EQ(s.code(), Code::kNoMemory) << s.ToString();
      }
      ASSERT_EQ(Read(store()), expected_) << turn;
      ExpectNothingLost(turn);
      ASSERT_FALSE(HasFailure());
    }
  }
  fixture_.Reopen();
  EXPECT_EQ(Read(store()), expected_);
  EXPECT_EQ(Problems(pool()), "");
}

TEST_P(MemoryTest, BulkLoads) {
  // Keys so long that a parent has few leaves: several steps, each of which replaces nodes.
  constexpr int kRecords = 4000;
  const auto key = [](int i) { return std::string(900, 'k') + fmt::format("{:06}", i); };
  ASSERT_OK(pool().DropStore("store"));
  Contents loaded;
  for (int i = 0; i < kRecords; i++) loaded[key(i)] = "v";
  const std::string last = key(kRecords);
  bool more = true;
  for (int64_t turn = 0; more; turn += 1 + turn / (kSanitized ? 3 : 100)) {
    auto made = pool().CreateStore("loaded");
    ASSERT_OK(made);
    Status s;
    more = RunWithRefusal(turn, [&] {
      auto loader = (*made)->NewBulkLoader();
      s = loader.status();
      for (const auto& [key, value] : loaded) {
        if (s.ok()) s = (*loader)->Add(key, value);
      }
      if (!s.ok() && loader.ok()) {
        EXPECT_CODE((*loader)->Add(last, "v"), Code::kNoMemory);
        EXPECT_CODE((*loader)->Finish(), Code::kNoMemory);
      }
      if (s.ok()) s = (*loader)->Finish();
    });
    if (!s.ok()) {
      ASSERT_EQ(s.code(), Code::kNoMemory) << s.ToString();
    }
    EXPECT_EQ(Read(**made).size(), s.ok() ? loaded.size() : 0u) << turn;
    if (s.ok()) {
      EXPECT_GE(Check(pool()).depth_max, 3u);
    }
    EXPECT_EQ(Problems(pool()), "") << turn;
    ASSERT_OK(pool().DropStore("loaded"));
    // The worker may have met the refusal: then this drop has made it look again.
    ASSERT_OK(pool().WaitForBackgroundWork());
    ExpectNothingLost(turn);
    ASSERT_FALSE(HasFailure());
  }
}

TEST_P(MemoryTest, Drops) {
  bool more = true;
  for (int64_t turn = 0; more; turn += kSanitized ? 1 + turn / 10 : 1) {
    auto made = pool().CreateStore("dropped");
    ASSERT_OK(made);
    for (int i = 0; i < 300; i++) ASSERT_OK((*made)->Put(Key(i), std::string(100, 'v')));
    Status s;
    more = RunWithRefusal(turn, [&] {
      s = pool().DropStore("dropped");
      (void)pool().WaitForBackgroundWork();
    });
    if (!s.ok()) {
      ASSERT_EQ(s.code(), Code::kNoMemory) << s.ToString();
      EXPECT_EQ(Read(**made).size(), 300u) << turn;
      ASSERT_OK(pool().DropStore("dropped"));
    } else {
      EXPECT_CODE(pool().OpenStore("dropped"), Code::kNotFound);
      ASSERT_OK(pool().CreateStore("another"));  // so that the worker looks again
      ASSERT_OK(pool().DropStore("another"));
    }
    ASSERT_OK(pool().WaitForBackgroundWork());
    ExpectNothingLost(turn);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_EQ(Read(store()), expected_);
  fixture_.Reopen();
  EXPECT_EQ(Read(store()), expected_);
}

INSTANTIATE_TEST_SUITE_P(
    Granularities, MemoryTest,
    testing::Combine(testing::Values(Granularity::kCacheLine, Granularity::kPage), testing::Bool()),
    [](const auto& info) {
      return std::string(std::get<0>(info.param) == Granularity::kPage ? "Page" : "CacheLine") +
             (std::get<1>(info.param) ? "ForGood" : "Once");
    });

}  // namespace
}  // namespace tuff::test
