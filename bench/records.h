// Records: the keys and values that every engine stores, made from a record's number alone, and the
// random numbers that choose among them. All engines get the same bytes in the same order.
// Thread-safety: const functions from any thread; a Random is one thread's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tuff::bench {

/// SplitMix64 (Steele, Lea, Flood 2014).
inline uint64_t Scramble(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/// A sequence of random numbers: the same for the same seed.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(Scramble(seed)) {}
  uint64_t Next() { return Scramble(state_++); }
  /// 0 to n-1.
  uint64_t Below(uint64_t n) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * n) >> 64);
  }
  /// From 0 to below 1.
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

inline constexpr size_t kKeyBytes = 16;
inline constexpr size_t kKeyBytesSmall = 8;

/// The i-th key: 16 or 8 random-looking bytes, so that loading 0, 1, 2 … is loading in random
/// order.
class Key {
 public:
  explicit Key(uint64_t i, size_t bytes = kKeyBytes) : bytes_(bytes) {
    const uint64_t words[2] = {Scramble(i), Scramble(~i)};
    std::memcpy(buffer_, words, sizeof buffer_);
  }
  std::string_view view() const { return {buffer_, bytes_}; }

 private:
  char buffer_[kKeyBytes];
  size_t bytes_;
};

inline constexpr size_t kMixedValueBytesMin = 8;
inline constexpr size_t kMixedValueBytesMax = 16352;  // with its key, the largest that tuff takes

/// What the records of a cell look like.
class Records {
 public:
  /// `value_bytes` 0: mixed, log-uniform from kMixedValueBytesMin to kMixedValueBytesMax.
  Records(size_t key_bytes, size_t value_bytes);

  bool mixed() const { return value_bytes_ == 0; }
  class Key Key(uint64_t i) const {
    return bench::Key(i, key_bytes_);
  }
  size_t ValueBytes(uint64_t i) const { return value_bytes_ != 0 ? value_bytes_ : MixedBytes(i); }
  /// Bytes that do not compress; a different `salt` gives others, of the same number.
  std::string_view Value(uint64_t i, uint64_t salt) const {
    return std::string_view(noise_).substr(Scramble(i ^ (salt << 40)) % kOffsets * sizeof(uint64_t),
                                           ValueBytes(i));
  }
  /// Of keys and values of the records from `first` to `end`-1.
  uint64_t LogicalBytes(uint64_t first, uint64_t end) const;

 private:
  static constexpr size_t kOffsets = 16384;  // 128 KiB: stays in the cache
  static size_t MixedBytes(uint64_t i);

  const size_t key_bytes_;
  const size_t value_bytes_;
  std::string noise_;
};

/// Zipfian numbers after Gray et al., "Quickly generating billion-record synthetic databases",
/// SIGMOD 1994, as YCSB draws them.
class Zipfian {
 public:
  static constexpr double kTheta = 0.99;
  explicit Zipfian(uint64_t n);

  /// 0 (the most frequent) to n-1.
  uint64_t Rank(Random& random) const;
  /// 0 to n-1, the frequent ones scattered over them.
  uint64_t Scattered(Random& random) const { return Scramble(Rank(random)) % n_; }

 private:
  const uint64_t n_;
  double zeta_ = 0;
  double second_ = 0;  // weight of rank 1, that of rank 0 being 1
  double alpha_ = 0;
  double eta_ = 0;
};

}  // namespace tuff::bench
