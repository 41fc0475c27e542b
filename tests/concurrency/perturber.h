// Perturber: lets threads lose their processor at the steps, by a seed. As an observer it also has
// all stores to the pool made by the compiler's own code, which TSan sees (libpmem2's it does not).
//
// Thread-safety: make and destroy it while nobody is inside tuff.
#pragma once

#include <sched.h>

#include <atomic>

#include "pagemap/steps.h"
#include "tests/test_util.h"

namespace tuff::test {

class Perturber : public StepObserver {
 public:
  /// At one step in `one_in`; 0: never.
  explicit Perturber(uint64_t seed, uint64_t one_in = 3) : seed_(seed), one_in_(one_in) {
    SetStepObserver(this);
  }
  ~Perturber() override { SetStepObserver(nullptr); }

  void OnPoint(const Step&) override { Perturb(); }
  bool OnFlush(const Step&, const std::byte*, uint64_t, size_t) override {
    Perturb();
    return true;
  }
  bool OnFence(const Step&, const std::byte*) override {
    Perturb();
    return true;
  }

 private:
  void Perturb() {
    if (one_in_ == 0 || yields_.load(std::memory_order_relaxed) >= kYieldsMax) return;
    // A number for each step that anybody passes: no shared generator, no lock.
    Random random(seed_ + steps_.fetch_add(1, std::memory_order_relaxed) * 0x9e3779b9);
    if (!random.OneIn(one_in_)) return;
    yields_.fetch_add(1, std::memory_order_relaxed);
    sched_yield();
  }

  // On a busy machine a yield may cost milliseconds.
  static constexpr uint64_t kYieldsMax = 4000;

  const uint64_t seed_;
  const uint64_t one_in_;
  std::atomic<uint64_t> steps_{0};
  std::atomic<uint64_t> yields_{0};
};

}  // namespace tuff::test
