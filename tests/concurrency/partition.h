// Partition: one thread's own keys in a store that many use, with what they should hold. What it
// reads of its own keys must be exact; what it reads of others' must be whole.
//
// Thread-safety: one thread at a time.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "tests/test_util.h"
#include "tuff/tuff.h"

namespace tuff::test {

class Partition {
 public:
  Partition(Store& store, size_t number, size_t keys, uint64_t seed, size_t value_bytes_max = 300)
      : store_(store),
        prefix_("t" + std::to_string(1000 + number) + "/"),
        keys_(keys),
        value_bytes_max_(value_bytes_max),
        random_(seed * 7919 + number) {}

  /// One operation, of any kind. Put may fail for want of space if `full_is_fine`.
  void Act(bool full_is_fine = false);
  void Put(bool full_is_fine = false);
  void Delete();
  /// Removes `n` of its keys, which must not fail.
  void DeleteSome(size_t n);
  /// The store holds of this partition what it should.
  void Check();
  void LetPinsGo();
  size_t size() const { return oracle_.size(); }
  uint64_t full() const { return full_; }

 private:
  struct Held {
    PinnedValue pin;
    std::string expected;
  };

  std::string Key() {  // between others' keys of the same number
    return std::to_string(random_.Below(keys_)) + prefix_;
  }
  std::string Value(const std::string& key);
  void Get();
  void Hold();
  void GetOthers();
  void Walk();
  static void ExpectWhole(std::string_view key, std::string_view value);

  Store& store_;
  const std::string prefix_;
  const size_t keys_;
  const size_t value_bytes_max_;
  Random random_;
  uint64_t serial_ = 0;
  uint64_t full_ = 0;
  std::map<std::string, std::string> oracle_;
  std::deque<Held> held_;
};

}  // namespace tuff::test
