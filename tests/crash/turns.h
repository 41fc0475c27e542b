// Turns: threads of a recording go on one at a time, and change at steps that a seed chooses, so
// that their operations are in each other's midst however few processors there are.
//
// Whoever has the turn may be waiting for another one (a latch, a sync that another makes); so who
// has waited long for the turn takes it. Only the interleaving is another one then.
// Ownership: borrows the observer that is told of everything. Thread-safety: all from any thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>

#include "pagemap/steps.h"
#include "tests/test_util.h"

namespace tuff::test {

class Turns : public StepObserver {
 public:
  Turns(StepObserver& observer, uint64_t seed) : observer_(observer), random_(seed) {}

  /// The calling thread takes part until it leaves. REQUIRES: it has a number of its own.
  void Join(unsigned number);
  void Leave();

  void OnPoint(const Step& step) override;
  void OnStore(const std::byte* base, uint64_t offset, std::span<const std::byte> bytes) override;
  bool OnFlush(const Step& step, const std::byte* base, uint64_t offset, size_t n) override;
  bool OnFence(const Step& step, const std::byte* base) override;

 private:
  void Pass();
  void AwaitTurn(std::unique_lock<std::mutex>* lock, unsigned number);
  void HandOn();

  StepObserver& observer_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Random random_;
  std::set<unsigned> members_;
  unsigned turn_ = 0;
};

}  // namespace tuff::test
