#include "syncs.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace {

std::atomic<uint64_t> syncs{0};

enum class FileKind : uint8_t { kUnknown, kPlain, kSynchronous };
std::array<std::atomic<FileKind>, 1024> kinds{};  // by descriptor, so that one is asked once only

/// The function of this name that would be called were it not for this file.
template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void CountIfSynchronous(int fd) {
  if (fd < 0 || static_cast<size_t>(fd) >= kinds.size()) return;
  std::atomic<FileKind>& kind = kinds[static_cast<size_t>(fd)];
  if (kind == FileKind::kUnknown) {
    const int flags = fcntl(fd, F_GETFL);
    kind = flags >= 0 && (flags & O_DSYNC) != 0 ? FileKind::kSynchronous : FileKind::kPlain;
  }
  if (kind == FileKind::kSynchronous) syncs++;
}

}  // namespace

extern "C" {

int fsync(int fd) {
  static auto* const next = Next<int(int)>("fsync");
  syncs++;
  return next(fd);
}

int fdatasync(int fd) {
  static auto* const next = Next<int(int)>("fdatasync");
  syncs++;
  return next(fd);
}

int msync(void* address, size_t length, int flags) {
  static auto* const next = Next<int(void*, size_t, int)>("msync");
  syncs++;
  return next(address, length, flags);
}

ssize_t pwrite(int fd, const void* from, size_t n, off_t offset) {
  static auto* const next = Next<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  CountIfSynchronous(fd);
  return next(fd, from, n, offset);
}

ssize_t pwrite64(int fd, const void* from, size_t n, off64_t offset) {
  static auto* const next = Next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  CountIfSynchronous(fd);
  return next(fd, from, n, offset);
}

int close(int fd) {
  static auto* const next = Next<int(int)>("close");
  if (fd >= 0 && static_cast<size_t>(fd) < kinds.size()) {
    kinds[static_cast<size_t>(fd)] = FileKind::kUnknown;
  }
  return next(fd);
}

}  // extern "C"

namespace tuff::bench {

uint64_t CountSyncs() { return syncs; }

}  // namespace tuff::bench
