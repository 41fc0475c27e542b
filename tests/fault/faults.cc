#include "tests/fault/faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "tests/failing_new.h"

namespace tuff::test {
namespace {

std::atomic<bool> active{false};
Fault fault;  // changed only while not active
std::array<std::atomic<uint64_t>, kCalls> counts{};
std::atomic<uint64_t> refusals{0};
thread_local int own_calls = 0;

// The errno with which this call is to fail; 0: it is not to.
int Refuse(Call call) {
  if (!active.load(std::memory_order_acquire) || own_calls > 0) return 0;
  const uint64_t n = counts[static_cast<size_t>(call)].fetch_add(1, std::memory_order_relaxed);
  if (fault.error == 0 || call != fault.call) return 0;
  if (n != fault.nth && !(fault.for_ever && n > fault.nth)) return 0;
  refusals.fetch_add(1, std::memory_order_relaxed);
  return fault.error;
}

// True, with errno: the call is to fail.
bool Fails(Call call) {
  const int error = Refuse(call);
  if (error != 0) errno = error;
  return error != 0;
}

// The function of this name that libc or a sanitizer has.
template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void Begin(const Fault& next) {
  fault = next;
  for (auto& count : counts) count = 0;
  refusals = 0;
  active.store(true, std::memory_order_release);
}

}  // namespace

const char* CallName(Call call) {
  static constexpr const char* kNames[] = {
      "open",     "flock",   "fstat",      "fchmod",          "ftruncate", "fallocate",    "pread",
      "pwrite",   "fsync",   "fdatasync",  "sync_file_range", "msync",     "mmap",         "mremap",
      "mprotect", "madvise", "pkey_alloc", "pkey_mprotect",   "getrandom", "thread start", "new"};
  static_assert(std::size(kNames) == kCalls);
  return kNames[static_cast<size_t>(call)];
}

std::vector<Call> AllCalls() {
  std::vector<Call> all;
  for (size_t i = 0; i < kCalls; i++) all.push_back(static_cast<Call>(i));
  return all;
}

std::string FaultText(const Fault& fault) {
  const char* const how = fault.error == kShort ? "is short" : strerrorname_np(fault.error);
  return fmt::format("{} {}: {}{}", CallName(fault.call), fault.nth, how,
                     fault.for_ever ? " for ever" : "");
}

Injection::Injection() { Begin({}); }
Injection::Injection(const Fault& fault) { Begin(fault); }
void Injection::Stop() { active.store(false, std::memory_order_release); }

Injection::Counts Injection::calls() {
  Counts copy;
  for (size_t i = 0; i < kCalls; i++) copy[i] = counts[i];
  return copy;
}
uint64_t Injection::refused() { return refusals; }

OwnCalls::OwnCalls() { own_calls++; }
OwnCalls::~OwnCalls() { own_calls--; }

}  // namespace tuff::test

using tuff::test::Call;
using tuff::test::Fails;
using tuff::test::Next;
using tuff::test::Refuse;

// As libc declares them; libpmem2 and this program call no variants of other names.
extern "C" {

int open(const char* path, int flags, ...) {
  static auto* const next = Next<int(const char*, int, ...)>("open");
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return Fails(Call::kOpen) ? -1 : next(path, flags, mode);
}

int flock(int fd, int operation) noexcept {
  static auto* const next = Next<int(int, int)>("flock");
  return Fails(Call::kFlock) ? -1 : next(fd, operation);
}

int fstat(int fd, struct stat* st) noexcept {
  static auto* const next = Next<int(int, struct stat*)>("fstat");
  return Fails(Call::kFstat) ? -1 : next(fd, st);
}

int fchmod(int fd, mode_t mode) noexcept {
  static auto* const next = Next<int(int, mode_t)>("fchmod");
  return Fails(Call::kFchmod) ? -1 : next(fd, mode);
}

int ftruncate(int fd, off_t bytes) noexcept {
  static auto* const next = Next<int(int, off_t)>("ftruncate");
  return Fails(Call::kFtruncate) ? -1 : next(fd, bytes);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  static auto* const next = Next<int(int, int, off_t, off_t)>("fallocate");
  return Fails(Call::kFallocate) ? -1 : next(fd, mode, offset, bytes);
}

ssize_t pread(int fd, void* to, size_t n, off_t offset) {
  static auto* const next = Next<ssize_t(int, void*, size_t, off_t)>("pread");
  const int error = Refuse(Call::kPread);
  if (error == tuff::test::kShort) n = (n + 1) / 2;
  if (error <= 0) return next(fd, to, n, offset);
  errno = error;
  return -1;
}

ssize_t pwrite(int fd, const void* from, size_t n, off_t offset) {
  static auto* const next = Next<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  const int error = Refuse(Call::kPwrite);
  if (error == tuff::test::kShort) n = (n + 1) / 2;
  if (error <= 0) return next(fd, from, n, offset);
  errno = error;
  return -1;
}

int fsync(int fd) {
  static auto* const next = Next<int(int)>("fsync");
  return Fails(Call::kFsync) ? -1 : next(fd);
}

int fdatasync(int fd) {
  static auto* const next = Next<int(int)>("fdatasync");
  return Fails(Call::kFdatasync) ? -1 : next(fd);
}

int sync_file_range(int fd, off_t offset, off_t n, unsigned flags) {
  static auto* const next = Next<int(int, off_t, off_t, unsigned)>("sync_file_range");
  return Fails(Call::kSyncFileRange) ? -1 : next(fd, offset, n, flags);
}

int msync(void* at, size_t n, int flags) {
  static auto* const next = Next<int(void*, size_t, int)>("msync");
  return Fails(Call::kMsync) ? -1 : next(at, n, flags);
}

void* mmap(void* at, size_t n, int protection, int flags, int fd, off_t offset) noexcept {
  static auto* const next = Next<void*(void*, size_t, int, int, int, off_t)>("mmap");
  return Fails(Call::kMmap) ? MAP_FAILED : next(at, n, protection, flags, fd, offset);
}

void* mremap(void* at, size_t old_bytes, size_t bytes, int flags, ...) noexcept {
  static auto* const next = Next<void*(void*, size_t, size_t, int, ...)>("mremap");
  va_list rest;
  va_start(rest, flags);
  void* const to = (flags & MREMAP_FIXED) != 0 ? va_arg(rest, void*) : nullptr;
  va_end(rest);
  return Fails(Call::kMremap) ? MAP_FAILED : next(at, old_bytes, bytes, flags, to);
}

int mprotect(void* at, size_t n, int protection) noexcept {
  static auto* const next = Next<int(void*, size_t, int)>("mprotect");
  return Fails(Call::kMprotect) ? -1 : next(at, n, protection);
}

int madvise(void* at, size_t n, int advice) noexcept {
  static auto* const next = Next<int(void*, size_t, int)>("madvise");
  return Fails(Call::kMadvise) ? -1 : next(at, n, advice);
}

int pkey_alloc(unsigned flags, unsigned rights) noexcept {
  static auto* const next = Next<int(unsigned, unsigned)>("pkey_alloc");
  return Fails(Call::kPkeyAlloc) ? -1 : next(flags, rights);
}

int pkey_mprotect(void* at, size_t n, int protection, int key) noexcept {
  static auto* const next = Next<int(void*, size_t, int, int)>("pkey_mprotect");
  return Fails(Call::kPkeyMprotect) ? -1 : next(at, n, protection, key);
}

ssize_t getrandom(void* to, size_t n, unsigned flags) {
  static auto* const next = Next<ssize_t(void*, size_t, unsigned)>("getrandom");
  return Fails(Call::kGetrandom) ? -1 : next(to, n, flags);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                   void* argument) noexcept {
  static auto* const next =
      Next<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create");
  const int error = Refuse(Call::kThreadStart);
  return error != 0 ? error : next(thread, attributes, run, argument);
}

}  // extern "C"

bool tuff::test::RefusesAllocation() { return Fails(Call::kNew); }
