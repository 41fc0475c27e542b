// Random operations of several threads on few keys, perturbed at the steps, checked to be what a
// map could have answered.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <set>
#include <thread>

#include "tests/concurrency/arena.h"
#include "tests/concurrency/perturber.h"

namespace tuff::test {
namespace {

struct Shape {
  const char* name;
  size_t keys;        // contended, by all threads
  size_t threads;     // with operations
  size_t operations;  // of each thread
  size_t neighbours;  // each thread's own keys between the contended ones: they fill the leaves
  size_t value_bytes;
};

constexpr Shape kShapes[] = {
    {"two threads, one leaf", 3, 2, 60, 0, 24},
    {"three threads, splits", 5, 3, 60, 30, 120},
    {"four threads, splits and merges", 8, 4, 60, 60, 200},
    {"large values, compound nodes", 4, 3, 40, 12, 1500},
};

std::string Key(size_t i) { return "k" + std::to_string(i); }

class Worker {
 public:
  Worker(Arena& arena, const Shape& shape, size_t number, uint64_t seed)
      : shape_(shape),
        number_(number),
        random_(seed * 131 + number),
        client_(arena.store(), arena.clock(), "T" + std::to_string(number)) {}

  void Run() {
    for (size_t i = 0; i < shape_.operations; i++) {
      Contend();
      if (shape_.neighbours > 0) Crowd();
    }
  }
  const History& log() const { return client_.log(); }

 private:
  // Never the same twice.
  std::string Value() {
    std::string value = "v" + std::to_string(number_) + "." + std::to_string(serial_++) + ".";
    value.resize(value.size() + random_.Below(shape_.value_bytes), 'x');
    return value;
  }

  void Contend() {
    const std::string key = Key(random_.Below(shape_.keys));
    switch (random_.Below(8)) {
      case 0:
      case 1:
      case 2:
        return client_.Put(key, Value());
      case 3:
        return client_.Delete(key);
      case 4:
        return client_.GetPinned(key);
      case 5:
        if (random_.OneIn(4)) return client_.Iterate(random_.OneIn(2), {});
        [[fallthrough]];
      default:
        return client_.Get(key);
    }
  }

  // Records of its own, beside the contended ones; now more, now fewer.
  void Crowd() {
    const std::string key = Key(random_.Below(shape_.keys)) + "/" + std::to_string(number_) + "." +
                            std::to_string(random_.Below(shape_.neighbours));
    if (random_.Below(8) < (growing_ ? 1 : 7)) {
      client_.Delete(key);
    } else {
      client_.Put(key, Value());
    }
    if (random_.OneIn(40)) growing_ = !growing_;
  }

  const Shape& shape_;
  const size_t number_;
  Random random_;
  Client client_;
  size_t serial_ = 0;
  bool growing_ = true;
};

History PlayAtRandom(Arena& arena, const Shape& shape, uint64_t seed) {
  std::vector<std::unique_ptr<Worker>> workers;
  for (size_t i = 0; i < shape.threads; i++) {
    workers.push_back(std::make_unique<Worker>(arena, shape, i, seed));
  }
  {
    Perturber perturber(seed, 6);
    std::vector<std::thread> threads;
    for (auto& worker : workers) threads.emplace_back([&] { worker->Run(); });
    for (std::thread& thread : threads) thread.join();
  }
  History history;
  std::set<std::string> keys;
  for (auto& worker : workers) {
    history.insert(history.end(), worker->log().begin(), worker->log().end());
    for (const Op& op : worker->log()) keys.insert(op.key);
  }
  Client after(arena.store(), arena.clock(), "after");
  after.Iterate(true, keys);
  for (const std::string& key : keys) after.Get(key);
  history.insert(history.end(), after.log().begin(), after.log().end());
  return history;
}

class Linearizability : public testing::TestWithParam<Shape> {};

TEST_P(Linearizability, OfRandomHistories) {
  const Shape& shape = GetParam();
  const uint64_t seeds = EnvNumber("TUFF_LINEARIZABILITY_SEEDS", kSanitized ? 40 : 300);
  const uint64_t only = EnvNumber("TUFF_SEED", 0);
  std::vector<std::unique_ptr<Arena>> arenas;
  uint64_t splits = 0;
  uint64_t merges = 0;
  uint64_t operations = 0;
  for (uint64_t seed = 1; seed <= seeds; seed++) {
    if (only != 0 && seed != only) continue;
    SCOPED_TRACE("TUFF_SEED=" + std::to_string(seed));
    arenas.push_back(std::make_unique<Arena>());
    Arena& arena = *arenas.back();
    const History history = PlayAtRandom(arena, shape, seed);
    operations += history.size();
    if (const auto violation = FindViolation(history)) ADD_FAILURE() << *violation;
    EXPECT_EQ(arena.Problems(), "");
    splits += arena.Count(Counter::kSplits);
    merges += arena.Count(Counter::kMerges);
    if (arenas.size() == 24) CloseTogether(&arenas);
    if (HasFailure()) break;
  }
  CloseTogether(&arenas);
  if (HasFailure()) return;
  std::printf("%s: %llu histories, %llu operations, %llu splits, %llu merges\n", shape.name,
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(operations),
              static_cast<unsigned long long>(splits), static_cast<unsigned long long>(merges));
  if (only != 0 || shape.neighbours == 0) return;
  EXPECT_GT(splits, seeds);
  if (shape.value_bytes >= 1000) {  // leaves of few records: they merge soonest
    EXPECT_GT(merges, 0u);
  }
}

std::string ShapeName(const testing::TestParamInfo<Shape>& info) {
  std::string name;
  for (const char c : std::string(info.param.name)) {
    if (c != ',') name += c == ' ' ? '_' : c;
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, Linearizability, testing::ValuesIn(kShapes), ShapeName);

}  // namespace
}  // namespace tuff::test
