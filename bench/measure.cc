#include "measure.h"

#include <algorithm>
#include <fstream>
#include <latch>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tuff::bench {
namespace {

/// Nanoseconds that this thread could have run and did not (Documentation/scheduler/sched-stats).
uint64_t RunDelayNs() {
  std::ifstream file("/proc/thread-self/schedstat");
  uint64_t ran = 0;
  uint64_t waited = 0;
  file >> ran >> waited;
  return waited;
}

struct OfThread {
  uint64_t operations = 0;
  uint64_t calls = 0;
  uint64_t waited_ns = 0;
  Clock::time_point end;
  Histogram latencies;
};

void RunSteps(const Step& step, const Box& box, Clock::time_point start, OfThread* result) {
  const auto deadline = box.seconds == 0 ? Clock::time_point::max()
                                         : start + std::chrono::duration_cast<Clock::duration>(
                                                       std::chrono::duration<double>(box.seconds));
  for (uint64_t i = 0;; i++) {
    uint64_t done = 0;
    if (i % box.sample_every == 0) {
      const auto from = Clock::now();
      if (from >= deadline) return;
      done = step();
      if (done != 0) result->latencies.Add(static_cast<uint64_t>((Clock::now() - from).count()));
    } else {
      done = step();
    }
    if (done == 0) return;
    result->operations += done;
    result->calls++;
  }
}

}  // namespace

Measured RunBox(const Box& box, const std::function<Step(unsigned thread)>& begin) {
  std::vector<OfThread> results(box.threads);
  std::latch ready(box.threads + 1);
  std::latch go(1);
  Clock::time_point start;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < box.threads; t++) {
    threads.emplace_back([&, t] {
      const Step step = begin(t);
      ready.arrive_and_wait();
      go.wait();
      const uint64_t waited_before = RunDelayNs();
      RunSteps(step, box, start, &results[t]);
      results[t].end = Clock::now();
      results[t].waited_ns = RunDelayNs() - waited_before;
    });
  }
  ready.arrive_and_wait();
  start = Clock::now();
  go.count_down();
  for (std::thread& thread : threads) thread.join();

  Measured sum;
  for (const OfThread& one : results) {
    sum.operations += one.operations;
    sum.calls += one.calls;
    sum.latencies.Merge(one.latencies);
    const double seconds = std::chrono::duration<double>(one.end - start).count();
    sum.seconds = std::max(sum.seconds, seconds);
    sum.kept_from_running.push_back(static_cast<double>(one.waited_ns) / 1e9 / seconds);
  }
  return sum;
}

uint64_t AnonymousBytes() {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    if (word != "RssAnon:") continue;
    uint64_t kib = 0;
    file >> kib;
    return kib * 1024;
  }
  return 0;
}

}  // namespace tuff::bench
