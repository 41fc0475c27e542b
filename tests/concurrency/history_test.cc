// The checker itself: it must find what is illegal, and nothing else.
#include "tests/concurrency/history.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/test_util.h"

namespace tuff::test {
namespace {

using Kind = Op::Kind;

Op Make(Kind kind, const std::string& value, uint64_t invoked, uint64_t returned) {
  return {kind, "k", value, invoked, returned, "t"};
}

TEST(History, LegalHistoriesPass) {
  EXPECT_TRUE(IsLinearizable({}));
  EXPECT_TRUE(IsLinearizable({Make(Kind::kMiss, "", 1, 2)}));
  EXPECT_TRUE(IsLinearizable({Make(Kind::kPut, "a", 1, 2), Make(Kind::kGet, "a", 3, 4),
                              Make(Kind::kDelete, "", 5, 6), Make(Kind::kMiss, "", 7, 8)}));
}

TEST(History, ConcurrentOperationsMayGoEitherWay) {
  const Op old_put = Make(Kind::kPut, "old", 1, 2);
  const Op put = Make(Kind::kPut, "new", 3, 10);
  EXPECT_TRUE(IsLinearizable({old_put, put, Make(Kind::kGet, "old", 4, 5)}));
  EXPECT_TRUE(IsLinearizable({old_put, put, Make(Kind::kGet, "new", 4, 5)}));
  EXPECT_TRUE(
      IsLinearizable({old_put, put, Make(Kind::kGet, "old", 4, 5), Make(Kind::kGet, "new", 6, 7)}));
}

TEST(History, LostWriteIsFound) {
  EXPECT_FALSE(IsLinearizable({Make(Kind::kPut, "a", 1, 2), Make(Kind::kMiss, "", 3, 4)}));
  EXPECT_FALSE(IsLinearizable(
      {Make(Kind::kPut, "a", 1, 2), Make(Kind::kPut, "b", 3, 4), Make(Kind::kGet, "a", 5, 6)}));
}

TEST(History, ReadThatGoesBackIsFound) {
  EXPECT_FALSE(IsLinearizable({Make(Kind::kPut, "old", 1, 2), Make(Kind::kPut, "new", 3, 10),
                               Make(Kind::kGet, "new", 4, 5), Make(Kind::kGet, "old", 6, 7)}));
}

TEST(History, ReadFromNowhereIsFound) {
  EXPECT_FALSE(IsLinearizable({Make(Kind::kGet, "a", 1, 2)}));
  EXPECT_FALSE(IsLinearizable({Make(Kind::kGet, "a", 1, 2), Make(Kind::kPut, "a", 3, 4)}));
}

TEST(History, DeletedTwiceIsFound) {
  EXPECT_FALSE(IsLinearizable(
      {Make(Kind::kPut, "a", 1, 2), Make(Kind::kDelete, "", 3, 6), Make(Kind::kDelete, "", 4, 5)}));
  EXPECT_TRUE(IsLinearizable(
      {Make(Kind::kPut, "a", 1, 2), Make(Kind::kDelete, "", 3, 6), Make(Kind::kMiss, "", 4, 5)}));
}

TEST(History, ResurrectionIsFound) {
  EXPECT_FALSE(IsLinearizable(
      {Make(Kind::kPut, "a", 1, 2), Make(Kind::kDelete, "", 3, 4), Make(Kind::kGet, "a", 5, 6)}));
}

TEST(History, TwoReadersMustAgreeOnAnOrder) {
  const std::vector<Op> writes = {Make(Kind::kPut, "a", 1, 20), Make(Kind::kPut, "b", 2, 21)};
  std::vector<Op> ops = writes;
  for (const auto& [value, at] :
       std::vector<std::pair<std::string, uint64_t>>{{"a", 3}, {"b", 5}, {"a", 7}}) {
    ops.push_back(Make(Kind::kGet, value, at, at + 1));
  }
  EXPECT_FALSE(IsLinearizable(ops));
}

TEST(History, KeysAreCheckedOneByOne) {
  Op put = Make(Kind::kPut, "a", 1, 2);
  Op get = Make(Kind::kGet, "a", 3, 4);
  EXPECT_EQ(FindViolation({put, get}), std::nullopt);
  get.key = "other";
  EXPECT_NE(FindViolation({put, get}), std::nullopt);
}

// A register that is run through at random times by many clients is linearizable; with one read
// turned stale by more than anything that overlaps it, it is not.
TEST(History, LongHistoriesAreDecided) {
  for (uint64_t seed = 1; seed <= (kSanitized ? 1 : 20); seed++) {
    Random random(seed);
    std::vector<Op> ops;
    std::string state;
    for (uint64_t i = 1; i <= 400; i++) {
      Op op = Make(Kind::kPut, std::to_string(i), 0, 0);
      // It takes effect at 100 * i; the interval around that overlaps some others'.
      op.invoked = 100 * i - random.Below(std::min<uint64_t>(350, 100 * i));
      op.returned = 100 * i + 1 + random.Below(350);
      if (random.OneIn(2)) {
        op.kind = state.empty() ? Kind::kMiss : Kind::kGet;
        op.value = state;
      } else {
        state = op.value;
      }
      ops.push_back(op);
    }
    EXPECT_TRUE(IsLinearizable(ops)) << seed;
    ops.push_back(Make(Kind::kGet, state == "1" ? "0" : "1", 50000, 50001));
    EXPECT_FALSE(IsLinearizable(ops)) << seed;
  }
}

}  // namespace
}  // namespace tuff::test
