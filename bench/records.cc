#include "records.h"

#include <algorithm>
#include <cmath>

namespace tuff::bench {

Records::Records(size_t key_bytes, size_t value_bytes)
    : key_bytes_(key_bytes), value_bytes_(value_bytes) {
  const size_t value_max = std::max(value_bytes, kMixedValueBytesMax);
  Random random(42);
  while (noise_.size() < kOffsets * sizeof(uint64_t) + value_max) {
    const uint64_t word = random.Next();
    noise_.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
}

size_t Records::MixedBytes(uint64_t i) {
  const double unit = Random(i ^ 0x6d69786564).Unit();
  const double span = static_cast<double>(kMixedValueBytesMax) / kMixedValueBytesMin;
  return static_cast<size_t>(kMixedValueBytesMin * std::pow(span, unit));
}

uint64_t Records::LogicalBytes(uint64_t first, uint64_t end) const {
  if (end <= first) return 0;
  if (!mixed()) return (end - first) * (key_bytes_ + value_bytes_);
  uint64_t sum = 0;
  for (uint64_t i = first; i < end; i++) sum += key_bytes_ + MixedBytes(i);
  return sum;
}

Zipfian::Zipfian(uint64_t n) : n_(n) {
  for (uint64_t i = 1; i <= n; i++) zeta_ += 1 / std::pow(static_cast<double>(i), kTheta);
  second_ = std::pow(0.5, kTheta);
  const double zeta_of_two = 1 + second_;
  alpha_ = 1 / (1 - kTheta);
  eta_ = (1 - std::pow(2.0 / static_cast<double>(n), 1 - kTheta)) / (1 - zeta_of_two / zeta_);
}

uint64_t Zipfian::Rank(Random& random) const {
  const double u = random.Unit();
  const double uz = u * zeta_;
  if (uz < 1) return 0;
  if (uz < 1 + second_) return 1;
  const double rank = static_cast<double>(n_) * std::pow(eta_ * u - eta_ + 1, alpha_);
  return std::min(n_ - 1, static_cast<uint64_t>(rank));
}

}  // namespace tuff::bench
