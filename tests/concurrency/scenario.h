// Scenario: what one side of a forced interleaving does, and the state it does it in.
//
// A scenario is a shape of tree, a preparation, and one action. Where the action should have an
// effect on the structure (a split, say), how far the preparation must go is found out once, by
// playing it on a scratch pool until the counter moves; everything is deterministic.
// Thread-safety: none; actions run in any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/concurrency/arena.h"

namespace tuff::test {

enum class What {
  kAppend,
  kOverwrite,
  kDelete,
  kConsolidate,
  kSplit,
  kMerge,
  kRootGrowth,
  kRootShrink,
  kGet,
  kGetPinned,
  kForward,
  kBackward,
  kReuse,
  kFirstTouch,
};
inline constexpr What kAllWhats[] = {
    What::kAppend,  What::kOverwrite,  What::kDelete,     What::kConsolidate, What::kSplit,
    What::kMerge,   What::kRootGrowth, What::kRootShrink, What::kGet,         What::kGetPinned,
    What::kForward, What::kBackward,   What::kReuse,      What::kFirstTouch,
};
const char* NameOf(What what);
/// The counter that tells that it happened; nullopt if there is none.
std::optional<Counter> CounterOf(What what);

/// Where B's leaf lies: A's own, or the one right of it.
enum class Where { kSameLeaf, kNextLeaf };

/// One prepared duel: a pool, and two actions to be run by two threads.
class Duel {
 public:
  using Act = std::function<void(Client&)>;

  Duel(What a, What b, Where where);

  Arena& arena() { return *arena_; }
  void ActA(Client& client) { act_a_(client); }
  void ActB(Client& client) { act_b_(client); }
  /// A third side, in a leaf of its own if there is one. To be prepared before the others act.
  Act MakeThird(What what);
  /// What was done before, and the keys there were.
  const History& before() const { return before_.log(); }
  const std::set<std::string>& keys() const { return keys_; }

 private:
  struct Move {
    bool is_delete = false;
    std::string key;
    std::string value;
  };

  void MakeShape(What a);
  void Put(const std::string& key, const std::string& value);
  std::vector<Move> MovesOf(What what, const std::string& base, const std::string& tag);
  /// Prepares one side; `moves` of its moves are made, the next is its action.
  Act Prepare(What what, const std::string& base, const std::string& tag, size_t moves);
  /// Makes moves until the counter moves: how many come before that one.
  size_t PlayUntil(What what, const std::string& base, const std::string& tag);
  void Make(const Move& move, Client& client);
  std::string Base(Where where);

  // How many moves come before the one that counts.
  struct Trigger {
    size_t a = 0;
    size_t b = 0;
  };
  enum class Stage { kFindB, kFindA, kReady };
  static Trigger* FindTrigger(What a, What b, Where where);
  Duel(What a, What b, Where where, Stage stage, Trigger* trigger);

  std::unique_ptr<Arena> arena_;
  Client before_;
  std::set<std::string> keys_;
  Act act_a_;
  Act act_b_;
};

}  // namespace tuff::test
