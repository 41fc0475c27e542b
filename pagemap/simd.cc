#include "pagemap/simd.h"

#include <immintrin.h>

namespace tuff {
namespace {

size_t CountLessPlain(const uint64_t* words, size_t n, uint64_t x) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += words[i] < x ? 1 : 0;
  return count;
}

__attribute__((target("avx2"))) size_t CountLessAvx2(const uint64_t* words, size_t n, uint64_t x) {
  // AVX2 compares signed: shift both sides by 2^63.
  const __m256i bias = _mm256_set1_epi64x(INT64_MIN);
  const __m256i wanted = _mm256_xor_si256(_mm256_set1_epi64x(static_cast<int64_t>(x)), bias);
  __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                     _mm256_setzero_si256()};
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int k = 0; k < 4; k++) {
      const __m256i v = _mm256_xor_si256(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + i + 4 * k)), bias);
      sums[k] = _mm256_sub_epi64(sums[k], _mm256_cmpgt_epi64(wanted, v));
    }
  }
  for (; i + 4 <= n; i += 4) {
    const __m256i v =
        _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + i)), bias);
    sums[0] = _mm256_sub_epi64(sums[0], _mm256_cmpgt_epi64(wanted, v));
  }
  const __m256i sum =
      _mm256_add_epi64(_mm256_add_epi64(sums[0], sums[1]), _mm256_add_epi64(sums[2], sums[3]));
  alignas(32) uint64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sum);
  size_t count = lanes[0] + lanes[1] + lanes[2] + lanes[3];
  for (; i < n; i++) count += words[i] < x ? 1 : 0;
  return count;
}

using CountLessFn = size_t (*)(const uint64_t*, size_t, uint64_t);
const CountLessFn count_less = __builtin_cpu_supports("avx2") ? CountLessAvx2 : CountLessPlain;

}  // namespace

size_t CountLess(const uint64_t* words, size_t n, uint64_t x) { return count_less(words, n, x); }

}  // namespace tuff
