// Syncs: how often this process has made the kernel write something through. Counted for all
// engines alike: this file's functions stand before those of the C library. Thread-safety: any.
#pragma once

#include <cstdint>

namespace tuff::bench {

/// Calls of msync, fsync and fdatasync, and of pwrite to files opened with O_DSYNC or O_SYNC.
uint64_t CountSyncs();

}  // namespace tuff::bench
