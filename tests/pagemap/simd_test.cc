#include "pagemap/simd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/test_util.h"

namespace tuff {
namespace {

TEST(SimdTest, CountLessAgreesWithALoop) {
  test::Random random(1);
  for (size_t n = 0; n <= 70; n++) {
    for (int round = 0; round < 50; round++) {
      std::vector<uint64_t> words(n);
      for (uint64_t& word : words) {
        word = round % 3 == 0 ? random.Next() : round % 3 == 1 ? random.Below(4) : ~random.Below(4);
      }
      const uint64_t wanted[] = {0, 1, 2, ~0ull, ~1ull, 1ull << 63, random.Next()};
      for (const uint64_t x : wanted) {
        size_t expected = 0;
        for (const uint64_t word : words) expected += word < x ? 1 : 0;
        ASSERT_EQ(CountLess(words.data(), n, x), expected) << n;
      }
      std::sort(words.begin(), words.end());
      for (const uint64_t x : wanted) {
        ASSERT_EQ(CountLessSorted(words.data(), n, x), CountLess(words.data(), n, x)) << n;
      }
    }
  }
}

TEST(SimdTest, AnyMatchVisitsAllMatchesInOrder) {
  test::Random random(2);
  for (size_t n = 0; n <= 70; n++) {
    std::vector<uint8_t> bytes(n);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.Below(3));
    std::vector<size_t> expected;
    for (size_t i = 0; i < n; i++) {
      if (bytes[i] == 1) expected.push_back(i);
    }
    std::vector<size_t> seen;
    EXPECT_FALSE(AnyMatch(bytes.data(), n, 1, [&](size_t i) {
      seen.push_back(i);
      return false;
    }));
    EXPECT_EQ(seen, expected);
    seen.clear();
    EXPECT_EQ(AnyMatch(bytes.data(), n, 1, [&](size_t i) { return seen.push_back(i), true; }),
              !expected.empty());
    EXPECT_EQ(seen.size(), expected.empty() ? 0u : 1u);
  }
}

}  // namespace
}  // namespace tuff
