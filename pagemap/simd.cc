#include "pagemap/simd.h"

#include <immintrin.h>

namespace tuff {
namespace {

size_t CountLessPlain(const uint64_t* words, size_t n, uint64_t x) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += words[i] < x ? 1 : 0;
  return count;
}

// Adds to each lane of `sum` whether its word is below the biased `wanted`. AVX2 compares signed:
// both sides are shifted by 2^63.
#define TUFF_COUNT_LESS_4(sum, at) \
  sum = _mm256_sub_epi64(          \
      sum, _mm256_cmpgt_epi64(     \
               wanted,             \
               _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)), bias)))

__attribute__((target("avx2"))) size_t CountLessAvx2(const uint64_t* words, size_t n, uint64_t x) {
  const __m256i bias = _mm256_set1_epi64x(INT64_MIN);
  const __m256i wanted = _mm256_xor_si256(_mm256_set1_epi64x(static_cast<int64_t>(x)), bias);
  __m256i sum0 = _mm256_setzero_si256();
  __m256i sum1 = sum0;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    TUFF_COUNT_LESS_4(sum0, words + i);
    TUFF_COUNT_LESS_4(sum1, words + i + 4);
    TUFF_COUNT_LESS_4(sum0, words + i + 8);
    TUFF_COUNT_LESS_4(sum1, words + i + 12);
  }
  for (; i + 4 <= n; i += 4) TUFF_COUNT_LESS_4(sum0, words + i);
  sum0 = _mm256_add_epi64(sum0, sum1);
  const __m128i halves =
      _mm_add_epi64(_mm256_castsi256_si128(sum0), _mm256_extracti128_si256(sum0, 1));
  auto count = static_cast<size_t>(_mm_cvtsi128_si64(halves) + _mm_extract_epi64(halves, 1));
  for (; i < n; i++) count += words[i] < x ? 1 : 0;
  return count;
}
#undef TUFF_COUNT_LESS_4

using CountLessFn = size_t (*)(const uint64_t*, size_t, uint64_t);
const CountLessFn count_less = __builtin_cpu_supports("avx2") ? CountLessAvx2 : CountLessPlain;

}  // namespace

size_t CountLess(const uint64_t* words, size_t n, uint64_t x) { return count_less(words, n, x); }

}  // namespace tuff
