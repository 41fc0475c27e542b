// The pool's file: opening, locking, making. Everything that is about a path and not yet a pool.
//
// Thread-safety: pure functions over file descriptors; a FileDescriptor has none.
#pragma once

#include <string>
#include <utility>

#include "tuff/options.h"
#include "tuff/status.h"

namespace tuff {

/// An open file descriptor, or -1; closed when this object goes.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() { reset(); }
  int get() const { return fd_; }
  void reset();

 private:
  int fd_;
};

/// Opens an existing file or devdax device and takes its lock (flock(2): exclusive for writing,
/// shared for reading). Returns the descriptor. Follows symbolic links.
Result<FileDescriptor> OpenPoolFile(const std::string& path, bool read_only);

/// Makes the file `size_bytes` long, filled with written zeros unless sparse, and locks it. An
/// existing regular file is an error and stays untouched; a devdax device is opened as it is. After
/// an error there is no new file.
Result<FileDescriptor> CreatePoolFile(const std::string& path, const CreateOptions& options);

/// Makes the file's name durable.
Status SyncDirectoryOf(const std::string& path);

/// Reads n bytes at `offset` without a mapping. Short files read as zeros.
Status ReadHead(int fd, const std::string& path, void* to, size_t n);

/// True if the file has holes.
bool IsSparse(int fd, uint64_t bytes);

/// The kernel's id of this boot, 16 bytes; zeros if unknown.
void ReadBootId(uint8_t id[16]);

}  // namespace tuff
