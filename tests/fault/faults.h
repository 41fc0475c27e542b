// Faults: system calls, allocations and thread starts that fail when a test wants it.
//
// This program defines the functions itself that the library and the shared libraries below it
// (libpmem2, liburcu) get from libc, so every call of theirs comes by here. Outside of an Injection
// nothing is counted and nothing fails. malloc does not fail: only libpmem2 uses it, and
// version 1.12 follows null pointers then (in pmem2_map_new). Thread-safety: calls of all threads
// are counted; one Injection at a time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace tuff::test {

enum class Call : uint8_t {
  kOpen,
  kFlock,
  kFstat,
  kFchmod,
  kFtruncate,
  kFallocate,
  kPread,
  kPwrite,
  kFsync,
  kFdatasync,
  kSyncFileRange,
  kMsync,
  kMmap,
  kMremap,
  kMprotect,
  kMadvise,
  kPkeyAlloc,
  kPkeyMprotect,
  kGetrandom,
  kThreadStart,
  kNew,
};
inline constexpr size_t kCalls = static_cast<size_t>(Call::kNew) + 1;
const char* CallName(Call call);
std::vector<Call> AllCalls();

/// In place of an errno: half of the bytes are written or read.
inline constexpr int kShort = -1;

struct Fault {
  Call call = Call::kOpen;
  uint64_t nth = 0;  // from 0
  int error = 0;     // errno, or kShort
  bool for_ever = false;
};

/// "pwrite 3 says EIO from then on".
std::string FaultText(const Fault& fault);

/// From here to Stop calls are counted, and those that the fault names fail.
class Injection {
 public:
  /// Counts only.
  Injection();
  explicit Injection(const Fault& fault);
  ~Injection() { Stop(); }
  Injection(const Injection&) = delete;
  Injection& operator=(const Injection&) = delete;
  void Stop();

  using Counts = std::array<uint64_t, kCalls>;
  static Counts calls();      // of the last injection
  static uint64_t refused();  // calls that have failed in the last injection
};

/// What the calling thread calls meanwhile is the test's own: not counted, and does not fail.
class OwnCalls {
 public:
  OwnCalls();
  ~OwnCalls();
  OwnCalls(const OwnCalls&) = delete;
  OwnCalls& operator=(const OwnCalls&) = delete;
};

}  // namespace tuff::test
