// Serial: who read and wrote which versions and when; and a check that it could have happened one
// after the other, in an order that agrees with real time (strict serializability).
//
// Every write makes a version of its own, so it is known from whom each read comes. From that, from
// real time, and from two rules an order is derived until nothing new follows:
//   whoever wrote the key before R, but is not the one W that R read from, comes before W;
//   whoever wrote the key after W comes after R as well.
// A cycle is a violation. Where all writers of a key read it first this finds every violation;
// blind writes are placed only as far as somebody's reading tells (see "Elle", Kingsbury and Alvaro
// 2020, and Biswas and Enea 2019).
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tuff::test {

/// Version 0 of every key is there at the start.
using KeyVersions = std::map<std::string, uint64_t>;

/// One committed operation: what it read that was not its own, and what it wrote.
struct Event {
  std::string who;
  uint64_t invoked = 0;
  uint64_t returned = 0;
  KeyVersions reads;
  KeyVersions writes;
  std::string ToString() const;
};

/// nullopt if the rules find no cycle; else what is wrong.
std::optional<std::string> FindCycle(const std::vector<Event>& events);

}  // namespace tuff::test
