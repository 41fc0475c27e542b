// KeyRanks: other keys for an object's keys, of the same lengths and in the same order.
//
// Where keys part, the bytes that follow are numbered in their order, from 0 on: "ada", "adele",
// "bob" become 00 00 00, 00 00 01 00 00, 01 00 00. So lengths, order and common prefixes stay, and
// a tree of such keys is as sound as the old one. Bytes themselves show only where nearly all 256
// values occur side by side.
// Memory: twice the keys. Thread-safety: none while keys are added.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tuff {

class KeyRanks {
 public:
  void Add(std::string_view key) {
    if (!key.empty()) keys_.emplace_back(key);
  }
  /// After the last Add.
  void Number();
  /// The key instead of `key`; zeros if that was not added. REQUIRES: Number was called.
  std::string Of(std::string_view key) const;

 private:
  std::vector<std::string> keys_;
  std::vector<std::string> ranks_;
};

}  // namespace tuff
