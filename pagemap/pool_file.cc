#include "pagemap/pool_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>
#include <vector>

#include "pagemap/medium.h"
#include "pagemap/pfn.h"
#include "pagemap/superblock.h"

namespace tuff {
namespace {

// Who holds the pool, as its superblock hints; a hint of an earlier boot or a dead process is
// stale.
std::string HolderHint(int fd) {
  Superblock sb;
  uint8_t boot[16];
  ReadBootId(boot);
  if (pread(fd, &sb, sizeof sb, 0) != sizeof sb || sb.writer_pid == 0 ||
      std::memcmp(sb.boot_id, boot, sizeof boot) != 0 ||
      (kill(static_cast<pid_t>(sb.writer_pid), 0) != 0 && errno == ESRCH)) {
    return "another process";
  }
  std::string name;
  if (FILE* comm = std::fopen(fmt::format("/proc/{}/comm", sb.writer_pid).c_str(), "re")) {
    char line[64] = {};
    if (std::fgets(line, sizeof line, comm) != nullptr) name = line;
    (void)std::fclose(comm);
  }
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return fmt::format("process {}{}", sb.writer_pid, name.empty() ? "" : " (" + name + ")");
}

Status LockPoolFile(int fd, const std::string& path, bool read_only) {
  if (flock(fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) return Status();
  if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "cannot lock", path);
  return Status(Code::kLocked,
                fmt::format("{}: in use by {}; close it there first", path, HolderHint(fd)));
}

// Returns how many bytes at the file's beginning hold zeros now.
uint64_t FillWithHugePages(int fd, uint64_t bytes) {
  // Mapped a part at a time, at an address that is a multiple of the page's size.
  void* const room =
      mmap(nullptr, 2 * kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return 0;
  auto* const place = static_cast<std::byte*>(room) +
                      (kHugePage - reinterpret_cast<uintptr_t>(room) % kHugePage) % kHugePage;
  uint64_t at = 0;
  while (at + kHugePage <= bytes &&
         mmap(place, kHugePage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
              static_cast<off_t>(at)) != MAP_FAILED &&
         BackWithHugePages(fd, at, kHugePage, place)) {
    at += kHugePage;
  }
  munmap(room, 2 * kHugePage);
  return at;
}

Status FillWithZeros(int fd, const std::string& path, uint64_t bytes) {
  struct statvfs fs {};
  if (fstatvfs(fd, &fs) == 0 && bytes > fs.f_bavail * fs.f_frsize) {
    return Status(
        Code::kNoSpace,
        fmt::format("{}: needs {} bytes, its file system has {} free; make it smaller, or sparse",
                    path, bytes, fs.f_bavail * fs.f_frsize));
  }
  struct statfs kind {};
  const bool in_memory = fstatfs(fd, &kind) == 0 && kind.f_type == TMPFS_MAGIC;
  uint64_t at = in_memory ? FillWithHugePages(fd, bytes) : 0;
  // On a disk a frame at a time: the page cache keeps what one call writes as one piece, up to
  // MiBs, and a store through the mapping makes all of its piece dirty, to be written by the next
  // sync.
  const std::vector<char> zeros(in_memory ? size_t{4} << 20 : kFrameSize, 0);
  while (at < bytes) {
    const size_t n = std::min<uint64_t>(zeros.size(), bytes - at);
    const ssize_t written = pwrite(fd, zeros.data(), n, static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      return ErrnoStatus(written < 0 ? errno : ENOSPC,
                         fmt::format("cannot write its {} bytes", bytes), path);
    }
    at += static_cast<uint64_t>(written);
  }
  return Status();
}

Status FillPoolFile(int fd, const std::string& path, const CreateOptions& options) {
  const uint64_t bytes = OffsetOf(UsableFrames(options.size_bytes));
  if (options.mode != 0 && fchmod(fd, options.mode) != 0) {
    return ErrnoStatus(errno, "cannot set its mode", path);
  }
  if (Uninterrupted([&] { return ftruncate(fd, static_cast<off_t>(bytes)); }) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot make it {} bytes long", bytes), path);
  }
  if (!options.sparse) {
    if (Status s = FillWithZeros(fd, path, bytes); !s.ok()) return s;
  } else {
    // What the first mount writes gets its space now.
    const uint64_t head = OffsetOf(FrameTablePfn(0) + kFrameTableFrames);
    const auto reserve = [&] { return fallocate(fd, 0, 0, static_cast<off_t>(head)); };
    if (Uninterrupted(reserve) != 0 && errno != EOPNOTSUPP) {
      return ErrnoStatus(errno, "cannot reserve its first bytes", path);
    }
  }
  if (Uninterrupted([&] { return fsync(fd); }) != 0) return ErrnoStatus(errno, "fsync", path);
  return Status();
}

}  // namespace

void FileDescriptor::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Result<FileDescriptor> OpenPoolFile(const std::string& path, bool read_only) {
  // Not to wait for the other end of a FIFO.
  FileDescriptor file(
      open(path.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  const int fd = file.get();
  if (fd < 0) return errno == ENXIO ? NotAPoolFile(path) : ErrnoStatus(errno, "cannot open", path);
  struct stat st {};
  if (fstat(fd, &st) != 0) return ErrnoStatus(errno, "cannot stat", path);
  if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) return NotAPoolFile(path);
  if (Status s = LockPoolFile(fd, path, read_only); !s.ok()) return s;
  return file;
}

Result<FileDescriptor> CreatePoolFile(const std::string& path, const CreateOptions& options) {
  struct stat st {};
  if (stat(path.c_str(), &st) == 0 && S_ISCHR(st.st_mode)) return OpenPoolFile(path, false);
  if (UsableFrames(options.size_bytes) < kSectionFramesMin || options.size_bytes < kPoolSizeMin) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{}: a pool has at least {} bytes ({} asked for)", path, kPoolSizeMin,
                              options.size_bytes));
  }
  if (UsableFrames(options.size_bytes) >= (1ull << kPfnBits)) {
    return Status(Code::kInvalidArgument, fmt::format("{}: a pool has less than 4 PiB", path));
  }
  FileDescriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (file.get() < 0) return ErrnoStatus(errno, "cannot create", path);
  Status s;
  try {
    s = LockPoolFile(file.get(), path, false);
    if (s.ok()) s = FillPoolFile(file.get(), path, options);
  } catch (const std::bad_alloc&) {
    s = Status(Code::kNoMemory, "out of memory");
  }
  if (s.ok()) return file;
  unlink(path.c_str());
  return s;
}

Status SyncDirectoryOf(const std::string& path) {
  std::string directory = std::filesystem::path(path).parent_path().string();
  if (directory.empty()) directory = ".";
  const FileDescriptor file(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const int fd = file.get();
  if (fd < 0) return ErrnoStatus(errno, "cannot open the directory", directory);
  const int error = Uninterrupted([&] { return fsync(fd); }) == 0 ? 0 : errno;
  return error == 0 || error == EINVAL ? Status() : ErrnoStatus(error, "fsync", directory);
}

Status ReadHead(int fd, const std::string& path, void* to, size_t n) {
  std::memset(to, 0, n);
  for (size_t at = 0; at < n;) {
    const ssize_t got = pread(fd, static_cast<char*>(to) + at, n - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "cannot read", path);
    if (got == 0) break;
    at += static_cast<size_t>(got);
  }
  return Status();
}

bool IsSparse(int fd, uint64_t bytes) {
  struct stat st {};
  return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
         static_cast<uint64_t>(st.st_blocks) * 512 < bytes;
}

void ReadBootId(uint8_t id[16]) {
  std::memset(id, 0, 16);
  FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "re");
  if (file == nullptr) return;
  unsigned nibbles = 0;
  for (int c = std::fgetc(file); c != EOF && nibbles < 32; c = std::fgetc(file)) {
    if (std::isxdigit(c) == 0) continue;
    const int value = c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
    id[nibbles / 2] = static_cast<uint8_t>(id[nibbles / 2] << 4 | value);
    nibbles++;
  }
  (void)std::fclose(file);
}

}  // namespace tuff
