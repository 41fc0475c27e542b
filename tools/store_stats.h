// StoreStats: what a walk over a store finds.
// Thread-safety: none.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "tuff/options.h"

namespace tuff::tools {

/// Smallest, largest and sum of some sizes.
struct SizeRange {
  uint64_t smallest = 0;
  uint64_t largest = 0;
  uint64_t total = 0;

  void Add(uint64_t size, bool first) {
    if (first || size < smallest) smallest = size;
    if (size > largest) largest = size;
    total += size;
  }
};

struct StoreStats {
  std::string store;
  uint64_t records = 0;
  SizeRange keys;
  SizeRange values;
  std::string first_key;
  std::string last_key;
  /// [i]: records of which key and value together have at most 2^i bytes, and more than half that.
  std::array<uint64_t, std::bit_width(kRecordSizeMax)> sizes{};

  void Add(std::string_view key, std::string_view value) {
    keys.Add(key.size(), records == 0);
    values.Add(value.size(), records == 0);
    if (records == 0) first_key = key;
    last_key = key;
    ++sizes[std::bit_width(key.size() + value.size() - 1)];
    ++records;
  }
  uint64_t bytes() const { return keys.total + values.total; }
};

}  // namespace tuff::tools
