// SalvagePool: a new pool from whatever leaves of an old one can be found, even if both of its
// superblocks, its catalogue or a root are gone.
//
// Leaves are found by scanning the frame table, not by walking trees; what the trees say is used as
// far as it is whole. Of leaves whose ranges overlap, one that its tree leads to counts before one
// that it does not, one whose owner word is right before one without, and then the one with the
// highest node number; so stale leaves do not bring back what was deleted. docs/recovery.md,
// "Salvage", has the rules.
// Memory: about 100 bytes for each node of the old pool.
// Thread-safety: one call per pair of pools.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tuff/options.h"
#include "tuff/status.h"

namespace tuff {

/// Something that was found on the way.
struct SalvageFinding {
  enum class Kind : uint8_t {
    kNote,      // damaged or stale, and nothing is missing for it
    kDoubtful,  // saved, but perhaps not what it was last; or perhaps nothing is missing
    kLost,      // not found, or not all of it
  };
  Kind kind = Kind::kNote;
  std::string store;  // its name in the new pool; empty: it is about the pool
  bool has_range = false;
  std::string from;               // keys at or above it
  std::optional<std::string> to;  // keys below it; none: to the end
  uint64_t pfn = 0;               // of the frame that is to blame; 0: none
  std::string reason;             // "leaf 17 is damaged": no key stands in it
};

struct SalvagedStore {
  uint32_t object_id = 0;  // in the old pool
  std::string name;
  bool name_lost = false;  // it is "lost+found-ID"
  uint64_t records = 0;
  uint64_t bytes = 0;  // of keys and values
  uint64_t lost = 0;   // findings of each kind
  uint64_t doubtful = 0;
};

struct SalvageReport {
  std::vector<SalvagedStore> stores;     // by object id
  std::vector<SalvageFinding> findings;  // those about the pool first
  uint64_t records = 0;
  uint64_t leaves = 0;  // that were looked at
  uint64_t lost = 0;
  uint64_t doubtful = 0;

  /// Nothing is lost, and nothing doubtful.
  bool whole() const { return lost == 0 && doubtful == 0; }
};

struct SalvageOptions {
  uint64_t size_bytes = 0;  // of the new pool; 0: as the old one
  bool sparse = false;
  OpenOptions open;  // how the new pool is written
  /// Called now and then with the records saved so far; false ends the salvage.
  std::function<bool(uint64_t records)> keep_on;
};

/// Makes the pool `to`, which must not exist, from what is found in `from`, which is not changed.
/// After an error there is no new file. Errors: as of Pool::Create and PoolImage::Open (NotFound,
/// Locked, Permission, Exists, NoSpace, Io; Corruption: not a pool, or nothing is left of it);
/// Busy: `keep_on` said no.
Result<SalvageReport> SalvagePool(const std::string& from, const std::string& to,
                                  const SalvageOptions& options);

}  // namespace tuff
