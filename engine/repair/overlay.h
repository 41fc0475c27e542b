// What a mount would make of a pool that was not closed, made in memory only.
//
// Ownership: borrows the image. Thread-safety: none.
#pragma once

#include <string>
#include <vector>

#include "engine/image.h"

namespace tuff {

/// Finishes or undoes what the lanes hold, in an overlay of the image. A lane that is damaged is
/// left out, and `damaged` tells of it. Of a pool that was closed, lanes that are not empty are
/// damaged: all are left out. Errors: NoMemory, Io.
Status RecoverInOverlay(PoolImage& image, std::vector<std::string>* damaged);

/// True if a torn log may be the trace of a crash.
bool MayHaveCrashed(const PoolImage& image);

}  // namespace tuff
