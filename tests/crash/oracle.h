// What a killed writer has done, in a file that outlives it: for every thing that is written at
// once the version that it means to write, noted before the operation, and the one it has been told
// is written, after it. Such a thing is a key, the keys of a batch, a store that is made, filled at
// once and dropped, in turn, or a sequence of keys that grows at its end.
//
// Ownership: an Oracle owns its mapping. Thread-safety: each key belongs to one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tests/crash/contents.h"

namespace tuff::test {

class Oracle {
 public:
  static constexpr unsigned kThreads = 4;
  static constexpr unsigned kKeys = 400;          // of each thread
  static constexpr unsigned kBatchKeys = 8;       // of each thread's batches
  static constexpr unsigned kBulkRecords = 300;   // of each thread's bulk loads
  static constexpr unsigned kSequenceKeys = 400;  // before a thread's sequence begins anew

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
  Slot& BatchAt(unsigned thread) { return map_->batches[thread]; }
  Slot& BulkAt(unsigned thread) { return map_->bulks[thread]; }
  Slot& SequenceAt(unsigned thread) { return map_->sequences[thread]; }
  /// Operations acknowledged since the oracle was made.
  std::atomic<uint64_t>& operations() { return map_->operations; }
  /// What those have met who opened the pool after kills.
  struct Recovered {
    std::atomic<uint64_t> lanes;
    std::atomic<uint64_t> batches;
    std::atomic<uint64_t> nodes_dismantled;
  };
  Recovered& recovered() { return map_->recovered; }

  static std::string StoreName(unsigned thread);
  static std::string Key(unsigned thread, unsigned key);
  /// True if the key is deleted in this version, or has never been there.
  static bool IsGone(unsigned thread, unsigned key, uint64_t version);
  static std::string Value(unsigned thread, unsigned key, uint64_t version);

  /// Contents, by store and key, of what a version of a batch writes; nullopt: deleted.
  using Records = std::map<std::pair<std::string, std::string>, std::optional<std::string>>;
  static Records BatchRecords(unsigned thread, uint64_t version);

  /// A thread's store that comes and goes: from a version to the next it is made, filled, dropped.
  enum class Bulk : uint8_t { kAbsent, kEmpty, kFull };
  static Bulk BulkState(uint64_t version) { return static_cast<Bulk>(version % 3); }
  static std::string BulkStore(unsigned thread);
  static std::string BulkKey(unsigned i);
  static std::string BulkValue(unsigned i, uint64_t version);

  /// A thread's store of keys numbered from 0: it is made, gets one key at a time, is dropped.
  /// Version 0: not there; 1: empty; from then on one key more each.
  static unsigned SequenceStep(uint64_t version) { return version % (kSequenceKeys + 2); }
  static std::string SequenceStore(unsigned thread);
  static std::string SequenceKey(unsigned i);

  /// Compares the pool with what the oracle knows: acknowledged operations are there, and of one
  /// under way all or nothing; a sequence has no holes. What is found is what is acknowledged from
  /// now on. Returns what is wrong, empty if nothing.
  std::string Settle(Pool& pool);

 private:
  struct Map {
    std::atomic<uint64_t> operations;
    Slot slots[kThreads][kKeys];
    Slot batches[kThreads];
    Slot bulks[kThreads];
    Slot sequences[kThreads];
    Recovered recovered;
  };
  // As ReadContents has it; nullopt: not there.
  using Entries = std::map<std::string, std::optional<std::string>>;
  static Entries KeyEntries(unsigned thread, unsigned key, uint64_t version);
  static Entries BatchEntries(unsigned thread, uint64_t version);
  static Entries BulkEntries(unsigned thread, uint64_t version);
  static Entries SequenceEntries(unsigned thread, uint64_t version);
  static std::string HoleInSequence(const Contents& contents, unsigned thread);

  Map* map_ = nullptr;
};

}  // namespace tuff::test
