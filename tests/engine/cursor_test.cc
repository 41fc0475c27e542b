// Iterators: bounds, prefixes, both directions, empty leaves, what a walk sees of writes beside it.
#include "engine/cursor.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

std::string Number(int i) { return std::to_string(5000000 + i); }

std::vector<std::string> Forward(Store& store, const ReadOptions& options = {}) {
  std::vector<std::string> keys;
  const auto it = store.NewIterator(options);
  for (it->SeekToFirst(); it->Valid(); it->Next()) keys.emplace_back(it->key());
  EXPECT_OK(it->status());
  return keys;
}
std::vector<std::string> Backward(Store& store, const ReadOptions& options = {}) {
  std::vector<std::string> keys;
  const auto it = store.NewIterator(options);
  for (it->SeekToLast(); it->Valid(); it->Prev()) keys.insert(keys.begin(), std::string(it->key()));
  EXPECT_OK(it->status());
  return keys;
}

TEST(CursorTest, EmptyStore) {
  PoolFixture fixture;
  const auto it = fixture.store().NewIterator();
  EXPECT_FALSE(it->Valid()) << "before the first seek";
  for (int i = 0; i < 2; i++) {
    it->SeekToFirst();
    EXPECT_FALSE(it->Valid());
    it->SeekToLast();
    EXPECT_FALSE(it->Valid());
    it->Seek("a");
    EXPECT_FALSE(it->Valid());
    it->SeekForPrev("a");
    EXPECT_FALSE(it->Valid());
    EXPECT_OK(it->status());
    ASSERT_OK(fixture.store().Put("k", "v"));  // then: a root leaf with nothing in it
    ASSERT_OK(fixture.store().Delete("k"));
  }
}

TEST(CursorTest, Bounds) {
  PoolFixture fixture;
  std::vector<std::string> all;
  for (int i = 0; i < 500; i++) {
    all.push_back(Number(2 * i));
    ASSERT_OK(fixture.store().Put(all.back(), std::string(50, 'v')));
  }
  for (const auto& [from, to] : std::vector<std::pair<int, int>>{{0, 1000},
                                                                 {100, 200},
                                                                 {101, 201},
                                                                 {100, 100},
                                                                 {200, 100},
                                                                 {998, 999},
                                                                 {999, 1001},
                                                                 {-5, 1},
                                                                 {0, 0},
                                                                 {-5, -1},
                                                                 {1500, 1600}}) {
    SCOPED_TRACE(std::to_string(from) + " to " + std::to_string(to));
    ReadOptions options;
    options.lower_bound = Number(from);
    options.upper_bound = Number(to);
    std::vector<std::string> expected;
    for (const std::string& key : all) {
      if (key >= *options.lower_bound && key < *options.upper_bound) expected.push_back(key);
    }
    EXPECT_EQ(Forward(fixture.store(), options), expected);
    EXPECT_EQ(Backward(fixture.store(), options), expected);
    const auto it = fixture.store().NewIterator(options);
    it->Seek(Number(-100));  // below the bound: lands on it
    EXPECT_EQ(it->Valid() ? std::string(it->key()) : "", expected.empty() ? "" : expected.front());
    it->SeekForPrev(Number(5000));
    EXPECT_EQ(it->Valid() ? std::string(it->key()) : "", expected.empty() ? "" : expected.back());
    it->Seek(Number(5000));
    EXPECT_FALSE(it->Valid());
    it->SeekForPrev(Number(-100));
    EXPECT_FALSE(it->Valid());
  }
}

TEST(CursorTest, Prefixes) {
  PoolFixture fixture;
  std::set<std::string> all;
  for (const std::string a : {"", "a", "b", "\xfe", "\xff"}) {
    for (const std::string b : {"", "a", "\xff", "\xff\xff"}) {
      for (const std::string& c : {std::string(), std::string(1, '\0'), std::string("z\xff")}) {
        const std::string key = a + b + c;
        if (key.empty()) continue;
        all.insert(key);
        ASSERT_OK(fixture.store().Put(key, "v"));
      }
    }
  }
  for (const std::string& prefix :
       {std::string(), std::string("a"), std::string("a\xff"), std::string("\xff"),
        std::string("\xff\xff"), std::string("\xff\xff\xff"), std::string("c"),
        std::string("a\0", 2), std::string("\xfe\xff")}) {
    ReadOptions options;
    options.prefix = prefix;
    std::vector<std::string> expected;
    for (const std::string& key : all) {
      if (key.starts_with(prefix)) expected.push_back(key);
    }
    EXPECT_EQ(Forward(fixture.store(), options), expected) << testing::PrintToString(prefix);
    EXPECT_EQ(Backward(fixture.store(), options), expected) << testing::PrintToString(prefix);
    options.lower_bound = "a\xff";  // combines
    std::erase_if(expected, [](const std::string& key) { return key < "a\xff"; });
    EXPECT_EQ(Forward(fixture.store(), options), expected) << testing::PrintToString(prefix);
  }
}

TEST(CursorTest, SeekForPrev) {
  PoolFixture fixture;
  for (int i = 0; i < 300; i++) ASSERT_OK(fixture.store().Put(Number(2 * i), "v"));
  const auto it = fixture.store().NewIterator();
  for (int i = -1; i < 605; i++) {
    it->SeekForPrev(Number(i));
    ASSERT_EQ(it->Valid(), i >= 0);
    if (i >= 0) {
      EXPECT_EQ(it->key(), Number(std::min(598, i - i % 2)));
    }
    it->Seek(Number(i));
    ASSERT_EQ(it->Valid(), i <= 598);
    if (i <= 598) {
      EXPECT_EQ(it->key(), Number(std::max(0, i + (i % 2 != 0 ? 1 : 0))));
    }
  }
  ASSERT_OK(fixture.store().Put(std::string(kKeySizeMax, '\xff'), "the last key there can be"));
  const auto later = fixture.store().NewIterator();
  later->SeekToLast();
  ASSERT_TRUE(later->Valid());
  EXPECT_EQ(later->key().size(), kKeySizeMax);
}

TEST(CursorTest, TurningAroundAnywhere) {
  PoolFixture fixture;
  constexpr int kN = 400;
  for (int i = 0; i < kN; i++) ASSERT_OK(fixture.store().Put(Number(i), std::string(60, 'v')));
  const auto it = fixture.store().NewIterator();
  it->SeekToFirst();
  for (int i = 0; i + 1 < kN; i++) {  // two forward, one back
    ASSERT_TRUE(it->Valid());
    ASSERT_EQ(it->key(), Number(i));
    it->Next();
    ASSERT_TRUE(it->Valid());
    ASSERT_EQ(it->key(), Number(i + 1));
    it->Prev();
    ASSERT_EQ(it->key(), Number(i));
    it->Next();
  }
  it->Next();
  EXPECT_FALSE(it->Valid());
  it->SeekToFirst();
  it->Prev();
  EXPECT_FALSE(it->Valid());
  EXPECT_OK(it->status());
}

TEST(CursorTest, EmptyLeavesInTheMiddle) {
  PoolFixture fixture;
  constexpr int kN = 3000;
  for (int i = 0; i < kN; i++) ASSERT_OK(fixture.store().Put(Number(i), std::string(60, 'v')));
  std::vector<std::string> left;
  for (int i = 0; i < kN; i++) {
    if (i % 997 == 5) {
      left.push_back(Number(i));
    } else {
      ASSERT_OK(fixture.store().Delete(Number(i)));
    }
  }
  EXPECT_EQ(Forward(fixture.store()), left);
  EXPECT_EQ(Backward(fixture.store()), left);
  EXPECT_EQ(Problems(fixture.pool()), "");
}

// A leaf is seen at one moment: what stands under the iterator stays, whatever is written beside.
TEST(CursorTest, WritesBesideAWalk) {
  PoolFixture fixture;
  constexpr int kN = 2000;
  for (int i = 0; i < kN; i++) ASSERT_OK(fixture.store().Put(Number(i), "before"));
  const auto it = fixture.store().NewIterator();
  int seen = 0;
  for (it->SeekToFirst(); it->Valid(); it->Next(), seen++) {
    ASSERT_EQ(it->key(), Number(seen));
    ASSERT_EQ(it->value(), "before");
    const std::string key(it->key());
    // Behind the iterator, and under it: enough to rewrite its leaf many times over.
    ASSERT_OK(fixture.store().Delete(key));
    ASSERT_OK(fixture.store().Put(key + "x", std::string(100, 'y')));
    if (seen > 50) {
      ASSERT_OK(fixture.store().Put(Number(seen - 50), "after"));
    }
    ASSERT_EQ(it->key(), key);
    ASSERT_EQ(it->value(), "before");
    while (true) {  // pass over what was put in front of it
      auto peek = fixture.store().NewIterator();
      peek->Seek(key + "x");
      if (!peek->Valid() || peek->key() != key + "x") break;
      ASSERT_OK(fixture.store().Delete(key + "x"));
    }
  }
  EXPECT_OK(it->status());
  EXPECT_EQ(seen, kN);
}

// A scan hashes a leaf's base as a whole: its length comes from the medium, long after it was
// checked.
TEST(CursorTest, ABaseLengthDamagedWhileMounted) {
  PoolFixture fixture;
  constexpr int kN = 1000;
  for (int i = 0; i < kN; i++) ASSERT_OK(fixture.store().Put(Number(i), std::string(60, 'v')));
  auto pinned = fixture.store().GetPinned(Number(kN / 2));
  ASSERT_OK(pinned);
  const auto* const value = reinterpret_cast<const std::byte*>(pinned->view().data());
  const auto leaf = static_cast<uint64_t>(value - fixture.map().base()) & ~(kFrameSize - 1);
  const uint64_t place = leaf + offsetof(NodeHeader, base_end);
  const auto before = ReadStruct<uint16_t>(fixture.path(), place);
  for (const uint16_t length : {uint16_t{0}, uint16_t{4}, uint16_t{0xffff}}) {
    WriteStruct(fixture.path(), place, length);
    const auto it = fixture.store().NewIterator();
    int seen = 0;
    for (it->SeekToFirst(); it->Valid(); it->Next(), seen++) ASSERT_EQ(it->key(), Number(seen));
    if (seen < kN) {
      EXPECT_CODE(it->status(), Code::kCorruption);
    }
  }
  WriteStruct(fixture.path(), place, before);
  EXPECT_EQ(Forward(fixture.store()).size(), size_t{kN});
}

// The walk finds its next leaf by the parent it came from. Here that is replaced all the time, by
// splits some leaves ahead, and its frame is soon another node's.
class WalkBesideSplits : public testing::TestWithParam<bool> {};

TEST_P(WalkBesideSplits, SeesWhatWasThereWhenItBegan) {
  const bool forward = GetParam();
  constexpr int kN = 6000;
  constexpr int kAhead = 200;  // a leaf has some 30
  PoolFixture fixture;
  for (int i = 0; i < kN; i++) ASSERT_OK(fixture.store().Put(Number(i), std::string(60, 'v')));
  const uint64_t splits = fixture.pool().GetStatistics().splits;
  int seen = 0;
  const auto it = fixture.store().NewIterator();
  for (forward ? it->SeekToFirst() : it->SeekToLast(); it->Valid();
       forward ? it->Next() : it->Prev()) {
    const int i = forward ? seen : kN - 1 - seen;
    ASSERT_EQ(it->key(), Number(i));
    seen++;
    const int there = forward ? i + kAhead : i - kAhead;
    if (i % 5 != 0 || there < 0 || there >= kN) continue;
    for (const char* more : {"-a", "-b", "-c", "-d"}) {
      ASSERT_OK(fixture.store().Put(Number(there) + more, std::string(100, 'w')));
    }
    fixture.map().limbo().Reclaim();
  }
  EXPECT_OK(it->status());
  EXPECT_EQ(seen, kN);
  EXPECT_GT(fixture.pool().GetStatistics().splits, splits + 100);
  EXPECT_GT(Forward(fixture.store()).size(), kN + kN / 2u);
}

INSTANTIATE_TEST_SUITE_P(Directions, WalkBesideSplits, testing::Bool(),
                         [](const auto& info) { return info.param ? "Forward" : "Backward"; });

}  // namespace
}  // namespace tuff::test
