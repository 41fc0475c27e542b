// The pool's file: opening, locking, making. Everything that is about a path and not yet a pool.
//
// Thread-safety: pure functions over file descriptors.
#pragma once

#include <string>

#include "tuff/options.h"
#include "tuff/status.h"

namespace tuff {

/// Opens an existing file or devdax device and takes its lock (flock(2): exclusive for writing,
/// shared for reading). Returns the descriptor. Follows symbolic links.
Result<int> OpenPoolFile(const std::string& path, bool read_only);

/// Makes the file `size_bytes` long, filled with written zeros unless sparse, and locks it. An
/// existing regular file is an error and stays untouched; a devdax device is opened as it is.
Result<int> CreatePoolFile(const std::string& path, const CreateOptions& options);

/// Makes the file's name durable.
Status SyncDirectoryOf(const std::string& path);

/// Reads n bytes at `offset` without a mapping. Short files read as zeros.
Status ReadHead(int fd, const std::string& path, void* to, size_t n);

/// True if the file has holes.
bool IsSparse(int fd, uint64_t bytes);

/// The kernel's id of this boot, 16 bytes; zeros if unknown.
void ReadBootId(uint8_t id[16]);

}  // namespace tuff
