// Patch: brings a repair from an image's overlay into the file, and takes it back.
//
// An undo file holds what the pages had before, whole and checksummed, and is durable before the
// first of them changes. New nodes are written before what refers to them, superblocks last; an
// interrupted repair is done again, or reverted by its undo file, byte for byte.
// Format of an undo file: undo_format.h.
// Thread-safety: none.
#pragma once

#include <string>

#include "engine/image.h"

namespace tuff {

/// Writes the overlay's pages into the file, durably. `undo_path` empty: without an undo file; it
/// must not exist, and is gone after an error before the first change. Returns how many pages have
/// changed. REQUIRES: the image was opened for repair, and its report's mode is not kCheck. Errors:
/// Exists, NoSpace, Io.
Result<uint64_t> CommitRepair(PoolImage& image, const std::string& undo_path);

/// Makes the pool's file what it was before the repair. Can be repeated. Errors: Corruption (the
/// undo file is not whole), InvalidArgument (it is another pool's, or the pool has changed since),
/// Locked, NotFound, Io. Returns how many pages were restored.
Result<uint64_t> RevertRepair(const std::string& path, const std::string& undo_path);

}  // namespace tuff
