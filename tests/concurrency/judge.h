// What all forced interleavings have in common: where to stop, and whether the end is right.
//
// Thread-safety: none.
#pragma once

#include <memory>
#include <vector>

#include "tests/concurrency/scenario.h"
#include "tests/concurrency/scheduler.h"

namespace tuff::test {

/// Duels that are over. A pool's Close waits for a grace period, so many are closed at once.
class Graveyard {
 public:
  ~Graveyard() { Close(); }
  /// REQUIRES: no scheduler is alive.
  void Bury(std::unique_ptr<Duel> duel);

 private:
  void Close();
  std::vector<std::unique_ptr<Duel>> duels_;
};

/// The steps that A passes when it is alone, the first two passings of each, as places to stop at.
/// `*has_effect`: A's counter has moved.
std::vector<At> StopsOf(What a, What b, Where where, Graveyard* graveyard, bool* has_effect);

/// Reads all that anybody may have touched; fails the test if all of it together is no history of
/// a map, or the pool is not sound.
void Judge(Duel& duel, const std::vector<const Client*>& clients);

}  // namespace tuff::test
