#include "tests/concurrency/scenario.h"

#include <map>
#include <tuple>

namespace tuff::test {
namespace {

constexpr size_t kValueBytes = 100;
constexpr size_t kMovesMax = 80;

std::string Number(size_t i) {
  std::string text = std::to_string(i);
  return std::string(3 - text.size(), '0') + text;
}

std::string Value(const std::string& text) {
  return text + std::string(kValueBytes - text.size(), '.');
}

}  // namespace

const char* NameOf(What what) {
  static constexpr const char* kNames[] = {
      "append",      "overwrite", "delete",     "consolidate", "split",    "merge", "root growth",
      "root shrink", "get",       "pinned get", "forward",     "backward", "reuse", "first touch"};
  return kNames[static_cast<size_t>(what)];
}

std::optional<Counter> CounterOf(What what) {
  switch (what) {
    case What::kConsolidate:
      return Counter::kConsolidations;
    case What::kSplit:
      return Counter::kSplits;
    case What::kMerge:
      return Counter::kMerges;
    case What::kRootGrowth:
      return Counter::kRootGrowths;
    case What::kRootShrink:
      return Counter::kRootShrinks;
    case What::kFirstTouch:
      return Counter::kTailsBuilt;
    default:
      return std::nullopt;
  }
}

void Duel::Put(const std::string& key, const std::string& value) {
  before_.Put(key, value);
  keys_.insert(key);
}

void Duel::MakeShape(What a) {
  const bool one_leaf = a == What::kRootGrowth;
  const bool two_leaves = a == What::kRootShrink;
  for (size_t i = 0; i < 120; i++) {
    if (one_leaf && i == 8) break;
    if (two_leaves && arena_->Count(Counter::kSplits) == 1) break;
    Put("m" + Number(i), Value("base"));
  }
}

std::vector<Duel::Move> Duel::MovesOf(What what, const std::string& base, const std::string& tag) {
  std::vector<Move> moves;
  switch (what) {
    case What::kAppend:
      return {{false, base + tag + "append", Value(tag)}};
    case What::kOverwrite:
      return {{false, base, Value(tag)}};
    case What::kDelete:
      return {{true, base, ""}};
    case What::kConsolidate:
      for (size_t i = 0; i < kMovesMax; i++) {
        moves.push_back({false, base + tag + "log", Value(tag + Number(i))});
      }
      return moves;
    case What::kSplit:
    case What::kRootGrowth:
      for (size_t i = 0; i < kMovesMax; i++) {
        moves.push_back({false, base + tag + Number(i), Value(tag)});
      }
      return moves;
    case What::kMerge:
      // Of the leaf, and then of the next one: a full neighbour would not have it.
      for (const std::string& from : {base, arena_->LeafOf(base).high}) {
        if (from.empty()) continue;
        for (const std::string& key : arena_->LeafOf(from).keys) moves.push_back({true, key, ""});
      }
      return moves;
    case What::kRootShrink:
      for (const std::string& key : keys_) moves.push_back({true, key, ""});
      return moves;
    default:
      return moves;
  }
}

void Duel::Make(const Move& move, Client& client) {
  if (move.is_delete) {
    client.Delete(move.key);
  } else {
    client.Put(move.key, move.value);
  }
}

size_t Duel::PlayUntil(What what, const std::string& base, const std::string& tag) {
  const auto counter = CounterOf(what);
  const std::vector<Move> moves = MovesOf(what, base, tag);
  if (!counter || moves.empty()) return 0;
  const uint64_t before = arena_->Count(*counter);
  for (size_t i = 0; i < moves.size(); i++) {
    Make(moves[i], before_);
    if (arena_->Count(*counter) != before) return i;
  }
  return 0;  // not possible in this shape: the first move will do
}

Duel::Act Duel::Prepare(What what, const std::string& base, const std::string& tag, size_t done) {
  const std::vector<Move> moves = MovesOf(what, base, tag);
  for (size_t i = 0; i < done; i++) {
    Make(moves[i], before_);
    keys_.insert(moves[i].key);
  }
  switch (what) {
    case What::kGet:
      return [=](Client& client) {
        client.Get(base);
        client.Get(base);
      };
    case What::kGetPinned:
      return [=](Client& client) {
        client.GetPinned(base);
        client.GetPinned(base);
      };
    case What::kForward:
    case What::kBackward:
      return [=, this](Client& client) { client.Iterate(what == What::kForward, keys_); };
    case What::kReuse:
      // There is something in limbo when it begins, and what leaves limbo is used at once.
      for (size_t i = 0; i < 30; i++) Put(base + tag + "reuse", Value(Number(i)));
      return [=, this](Client& client) {
        for (size_t round = 0; round < 2; round++) {
          arena_->map().limbo().Reclaim();
          for (size_t i = 0; i < 14; i++) {
            client.Put(base + tag + "reuse", Value(tag + Number(100 * round + i)));
          }
        }
      };
    case What::kFirstTouch:
      return [=](Client& client) {
        client.Get(base);
        client.Put(base + tag + "first", Value(tag));
      };
    default:
      break;
  }
  const Move action = done < moves.size() ? moves[done] : Move{true, base, ""};
  return [=, this](Client& client) { Make(action, client); };
}

std::string Duel::Base(Where where) {
  const std::string base = keys_.size() > 60 ? "m060" : "m004";
  if (where == Where::kSameLeaf) return base;
  const std::string high = arena_->LeafOf(base).high;
  return high.empty() ? base : high;
}

Duel::Act Duel::MakeThird(What what) {
  Client preparer(arena_->store(), arena_->clock(), "before C");
  return Prepare(what, keys_.size() > 60 ? "m090" : "m004", "c", 0);
}

Duel::Trigger* Duel::FindTrigger(What a, What b, Where where) {
  static std::map<std::tuple<What, What, Where>, Trigger> known;
  const auto [at, is_new] = known.try_emplace({a, b, where});
  if (is_new) {
    Duel(a, b, where, Stage::kFindB, &at->second);
    Duel(a, b, where, Stage::kFindA, &at->second);
  }
  return &at->second;
}

Duel::Duel(What a, What b, Where where, Stage stage, Trigger* trigger)
    : arena_(std::make_unique<Arena>()), before_(arena_->store(), arena_->clock(), "before") {
  MakeShape(a);
  const std::string base_a = Base(Where::kSameLeaf);
  const std::string base_b = Base(where);
  Put(base_b, Value("base"));
  Put(base_a, Value("base"));
  if (stage == Stage::kFindB) {
    trigger->b = PlayUntil(b, base_b, "b");
    return;
  }
  act_b_ = Prepare(b, base_b, "b", trigger->b);
  if (stage == Stage::kFindA) {
    trigger->a = PlayUntil(a, base_a, "a");
    return;
  }
  act_a_ = Prepare(a, base_a, "a", trigger->a);
  if (a == What::kFirstTouch || b == What::kFirstTouch) arena_->CrashAndReopen();
}

Duel::Duel(What a, What b, Where where)
    : Duel(a, b, where, Stage::kReady, FindTrigger(a, b, where)) {}

}  // namespace tuff::test
