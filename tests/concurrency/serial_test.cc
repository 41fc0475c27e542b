// The checker of serializability against histories of which one knows what they are.
#include "tests/concurrency/serial.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/test_util.h"

namespace tuff::test {
namespace {

// All at once, so that real time says nothing.
Event At(KeyVersions reads, KeyVersions writes, uint64_t invoked = 1, uint64_t returned = 100) {
  return {"T", invoked, returned, std::move(reads), std::move(writes)};
}

bool IsSerial(const std::vector<Event>& events) { return !FindCycle(events).has_value(); }

TEST(Serial, AcceptsWhatCouldHaveHappened) {
  EXPECT_TRUE(IsSerial({}));
  EXPECT_TRUE(IsSerial({At({{"x", 0}}, {})}));
  EXPECT_TRUE(IsSerial({At({{"x", 1}}, {{"x", 2}}), At({{"x", 0}}, {{"x", 1}})}));
  // Blind writes, in either order.
  EXPECT_TRUE(IsSerial({At({}, {{"x", 1}}), At({}, {{"x", 2}}), At({{"x", 1}}, {})}));
  // A batch that is seen whole, or not at all.
  EXPECT_TRUE(IsSerial(
      {At({}, {{"x", 1}, {"y", 2}}), At({{"x", 1}, {"y", 2}}, {}), At({{"x", 0}, {"y", 0}}, {})}));
  // Real time: the write has not returned when the read begins.
  EXPECT_TRUE(IsSerial({At({}, {{"x", 1}}, 1, 10), At({{"x", 0}}, {}, 9, 12)}));
}

TEST(Serial, FindsLostUpdate) {
  EXPECT_FALSE(IsSerial({At({{"x", 0}}, {{"x", 1}}), At({{"x", 0}}, {{"x", 2}})}));
}

TEST(Serial, FindsWriteSkew) {
  EXPECT_FALSE(
      IsSerial({At({{"x", 0}, {"y", 0}}, {{"x", 1}}), At({{"x", 0}, {"y", 0}}, {{"y", 2}})}));
}

TEST(Serial, FindsTornBatch) {
  EXPECT_FALSE(IsSerial({At({}, {{"x", 1}, {"y", 2}}), At({{"x", 1}, {"y", 0}}, {})}));
  EXPECT_FALSE(IsSerial({At({}, {{"x", 1}, {"y", 2}}), At({{"x", 0}, {"y", 2}}, {})}));
}

TEST(Serial, FindsStaleRead) {
  EXPECT_FALSE(IsSerial({At({}, {{"x", 1}}, 1, 10), At({{"x", 0}}, {}, 11, 12)}));
  EXPECT_FALSE(IsSerial(
      {At({}, {{"x", 1}}, 1, 10), At({}, {{"x", 2}}, 11, 20), At({{"x", 1}}, {}, 21, 30)}));
}

TEST(Serial, FindsReadOfTheFutureAndOfWhatWasNeverCommitted) {
  EXPECT_FALSE(IsSerial({At({}, {{"x", 1}}, 11, 20), At({{"x", 1}}, {}, 1, 10)}));
  EXPECT_FALSE(IsSerial({At({{"x", 7}}, {})}));
}

// Two readers that disagree on the order of two blind writes (long fork).
TEST(Serial, FindsLongFork) {
  EXPECT_FALSE(IsSerial({At({}, {{"x", 1}}), At({}, {{"y", 2}}), At({{"x", 1}, {"y", 0}}, {}),
                         At({{"x", 0}, {"y", 2}}, {})}));
}

// A reader sees two blind writes of one key in both orders.
TEST(Serial, FindsNonMonotonicReads) {
  EXPECT_FALSE(
      IsSerial({At({}, {{"x", 1}}, 1, 100), At({}, {{"x", 2}}, 1, 100), At({{"x", 1}}, {}, 10, 11),
                At({{"x", 2}}, {}, 12, 13), At({{"x", 1}}, {}, 14, 15)}));
}

// Read-only anomaly of snapshot isolation (Fekete, O'Neil and O'Neil 2004).
TEST(Serial, FindsReadOnlyAnomaly) {
  EXPECT_FALSE(IsSerial({At({{"y", 0}}, {{"y", 1}}, 10, 20), At({{"x", 0}, {"y", 1}}, {}, 21, 30),
                         At({{"x", 0}, {"y", 0}}, {{"x", 2}}, 1, 40)}));
}

// Played one after the other, with intervals that overlap; then one read is made wrong.
TEST(Serial, AgreesWithHistoriesMadeByPlaying) {
  Random random(5);
  size_t found = 0;
  size_t spoilt = 0;
  for (int round = 0; round < 100; round++) {
    KeyVersions now{{"a", 0}, {"b", 0}, {"c", 0}, {"d", 0}};
    std::vector<Event> events;
    for (uint64_t i = 1; i <= 40; i++) {
      Event event{"T",
                  10 * i - random.Below(10 * std::min<uint64_t>(i, 3)),
                  10 * i + 1 + random.Below(30),
                  {},
                  {}};
      for (auto& [key, version] : now) {
        const bool writes = random.OneIn(3);
        if (random.OneIn(2) || (writes && random.OneIn(2))) event.reads[key] = version;
        if (writes) event.writes[key] = 10 * i + (key[0] - 'a') + 1;
      }
      for (const auto& [key, version] : event.writes) now[key] = version;
      events.push_back(event);
    }
    const auto problem = FindCycle(events);
    EXPECT_FALSE(problem) << *problem;
    // Far in the past is wrong for certain.
    Event& last = events[35];
    const auto write = std::find_if(events.begin(), events.end(),
                                    [](const Event& e) { return e.writes.contains("a"); });
    last.reads["a"] = write->writes.at("a");
    const bool later = std::any_of(write + 1, events.begin() + 25,
                                   [](const Event& e) { return e.writes.contains("a"); });
    if (!later) continue;
    spoilt++;
    found += IsSerial(events) ? 0 : 1;
  }
  EXPECT_GT(spoilt, 50u);
  EXPECT_EQ(found, spoilt);
}

}  // namespace
}  // namespace tuff::test
