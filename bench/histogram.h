// Histogram: latencies in buckets that are at most 0.8 % wide, of a size that does not grow.
// Thread-safety: none; one for each thread, then Merge.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace tuff::bench {

class Histogram {
 public:
  void Add(uint64_t ns) {
    counts_[BucketOf(ns)]++;
    total_++;
  }
  void Merge(const Histogram& other) {
    for (size_t i = 0; i < counts_.size(); i++) counts_[i] += other.counts_[i];
    total_ += other.total_;
  }
  uint64_t total() const { return total_; }

  /// The latency that the share `p` of all do not exceed; 0 if there are none.
  double PercentileUs(double p) const {
    const auto wanted = static_cast<uint64_t>(p * static_cast<double>(total_));
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); i++) {
      seen += counts_[i];
      if (seen > wanted) return static_cast<double>(LowestOf(i)) / 1000;
    }
    return 0;
  }

 private:
  static constexpr unsigned kBits = 7;  // of precision
  static constexpr uint64_t kNsMax = (1ull << 36) - 1;

  static size_t BucketOf(uint64_t ns) {
    if (ns > kNsMax) ns = kNsMax;
    const unsigned width = static_cast<unsigned>(std::bit_width(ns));
    const unsigned shift = width > kBits + 1 ? width - kBits - 1 : 0;
    return (static_cast<size_t>(shift) << kBits) + (ns >> shift);
  }
  static uint64_t LowestOf(size_t bucket) {
    if (bucket < 2ull << kBits) return bucket;
    const size_t shift = (bucket >> kBits) - 1;
    return (bucket - (shift << kBits)) << shift;
  }

  std::vector<uint64_t> counts_ = std::vector<uint64_t>(BucketOf(kNsMax) + 1);
  uint64_t total_ = 0;
};

}  // namespace tuff::bench
