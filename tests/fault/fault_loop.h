// Fault loops: a scenario is run again and again, and each time another call fails, until none is
// left to fail. Each run must end with the right Status; what was acknowledged must be there, live
// and after the pool is opened again; nothing may leak.
//
// Loops run in processes of their own (tests/crash/isolate.h), so that a crash or a hang is one
// failure more. REQUIRES of the caller: it has used no pool yet itself. Thread-safety: none.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/crash/crash_image.h"
#include "tests/crash/workload.h"
#include "tests/fault/faults.h"

namespace tuff::test {

struct Scenario {
  std::string name;
  Granularity granularity = Granularity::kCacheLine;
  /// Makes what is there before the fault, with all in `session.path`. What they leave is closed.
  Operations prepare = {};
  /// Whether a pool is open when the faults begin.
  bool begins_open = true;
  /// If set, the fault meets the pool that a process leaves which is killed when the last operation
  /// of `prepare` has come to this step so many times.
  const char* killed_at = nullptr;
  int killed_at_times = 1;
  /// What is faulty.
  Operations run;
  /// Every so manieth call of many is made to fail: 3 means that the steps grow by a third.
  uint64_t density = 3;
  /// Calls that fail in turn; empty: all, after a run in which none does. With a list the first
  /// run of the process is faulty already.
  std::vector<Call> calls = {};
  std::string directory = "";  // where the pool lies; empty: with other scratch
  /// Must have grown after a run without fault, if set.
  Counter64 must_grow = nullptr;
  /// If set, fills in the rest, in the loops' own process: it may use pools.
  std::function<void(Scenario*)> make = nullptr;
};

/// Runs the loops, and expects that nothing is wrong.
void RunFaultLoops(const Scenario& scenario);

/// How often each function was called and made to fail, in all loops so far.
struct FaultTotals {
  uint64_t calls = 0;
  uint64_t faults = 0;
  std::vector<std::string> scenarios;  // in which a fault was met
};
const std::map<Call, FaultTotals>& AllFaults();

/// Open descriptors, and mappings of the file, of this process.
struct Holdings {
  size_t descriptors = 0;
  size_t mappings = 0;
  bool operator==(const Holdings&) const = default;
};
Holdings CountHoldings(const std::string& path);

}  // namespace tuff::test
