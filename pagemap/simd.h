// Searches that look at all candidates at once instead of one after the other.
//
// Memory-parallel: every line is loaded independently, so a node costs one cache miss's time, not
// one for each step of a binary search. What the CPU has is found out at run time.
// Thread-safety: pure functions.
#pragma once

#include <emmintrin.h>

#include <bit>
#include <cstddef>
#include <cstdint>

namespace tuff {

/// How many of the n words at `words` are below `x`. The words need not be sorted.
size_t CountLess(const uint64_t* words, size_t n, uint64_t x);

/// The same for sorted words: looks at every sixteenth, then at the sixteen where `x` falls. In
/// between it calls prefetch(i), with the first of the sixteen.
template <typename Prefetch>
inline size_t CountLessSorted(const uint64_t* words, size_t n, uint64_t x,
                              const Prefetch& prefetch) {
  constexpr size_t kStep = 16;
  size_t steps = 0;
  for (size_t i = kStep - 1; i < n; i += kStep) steps += words[i] < x ? 1 : 0;
  const size_t first = steps * kStep;
  prefetch(first);
  return first + CountLess(words + first, n - first < kStep ? n - first : kStep, x);
}

inline size_t CountLessSorted(const uint64_t* words, size_t n, uint64_t x) {
  return CountLessSorted(words, n, x, [](size_t) {});
}

/// Calls visit(i) for every i < n with bytes[i] == wanted, in order, until one returns true.
template <typename Visit>
inline bool AnyMatch(const uint8_t* bytes, size_t n, uint8_t wanted, const Visit& visit) {
  const __m128i pattern = _mm_set1_epi8(static_cast<char>(wanted));
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m128i chunk = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + i));
    auto mask = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(chunk, pattern)));
    for (; mask != 0; mask &= mask - 1) {
      if (visit(i + static_cast<size_t>(std::countr_zero(mask)))) return true;
    }
  }
  for (; i < n; i++) {
    if (bytes[i] == wanted && visit(i)) return true;
  }
  return false;
}

}  // namespace tuff
