// Every pair of operations, at every step: A runs up to the step, B runs as far as it can, A goes
// on.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/concurrency/judge.h"

namespace tuff::test {
namespace {

struct Tally {
  size_t interleavings = 0;
  size_t blocked = 0;  // B had to wait for A
  Tally& operator+=(const Tally& other) {
    interleavings += other.interleavings;
    blocked += other.blocked;
    return *this;
  }
};

// True if B was blocked.
bool Play(What a, What b, Where where, const At& stop, Graveyard* graveyard) {
  auto owned = std::make_unique<Duel>(a, b, where);
  Duel& duel = *owned;
  Client client_a(duel.arena().store(), duel.arena().clock(), "A");
  Client client_b(duel.arena().store(), duel.arena().clock(), "B");
  bool blocked = false;
  {
    Scheduler scheduler;
    Actor& actor_a = scheduler.Add("A", [&] { duel.ActA(client_a); });
    Actor& actor_b = scheduler.Add("B", [&] { duel.ActB(client_b); });
    if (a == What::kReuse || b == What::kReuse) scheduler.set_patience(500);
    EXPECT_EQ(scheduler.MustRunTo(actor_a, stop), Outcome::kParked);
    blocked = scheduler.RunOn(actor_b) == Outcome::kBlocked;
    scheduler.JoinAll();
  }
  Judge(duel, {&client_a, &client_b});
  graveyard->Bury(std::move(owned));
  return blocked;
}

class Pairs : public testing::TestWithParam<What> {};

TEST_P(Pairs, EveryStepOfAWithEveryB) {
  const What a = GetParam();
  // Of all stops every so many are tried, each time others: sanitizers are slow, and so are the
  // grace periods in kReuse.
  const size_t stride =
      EnvNumber("TUFF_INTERLEAVE_STRIDE", kSanitized ? 16 : 1) * (a == What::kReuse ? 8 : 1);
  size_t turn = static_cast<size_t>(a);
  std::printf("%-12s", NameOf(a));
  Tally sum;
  Graveyard graveyard;
  for (const What b : kAllWhats) {
    Tally tally;
    for (const Where where : {Where::kSameLeaf, Where::kNextLeaf}) {
      bool has_effect = false;
      const std::vector<At> stops = StopsOf(a, b, where, &graveyard, &has_effect);
      // Its preparation may take the occasion from A; but never where B only reads.
      EXPECT_TRUE(has_effect || b != What::kGet) << NameOf(a);
      for (const At& stop : stops) {
        if (turn++ % stride != 0) continue;
        SCOPED_TRACE(std::string("A: ") + NameOf(a) + " up to " + stop.id + " (passing " +
                     std::to_string(stop.nth) + "); B: " + NameOf(b) +
                     (where == Where::kSameLeaf ? " in the same leaf" : " in the next leaf"));
        tally.blocked += Play(a, b, where, stop, &graveyard);
        tally.interleavings++;
        if (HasFailure()) return;
      }
    }
    sum += tally;
    std::printf(" %4zu", tally.interleavings);
    std::fflush(stdout);
  }
  std::printf("  = %zu, blocked %zu\n", sum.interleavings, sum.blocked);
  RecordProperty("interleavings", static_cast<int>(sum.interleavings));
}

std::string TestName(const testing::TestParamInfo<What>& info) {
  std::string name = NameOf(info.param);
  for (char& c : name) c = c == ' ' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, Pairs, testing::ValuesIn(kAllWhats), TestName);

}  // namespace
}  // namespace tuff::test
