// The two superblocks: choosing the one that counts, and updating both.
//
// Thread-safety: none; PageMap serialises.
#pragma once

#include <string>

#include "pagemap/superblock_format.h"
#include "pagemap/window.h"

namespace tuff {

/// What a look at both copies found.
struct SuperblockChoice {
  Superblock superblock;  // the valid copy with the higher sequence
  int best;               // its number
  bool copy_valid[2];
};

/// Reads both copies from the start of a pool (`head` holds at least two frames) of `bytes` bytes
/// and checks everything that later code relies on.
/// Errors: Corruption (not a pool, both copies bad, file too short), NotSupported (version,
/// features; unknown ro_compat features only if `for_writing`).
Result<SuperblockChoice> ChooseSuperblock(const std::byte* head, uint64_t bytes,
                                          const std::string& path, bool for_writing);

/// What is wrong with one copy, for who looks at both: Corruption (magic, checksum, geometry, a
/// file that is too short), NotSupported. Where a pool is opened, ChooseSuperblock decides.
Status ExamineSuperblock(const Superblock& copy, uint64_t bytes, const std::string& path);
/// NotSupported: the pool has features that this tuff can read at most.
Status MayBeWritten(const Superblock& superblock, const std::string& path);
uint64_t SuperblockChecksum(const Superblock& superblock);
uint64_t LiveStatusChecksum(const LiveStatus& status);
/// What marks the descriptors of the mount for writing that wrote `superblock`: even, not 0.
uint64_t MountGeneration(const Superblock& superblock);

/// Makes `superblock` durable in both copies, one after the other, with the next sequence. Begins
/// with copy `first`: the other one must be whole, and durable.
Status WriteSuperblocks(PersistDomain& domain, Superblock& superblock, int first = 0);

/// Random bits from the kernel.
uint64_t Random64();
/// Nanoseconds since the epoch.
uint64_t NowNs();

}  // namespace tuff
