#include "tests/concurrency/judge.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

namespace tuff::test {
namespace {

// Of a step that A passes often, so many passings are tried.
constexpr size_t kPassings = 2;

constexpr size_t kClosedAtOnce = 24;

}  // namespace

void Graveyard::Bury(std::unique_ptr<Duel> duel) {
  duels_.push_back(std::move(duel));
  if (duels_.size() == kClosedAtOnce) Close();
}

void Graveyard::Close() {
  std::vector<std::thread> threads;
  for (auto& duel : duels_) threads.emplace_back([&] { duel.reset(); });
  for (std::thread& thread : threads) thread.join();
  duels_.clear();
}

std::vector<At> StopsOf(What a, What b, Where where, Graveyard* graveyard, bool* has_effect) {
  auto duel = std::make_unique<Duel>(a, b, where);
  Arena& arena = duel->arena();
  Client client(arena.store(), arena.clock(), "A");
  std::vector<At> stops;
  const auto counter = CounterOf(a);
  const uint64_t before = counter ? arena.Count(*counter) : 0;
  {
    Scheduler scheduler;
    Actor& actor = scheduler.Add("A", [&] { duel->ActA(client); });
    scheduler.JoinAll();
    std::map<std::string, size_t> passings;
    for (const std::string& id : actor.trace()) {
      if (++passings[id] <= kPassings) stops.emplace_back(id, passings[id]);
    }
  }
  *has_effect = !counter || arena.Count(*counter) > before;
  graveyard->Bury(std::move(duel));
  return stops;
}

void Judge(Duel& duel, const std::vector<const Client*>& clients) {
  History history = duel.before();
  std::set<std::string> touched;
  for (const Client* client : clients) {
    for (const Op& op : client->log()) {
      history.push_back(op);
      touched.insert(op.key);
    }
  }
  std::set<std::string> keys = duel.keys();
  keys.insert(touched.begin(), touched.end());
  Client after(duel.arena().store(), duel.arena().clock(), "after");
  after.Iterate(true, keys);
  after.Iterate(false, keys);
  for (const std::string& key : touched) after.Get(key);
  history.insert(history.end(), after.log().begin(), after.log().end());
  if (const auto violation = FindViolation(history)) ADD_FAILURE() << *violation;
  EXPECT_EQ(duel.arena().Problems(), "");
}

}  // namespace tuff::test
