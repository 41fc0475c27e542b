// RedoLog: many stores into the pool that come true together.
//
//   RedoLog redo(map.domain(), map.lanes(), map.allocator(), lane);
//   redo.Add(place, bytes);  ...
//   Status s = redo.Prepare();           // frames for a long list; NoSpace if there are none
//   s = redo.CommitAndApply(window);     // one fence commits, one makes the stores, one retires
//
// The list of stores lies in the lane's frame, or in a chain of chunks that the lane's entry names.
// The entry is valid only if it and every chunk are, so one fence over all of them is the commit.
// After a crash, recovery makes every store of a valid entry again. Chunks lie in frames that stay
// free on the medium: while the entry lives nobody can take them, and after it nobody needs them.
// REQUIRES: until CommitAndApply returns, the caller holds the latches of all places.
// The models of it are docs/models/batch_crash.pml and batch_read.pml.
// Thread-safety: one object per change and thread.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "pagemap/allocator.h"
#include "pagemap/lanes.h"
#include "pagemap/window.h"

namespace tuff {

class RedoLog {
 public:
  RedoLog(PersistDomain& domain, Lanes& lanes, FrameAllocator& allocator, unsigned lane)
      : domain_(domain), lanes_(lanes), allocator_(allocator), lane_(lane) {}
  ~RedoLog() { FreeChunks(); }
  RedoLog(const RedoLog&) = delete;
  RedoLog& operator=(const RedoLog&) = delete;

  /// Adds a store. REQUIRES: place and length are multiples of 8.
  void Add(uint64_t place, std::span<const std::byte> bytes);
  void AddWord(uint64_t place, uint64_t value) { Add(place, std::as_bytes(std::span(&value, 1))); }

  /// Finds frames for the list. Errors: NoSpace.
  Status Prepare();
  /// Makes the stores, wholly or not at all. After an error, which has made the pool read-only, it
  /// is open whether they were made.
  Status CommitAndApply(WriteWindow& window);

  /// Recovery's: the stores of a lane's redo entry, empty if it or a chunk is not whole. The bytes
  /// are flushed through `window`, if there is one, and not fenced.
  static std::vector<std::byte> ReadStores(WriteWindow* window, const std::byte* base,
                                           const LaneEntry& entry, unsigned lane,
                                           uint64_t hash_seed, uint64_t frames);
  /// The heads of a list's stores. Nothing: one is malformed or out of bounds.
  static std::optional<std::vector<RedoStore>> ListStores(std::span<const std::byte> stores,
                                                          uint64_t frames);
  /// Makes the stores and flushes them. False, and nothing is done, if one is out of bounds.
  static bool Replay(WriteWindow& window, std::span<const std::byte> stores, uint64_t frames);

 private:
  struct Chunk {
    Pfn pfn;
    unsigned order;
  };
  void WriteChunks(WriteWindow& window, uint64_t state);
  static void FlushStore(WriteWindow& window, uint64_t place, size_t bytes);
  static void FlushReplayed(WriteWindow& window, uint64_t place, size_t bytes);
  void FreeChunks();

  PersistDomain& domain_;
  Lanes& lanes_;
  FrameAllocator& allocator_;
  const unsigned lane_;
  std::vector<std::byte> stores_;
  std::vector<Chunk> chunks_;
};

}  // namespace tuff
