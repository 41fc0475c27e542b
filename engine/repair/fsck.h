// Fsck: the full check of a pool's file, and its repair.
//
// Everything is found out and repaired in an overlay, in memory; the file is as it was until
// Commit. So a check never writes, and a repair has been checked itself before it reaches the file.
// How trees are mended: tree_mender.h. Problems: problems.h.
//
// Ownership: borrows the image. Thread-safety: none. Memory: a bit for each frame, and what the
// repair changes.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/image.h"
#include "engine/repair/problems.h"

namespace tuff {

enum class FsckMode : uint8_t {
  kCheck,   // writes nothing
  kPreen,   // repairs what can be repaired without a thought: Severity::kCosmetic
  kRepair,  // repairs all
};

struct KeyRange {
  std::string low;
  std::optional<std::string> high;  // the first key behind it; nothing: there is no end
};

struct Problem {
  ProblemCode code;
  Pfn pfn = 0;             // where; 0: nowhere in particular
  uint32_t object_id = 0;  // whose; 0: nobody's
  std::string text;        // what, and where
  bool repaired = false;
  std::optional<KeyRange> keys;  // of whose records it may hide or lose; nothing: not known
};

struct FsckOptions {
  FsckMode mode = FsckMode::kCheck;
  /// Looks at superblocks, lanes and frame tables only, not at trees. REQUIRES: kCheck.
  bool quick = false;
  unsigned threads = 0;  // 0: one for each processor
  /// Called now and then, by one thread at a time, with the number of nodes seen. Returns false to
  /// stop.
  std::function<bool(uint64_t nodes)> progress;
};

struct FsckReport {
  /// As wished, but a check of a truncated pool instead of a preen, or instead of a repair if it is
  /// not padded. Then the overlay is not to be committed.
  FsckMode mode = FsckMode::kCheck;
  std::vector<Problem> problems;
  uint64_t problems_left_out = 0;  // beyond kProblemsMax
  uint64_t unrepaired = 0;
  bool recovered = false;  // it was not closed cleanly; what the lanes hold was finished or undone
  bool cancelled = false;
  /// By object id: a store's name; "/catalogue"; "/graveyard", of what is in it, too.
  std::map<uint32_t, std::string> names;
  uint64_t stores = 0;
  uint64_t nodes = 0;
  uint64_t records = 0;  // of stores
  uint64_t frames_in_use = 0;

  bool sound() const { return problems.empty(); }
};
inline constexpr size_t kProblemsMax = 10'000;

/// Checks the image and, in the overlay, repairs it. REQUIRES: nothing was stored into it before.
/// Errors: Io, NoMemory; NoSpace (numbers for new nodes are used up); Corruption if the checksum
/// code does not compute what it should.
Result<FsckReport> RunFsck(PoolImage& image, const FsckOptions& options);

/// OK if XXH3 and the mixer have known results for known bytes.
Status TestChecksums();

}  // namespace tuff
