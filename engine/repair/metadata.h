// CollectMetadata: everything of a pool but what users have written, for somebody to look at who
// must not see that. Damage stays where it is: checksums that were right are right of what takes
// the place of values, those that were wrong stay wrong.
//
// What cannot be decoded is not told, since it may be anything: it becomes zeros, or where zeros
// would look sound, a word that does not. docs/metadata-dump.md says what becomes of what.
// Memory: about 100 bytes for each node; with hidden keys, twice all keys as well.
// Thread-safety: none.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "engine/image.h"

namespace tuff {

struct MetadataOptions {
  bool hide_keys = false;    // keys become others in the same order, names become numbers
  bool raw_damaged = false;  // what cannot be decoded is told as it is
};

/// Whole frames; bytes that are missing at their end are 0.
struct MetadataPiece {
  Pfn pfn = 0;
  uint64_t frames = 0;
  std::span<const std::byte> bytes;
  bool withheld = false;  // something in it could not be decoded, and is not there
};

struct MetadataSummary {
  uint64_t nodes = 0;
  uint64_t damaged_nodes = 0;
  uint64_t undecoded = 0;  // pieces of which something could not be decoded
};

/// Calls use(piece) for all that there is to tell; ends with its first error. Runs may be told
/// twice in part: the later bytes count. REQUIRES: the image has no overlay. Errors: NoMemory.
Status CollectMetadata(const PoolImage& image, const MetadataOptions& options,
                       const std::function<Status(const MetadataPiece& piece)>& use,
                       MetadataSummary* summary);

}  // namespace tuff
