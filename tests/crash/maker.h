// Workloads made by kind: every pair of operation kinds one after the other, and seeded ones of
// several threads.
//
// Each thread has keys of its own, in leaves that all share, and stores of its own; so operations
// of two threads that are under way together may have happened in any order.
// Thread-safety: none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/crash/workload.h"

namespace tuff::test {

/// Kinds of operations, by name.
const std::vector<std::string>& OperationKinds();

/// One of the first kind and then one of the second, recorded; `full`: the leaf they are likely to
/// write to had no room left.
std::string PairName(const std::string& first, const std::string& second, bool full);
/// Two or three threads, some operations each; all by the seed.
std::string RandomName(uint64_t seed);

/// The workload of such a name; nullopt for other names.
std::optional<Workload> MakeByName(const std::string& name);

}  // namespace tuff::test
