// The workloads of the crash tests: a pool is brought to a state without being watched, then one
// or a few operations are recorded.
//
// Ownership: a Session owns its open pool. Thread-safety: none; operations of one Workload's
// threads may run beside each other.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/crash/contents.h"

namespace tuff::test {

/// A pool's file and, while it is open, the pool.
struct Session {
  std::string path;
  Granularity granularity = Granularity::kCacheLine;
  std::unique_ptr<Pool> pool;

  Status Create();
  Status Open();
  Status Close();
};

/// One thing a program does to a pool: wholly there after it has returned, wholly there or not at
/// all before.
struct Operation {
  std::string name;
  std::function<Status(Session&)> run;
  std::function<void(Contents*)> effect = [](Contents*) {};
  bool makes_pool = false;
};

Operation PutOp(std::string store, std::string key, std::string value);
Operation DeleteOp(std::string store, std::string key);
Operation CreateStoreOp(std::string store);
Operation RenameStoreOp(std::string from, std::string to);
Operation CreatePoolOp();
Operation OpenOp();
Operation CloseOp();

/// One write of several; without a value a delete.
struct KeyWrite {
  std::string store;
  std::string key;
  std::optional<std::string> value;
};

Operation BatchOp(std::vector<KeyWrite> writes);
/// Reads one key, which must be there, and writes.
Operation TransactionOp(std::string read_store, std::string read_key, std::vector<KeyWrite> writes);
Operation CompareAndSwapOp(std::string store, std::string key, std::optional<std::string> expected,
                           std::optional<std::string> desired);
/// Of so few keys that it is one batch.
Operation DeleteRangeOp(std::string store, std::string begin, std::string end);
Operation DropStoreOp(std::string store);
Operation BulkLoadOp(std::string store, std::vector<std::string> keys, std::string value);
Operation GiveUpBulkLoadOp(std::string store, std::vector<std::string> keys, std::string value);
/// Writes the record as often as it takes to leave no room for another such in its leaf.
Operation FillLeafOp(std::string store, std::string key, std::string value);
/// What the pool's consolidator does about a leaf that is full. Nothing if there is room for a
/// value of so many bytes.
Operation ConsolidateAheadOp(std::string store, std::string key, size_t value_bytes);
/// Until the background work is done.
Operation WaitOp();
/// Leaves this mount no two free frames that are neighbours. Changes nothing on the medium.
Operation FragmentOp();

using Operations = std::vector<Operation>;
Operations operator+(Operations a, const Operations& b);
using Counter64 = uint64_t Statistics::*;

struct Workload {
  std::string name;
  /// Run unrecorded on a new pool, if `with_pool`.
  Operations prepare;
  /// Run recorded, one list for each thread.
  std::vector<Operations> threads;
  /// Must have grown meanwhile (the workload does what its name says), if set.
  Counter64 must_grow = nullptr;
  /// Must be come to so many times, if set.
  const char* must_meet = nullptr;
  size_t must_meet_times = 1;
  bool with_pool = true;
  /// If not 0, the threads take turns, changed by this seed.
  uint64_t interleave_seed = 0;
};

/// The names of all workloads, small ones first.
std::vector<std::string> WorkloadNames();

/// A pool to find out in when something happens; how large leaves are depends on the granularity.
struct DryRun {
  std::string path;
  Granularity granularity;
};

/// Makes one. REQUIRES: a name of the list, or such as maker.h makes.
Workload MakeWorkload(const std::string& name, const DryRun& dry_run);

}  // namespace tuff::test
