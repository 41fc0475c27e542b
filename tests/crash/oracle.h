// What a killed writer has done, in a file that outlives it: for every key the version that it
// means to write, noted before the operation, and the one it has been told is written, after it.
//
// Ownership: an Oracle owns its mapping. Thread-safety: each key belongs to one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "tests/crash/contents.h"

namespace tuff::test {

class Oracle {
 public:
  static constexpr unsigned kThreads = 4;
  static constexpr unsigned kKeys = 400;  // of each thread

  struct Slot {
    std::atomic<uint64_t> intended;
    std::atomic<uint64_t> acknowledged;
  };

  /// Maps the file; makes it, empty, if it is not there.
  explicit Oracle(const std::string& path);
  ~Oracle();
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  Slot& At(unsigned thread, unsigned key) { return map_->slots[thread][key]; }
  /// Operations acknowledged since the oracle was made.
  std::atomic<uint64_t>& operations() { return map_->operations; }

  static std::string StoreName(unsigned thread);
  static std::string Key(unsigned thread, unsigned key);
  /// True if the key is deleted in this version, or has never been there.
  static bool IsGone(unsigned thread, unsigned key, uint64_t version);
  static std::string Value(unsigned thread, unsigned key, uint64_t version);

  /// Compares the pool with what the oracle knows: acknowledged operations are there, and of one
  /// under way all or nothing. What is found is what is acknowledged from now on. Returns what is
  /// wrong, empty if nothing.
  std::string Settle(Pool& pool);

 private:
  struct Map {
    std::atomic<uint64_t> operations;
    Slot slots[kThreads][kKeys];
  };
  Map* map_ = nullptr;
};

}  // namespace tuff::test
