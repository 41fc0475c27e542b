// An input of a fuzzer that is a head and a list of entries of one size, and how libFuzzer changes
// it.
//
// Thread-safety: none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "tests/test_util.h"

namespace tuff::test {

/// Mostly small: most numbers of an input name something that is there.
inline uint64_t SmallNumber(Random& random) {
  return random.Below(uint64_t{1} << random.Below(10));
}

template <typename Head, typename Entry>
struct ListInput {
  Head head{};
  std::vector<Entry> entries;

  /// What is missing is 0; what is too much is left out.
  static ListInput Read(std::span<const uint8_t> bytes, size_t entries_max) {
    ListInput input;
    const size_t head_bytes = std::min(bytes.size(), sizeof input.head);
    if (head_bytes > 0) std::memcpy(&input.head, bytes.data(), head_bytes);
    bytes = bytes.subspan(head_bytes);
    input.entries.resize(std::min(bytes.size() / sizeof(Entry), entries_max));
    if (!input.entries.empty()) {
      std::memcpy(input.entries.data(), bytes.data(), input.entries.size() * sizeof(Entry));
    }
    return input;
  }

  size_t Write(uint8_t* to, size_t size_max) const {
    if (size_max < sizeof head) return 0;
    std::memcpy(to, &head, sizeof head);
    const size_t n = std::min(entries.size(), (size_max - sizeof head) / sizeof(Entry));
    if (n > 0) std::memcpy(to + sizeof head, entries.data(), n * sizeof(Entry));
    return sizeof head + n * sizeof(Entry);
  }

  /// A few changes. `any()` makes an entry, `change(entry)` changes something of one.
  template <typename Any, typename Change>
  void Mutate(Random& random, size_t entries_max, const Any& any, const Change& change) {
    do {
      if (random.OneIn(8)) {
        reinterpret_cast<uint8_t*>(&head)[random.Below(sizeof head)] =
            static_cast<uint8_t>(random.Next());
      } else {
        MutateEntries(random, entries_max, any, change);
      }
    } while (random.OneIn(2));
  }

  /// A part of `other` goes somewhere into the list.
  void Cross(Random& random, const ListInput& other, size_t entries_max) {
    if (other.entries.empty()) return;
    const size_t from = random.Below(other.entries.size());
    const size_t n = 1 + random.Below(other.entries.size() - from);
    const auto first = other.entries.begin() + static_cast<ptrdiff_t>(from);
    entries.insert(entries.begin() + static_cast<ptrdiff_t>(random.Below(entries.size() + 1)),
                   first, first + static_cast<ptrdiff_t>(n));
    entries.resize(std::min(entries.size(), entries_max));
  }

 private:
  template <typename Any, typename Change>
  void MutateEntries(Random& random, size_t entries_max, const Any& any, const Change& change) {
    const size_t at = entries.empty() ? 0 : random.Below(entries.size());
    const auto place = entries.begin() + static_cast<ptrdiff_t>(at);
    const uint64_t what = entries.empty() ? 0 : random.Below(8);
    if (what < 2) {
      entries.insert(place, any());
    } else if (what == 2) {
      entries.erase(place);
    } else if (what == 3) {
      Entry copy = *place;
      change(&copy);
      entries.insert(entries.begin() + static_cast<ptrdiff_t>(random.Below(entries.size())), copy);
    } else if (what == 4) {
      *place = any();
    } else {
      change(&*place);
    }
    entries.resize(std::min(entries.size(), entries_max));
  }
};

/// What LLVMFuzzerCustomMutator does with inputs of at most `entries_max` entries.
template <typename Input, typename Any, typename Change>
size_t MutateInput(uint8_t* data, size_t size, size_t size_max, Random& random, size_t entries_max,
                   const Any& any, const Change& change) {
  Input input = Input::Read({data, size}, entries_max);
  input.Mutate(random, entries_max, any, change);
  return input.Write(data, size_max);
}

/// What LLVMFuzzerCustomCrossOver does with them.
template <typename Input>
size_t CrossInputs(std::span<const uint8_t> a, std::span<const uint8_t> b, std::span<uint8_t> out,
                   unsigned seed, size_t entries_max) {
  Random random(seed);
  Input input = Input::Read(a, entries_max);
  input.Cross(random, Input::Read(b, entries_max), entries_max);
  return input.Write(out.data(), out.size());
}

}  // namespace tuff::test
