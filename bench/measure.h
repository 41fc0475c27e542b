// Measure: runs work on several threads for a bounded time, and reads what the kernel says of this
// process.
// Thread-safety: none; RunBox makes threads of its own and joins them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "histogram.h"

namespace tuff::bench {

using Clock = std::chrono::steady_clock;

inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// One call of a thread's work: the operations that it did; 0: there is nothing left to do.
using Step = std::function<uint64_t()>;

struct Box {
  unsigned threads = 1;
  double seconds = 1;         ///< then no further call begins; 0: until nothing is left
  unsigned sample_every = 4;  ///< calls to one latency sample (two clock readings, about 50 ns)
};

struct Measured {
  uint64_t operations = 0;
  uint64_t calls = 0;
  double seconds = 0;  ///< wall time, from the common start to the end of the last thread
  /// Of each thread, the share of that time in which it waited for a processor.
  std::vector<double> kept_from_running;
  Histogram latencies;  ///< of calls
};

/// Calls `begin` in each new thread, waits until all are ready, then runs the steps it gave.
Measured RunBox(const Box& box, const std::function<Step(unsigned thread)>& begin);

/// Anonymous memory of this process, in bytes: DRAM that is no file's cache.
uint64_t AnonymousBytes();

}  // namespace tuff::bench
