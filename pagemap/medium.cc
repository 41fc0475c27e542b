#include "pagemap/medium.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <libpmem2.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "pagemap/checksum.h"
#include "pagemap/pfn.h"

namespace tuff {
namespace {

#ifndef MADV_POPULATE_READ  // Linux 5.14
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLLAPSE  // Linux 6.1
#define MADV_COLLAPSE 25
#endif

Status Pmem2Status(int error, const std::string& what, const std::string& path) {
  if (error == PMEM2_E_MAP_RANGE) {
    return Status(Code::kCorruption,
                  fmt::format("{}: file is smaller than what is to be mapped", path));
  }
  if (error == PMEM2_E_INVALID_FILE_TYPE) return NotAPoolFile(path);
  // libpmem2 answers with -errno, or with a number of its own from -100000 down.
  if (error > -100000) return ErrnoStatus(-error, what, path);
  return Status(Code::kIo, fmt::format("{}: {}: {}", path, what, pmem2_errormsg()));
}

Granularity FromPmem2(pmem2_granularity granularity) {
  switch (granularity) {
    case PMEM2_GRANULARITY_BYTE:
      return Granularity::kByte;
    case PMEM2_GRANULARITY_CACHE_LINE:
      return Granularity::kCacheLine;
    default:
      return Granularity::kPage;
  }
}
pmem2_granularity ToPmem2(Granularity granularity) {
  switch (granularity) {
    case Granularity::kByte:
      return PMEM2_GRANULARITY_BYTE;
    case Granularity::kCacheLine:
      return PMEM2_GRANULARITY_CACHE_LINE;
    default:
      return PMEM2_GRANULARITY_PAGE;
  }
}

// What makes stores durable. libpmem2 gives these functions out by way of a mapping, but they serve
// any address.
struct Functions {
  pmem2_memcpy_fn copy = nullptr;
  pmem2_flush_fn flush = nullptr;
  pmem2_drain_fn drain = nullptr;
};

Functions FunctionsOf(pmem2_map* map) {
  return {pmem2_get_memcpy_fn(map), pmem2_get_flush_fn(map), pmem2_get_drain_fn(map)};
}

// Those of a granularity of our choice; 0 or libpmem2's error. They come from a mapping of a page
// of our own that is kept for ever: libpmem2 1.12 never gives back the thread-specific key of a
// pmem2_map_from_existing, and a process has 1024 of them.
int FunctionsFor(Granularity granularity, Functions* functions) {
  struct alignas(kFrameSize) Page {
    std::byte bytes[kFrameSize];
  };
  static std::array<Page, 3> pages;
  static std::array<pmem2_map*, 3> maps;
  static std::mutex mutex;
  const auto i = static_cast<size_t>(granularity);
  std::lock_guard lock(mutex);
  if (maps[i] == nullptr) {
    pmem2_source* source = nullptr;
    int error = pmem2_source_from_anon(&source, sizeof(Page));
    if (error != 0) return error;
    error =
        pmem2_map_from_existing(&maps[i], source, &pages[i], sizeof(Page), ToPmem2(granularity));
    pmem2_source_delete(&source);
    if (error != 0) return error;
  }
  *functions = FunctionsOf(maps[i]);
  return 0;
}

// Address space is reserved for the pool to grow into; less where that much is refused (TSan,
// RLIMIT_AS), at the least what is mapped now.
constexpr uint64_t kReserveBytes = 16ull << 40;

class Pmem2Medium final : public Medium {
 public:
  ~Pmem2Medium() override {
    if (map_ != nullptr && pmem2_map_delete(&map_) != 0) Unmap();
    if (reservation_ != nullptr) pmem2_vm_reservation_delete(&reservation_);
    if (config_ != nullptr) pmem2_config_delete(&config_);
    if (source_ != nullptr) pmem2_source_delete(&source_);
  }

  // libpmem2 fails where it finds no memory for what takes the mapping's place in the reservation.
  // The mapping must go: it holds the file's lock.
  void Unmap() {
    munmap(base_, bytes_);
    if (reservation_ == nullptr) return;
    munmap(pmem2_vm_reservation_get_address(reservation_),
           pmem2_vm_reservation_get_size(reservation_));
    reservation_ = nullptr;
  }

  Status Init(int fd, const std::string& path, uint64_t bytes, const Options& options) {
    fd_ = fd;
    path_ = path;
    bytes_ = bytes;
    read_only_ = options.read_only;
    if (int error = pmem2_source_from_fd(&source_, fd); error != 0) {
      return Pmem2Status(error, "cannot be used as a pool", path);
    }
    if (int error = pmem2_config_new(&config_); error != 0) {
      return Pmem2Status(error, "cannot map", path);
    }
    if (size_t page = 0; pmem2_source_alignment(source_, &page) == 0 && page > kFrameSize) {
      page_size_ = page;
    }
    pmem2_config_set_length(config_, bytes);
    pmem2_config_set_required_store_granularity(config_, PMEM2_GRANULARITY_PAGE);
    pmem2_config_set_protection(config_,
                                read_only_ ? PMEM2_PROT_READ : PMEM2_PROT_READ | PMEM2_PROT_WRITE);
    const uint64_t padded = options.padded_bytes > bytes ? options.padded_bytes : 0;
    const uint64_t wanted = options.reserve ? kReserveBytes : padded;
    for (uint64_t reserve = wanted; reserve >= bytes; reserve /= 2) {
      if (pmem2_vm_reservation_new(&reservation_, nullptr, reserve) == 0) break;
      reservation_ = nullptr;
    }
    if (reservation_ != nullptr) pmem2_config_set_vm_reservation(config_, reservation_, 0);
    if (int error = pmem2_map_new(&map_, config_, source_); error != 0) {
      return Pmem2Status(error, "cannot map", path);
    }
    base_ = static_cast<std::byte*>(pmem2_map_get_address(map_));
    granularity_ = FromPmem2(pmem2_map_get_store_granularity(map_));
    medium_granularity_ = granularity_;
    // libpmem2 obeys this variable; what the medium itself has is then unknown, so assume the
    // least.
    const char* forced = std::getenv("PMEM2_FORCE_GRANULARITY");
    if (forced != nullptr && granularity_ != Granularity::kPage) {
      medium_granularity_ = Granularity::kPage;
    }
    functions_ = FunctionsOf(map_);
    if (options.force && *options.force != granularity_) {
      if (int error = FunctionsFor(*options.force, &functions_); error != 0) {
        return Pmem2Status(error, "cannot force a granularity", path);
      }
      granularity_ = *options.force;
    }
    struct stat st {};
    stores_by_write_ = granularity_ == Granularity::kPage && !read_only_ && fstat(fd_, &st) == 0 &&
                       S_ISREG(st.st_mode);
    if (padded != 0) {
      if (Status s = Pad(padded); !s.ok()) return s;
    }
    // A forked child must not hold a second writer's mapping; see the design on fork.
    (void)madvise(base_, bytes_, MADV_DONTFORK);
    return Status();
  }

  Status Pad(uint64_t bytes) {
    constexpr int kHow = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (reservation_ == nullptr || pmem2_vm_reservation_get_size(reservation_) < bytes ||
        mmap(base_ + bytes_, bytes - bytes_, PROT_READ, kHow, -1, 0) == MAP_FAILED) {
      return ErrnoStatus(ENOMEM, "cannot map what the file has lost", path_);
    }
    // Less than a frame, which a mapping leaves out.
    void* const rest = base_ + bytes_;
    if (mprotect(rest, kFrameSize, PROT_READ | PROT_WRITE) != 0 ||
        pread(fd_, rest, kFrameSize, static_cast<off_t>(bytes_)) < 0 ||
        mprotect(rest, kFrameSize, PROT_READ) != 0) {
      return ErrnoStatus(errno, "cannot read the file's end", path_);
    }
    bytes_ = bytes;
    return Status();
  }

  void CopyFlushed(std::byte* to, const void* from, size_t n) const override {
    if (granularity_ == Granularity::kPage) {
      std::memcpy(to, from, n);
    } else {
      functions_.copy(to, from, n, PMEM2_F_MEM_NODRAIN);
    }
  }
  void Flush(const std::byte* at, size_t n) const override {
    if (granularity_ != Granularity::kPage) functions_.flush(const_cast<std::byte*>(at), n);
  }
  void Drain() const override {
    if (granularity_ != Granularity::kPage) functions_.drain();
  }

 private:
  pmem2_source* source_ = nullptr;
  pmem2_config* config_ = nullptr;
  pmem2_vm_reservation* reservation_ = nullptr;
  pmem2_map* map_ = nullptr;
  Functions functions_;
};

}  // namespace

bool BackWithHugePages(int fd, uint64_t offset, uint64_t n, std::byte* at) {
  if ((offset | n | reinterpret_cast<uintptr_t>(at)) % kHugePage != 0) return false;
  const off_t data = lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0 ? errno != ENXIO : static_cast<uint64_t>(data) < offset + n) return false;
  for (uint64_t done = 0; done < n; done += kHugePage) {
    // There must be one page that the others are to join.
    if (madvise(at + done, kFrameSize, MADV_POPULATE_READ) != 0 ||
        madvise(at + done, kHugePage, MADV_COLLAPSE) != 0) {
      return false;
    }
  }
  return true;
}

Status NotAPoolFile(const std::string& path) {
  return Status(Code::kInvalidArgument,
                fmt::format("{}: neither a regular file nor a devdax device", path));
}

Status ErrnoStatus(int error, const std::string& what, const std::string& path) {
  Code code = Code::kIo;
  std::string_view advice;
  switch (error) {
    case ENOENT:
      code = Code::kNotFound;
      break;
    case EACCES:
    case EPERM:
      code = Code::kPermission;
      advice = "; check the file's owner and mode";
      break;
    case EROFS:
      code = Code::kPermission;
      advice = "; remount it for writing, or open read-only";
      break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      code = Code::kNoSpace;
      advice = "; free some space or choose a smaller size";
      break;
    case EEXIST:
      code = Code::kExists;
      break;
    case EISDIR:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
      code = Code::kInvalidArgument;
      break;
    case ENOMEM:
      code = Code::kNoMemory;
      break;
    default:
      break;
  }
  return Status(code, fmt::format("{}: {}: {}{}", path, what, std::strerror(error), advice));
}

Result<std::unique_ptr<Medium>> Medium::Map(int fd, const std::string& path, uint64_t bytes,
                                            const Options& options) {
  auto medium = std::make_unique<Pmem2Medium>();
  if (Status s = medium->Init(fd, path, bytes, options); !s.ok()) return s;
  return std::unique_ptr<Medium>(std::move(medium));
}

Result<uint64_t> Medium::SizeOf(int fd, const std::string& path) {
  pmem2_source* source = nullptr;
  size_t bytes = 0;
  int error = pmem2_source_from_fd(&source, fd);
  if (error == 0) {
    error = pmem2_source_size(source, &bytes);
    pmem2_source_delete(&source);
  }
  if (error != 0) return Pmem2Status(error, "cannot tell the size", path);
  return uint64_t{bytes};
}

Medium::DeviceState Medium::GetDeviceState() const {
  DeviceState state;
  if (medium_granularity_ == Granularity::kPage) return state;  // asking takes long, and in vain
  pmem2_source* source = nullptr;
  if (pmem2_source_from_fd(&source, fd_) != 0) return state;
  size_t n = 0;
  if (pmem2_source_device_id(source, nullptr, &n) == 0 && n > 0) {
    std::string id(n, '\0');
    if (pmem2_source_device_id(source, id.data(), &n) == 0) {
      for (uint64_t i = 0; i < 4; i++) {
        const uint64_t word = Checksum64(id.data(), n, i);
        std::memcpy(state.id + 8 * i, &word, 8);
      }
    }
  }
  if (pmem2_source_device_usc(source, &state.unsafe_shutdown_count) != 0) {
    state.unsafe_shutdown_count = 0;
  }
  pmem2_source_delete(&source);
  return state;
}

int Medium::Write(uint64_t offset, const void* from, size_t n) const {
  const char* at = static_cast<const char*>(from);
  while (n > 0) {
    const ssize_t written = pwrite(fd_, at, n, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : ENOSPC;
    at += written;
    offset += static_cast<uint64_t>(written);
    n -= static_cast<size_t>(written);
  }
  return 0;
}

Status Medium::Sync(uint64_t offset, uint64_t n) const {
  const uint64_t start = offset & ~(kFrameSize - 1);
  const uint64_t end = (offset + n + kFrameSize - 1) & ~(kFrameSize - 1);
  if (msync(base_ + start, end - start, MS_SYNC) != 0) return ErrnoStatus(errno, "msync", path_);
  return Status();
}

Status Medium::SyncAll() const {
  if (Uninterrupted([&] { return fdatasync(fd_); }) != 0 && errno != EINVAL)
    return ErrnoStatus(errno, "fdatasync", path_);
  return Status();
}

bool Medium::IsTmpfs() const {
  struct statfs fs {};
  return fstatfs(fd_, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

void Medium::Prefault(uint64_t offset, uint64_t n) const {
  if (granularity_ == Granularity::kPage || read_only_) return;
  if (medium_granularity_ == Granularity::kPage && !IsTmpfs()) return;
  (void)madvise(base_ + offset, n, MADV_POPULATE_WRITE);  // a kernel before 5.14 does not know it
}

// A copy made elsewhere and moved into place: the way that every medium allows.
Status Medium::CopyPage(uint64_t offset) {
  void* const copy =
      mmap(nullptr, page_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (copy == MAP_FAILED) return ErrnoStatus(errno, "cannot copy a page", path_);
  std::memcpy(copy, base_ + offset, page_size_);
  (void)madvise(copy, page_size_, MADV_DONTFORK);  // as what it takes the place of
  if (mremap(copy, page_size_, page_size_, MREMAP_MAYMOVE | MREMAP_FIXED, base_ + offset) ==
      MAP_FAILED) {
    const int error = errno;
    munmap(copy, page_size_);
    return ErrnoStatus(error, "cannot replace a page by its copy", path_);
  }
  private_pages_.insert(offset);
  return Status();
}

Status Medium::MakePrivate(uint64_t offset, uint64_t n) {
  for (uint64_t at = offset & ~(page_size_ - 1); at < offset + n; at += page_size_) {
    if (private_pages_.contains(at)) continue;
    if (Status s = CopyPage(at); !s.ok()) return s;
  }
  return Status();
}

Status Medium::SealPrivate() {
  for (const uint64_t at : private_pages_) {
    if (mprotect(base_ + at, page_size_, PROT_READ) != 0) {
      return ErrnoStatus(errno, "cannot protect a copied page", path_);
    }
  }
  return Status();
}

Status Medium::Reserve(uint64_t offset, uint64_t n) const {
  if (!read_only_ && IsTmpfs() && BackWithHugePages(fd_, offset, n, base_ + offset))
    return Status();
  const auto reserve = [&] {
    return fallocate(fd_, 0, static_cast<off_t>(offset), static_cast<off_t>(n));
  };
  if (Uninterrupted(reserve) != 0 && errno != EOPNOTSUPP && errno != ENODEV) {
    return ErrnoStatus(errno, "cannot reserve space of the sparse file", path_);
  }
  return Status();
}

Medium::Extent Medium::FindHole(uint64_t start, uint64_t end) const {
  for (auto at = static_cast<off_t>(start);;) {
    const off_t hole = lseek(fd_, at, SEEK_HOLE);
    if (hole < 0 && errno == ENXIO && start < end) return {start, end};  // behind the file's end
    if (hole < 0 || static_cast<uint64_t>(hole) >= end) return {end, end};
    const off_t data = lseek(fd_, hole, SEEK_DATA);
    if (data < 0 && errno != ENXIO) return {end, end};
    const uint64_t first = (static_cast<uint64_t>(hole) + kFrameSize - 1) & ~(kFrameSize - 1);
    const uint64_t last = data < 0 ? end : static_cast<uint64_t>(data) & ~(kFrameSize - 1);
    if (first >= end) return {end, end};
    if (first < last) return {first, std::min(last, end)};
    if (data < 0) return {end, end};
    at = data;  // less than a frame, or filled meanwhile
  }
}

Status Medium::WriteReserved(uint64_t offset, uint64_t n) const {
  if (!stores_by_write_ || IsTmpfs()) return Status();
  const off_t data = lseek(fd_, static_cast<off_t>(offset), SEEK_DATA);
  const bool written = data < 0 ? errno != ENXIO : static_cast<uint64_t>(data) < offset + n;
  if (written) return Status();
  static constexpr std::array<std::byte, kFrameSize> kZeros{};
  for (uint64_t done = 0; done < n; done += kZeros.size()) {
    if (Write(offset + done, kZeros.data(), kZeros.size()) != 0) return Status();
  }
  constexpr unsigned kWriteAndWait =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  if (sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(n), kWriteAndWait) != 0 &&
      (errno == EIO || errno == ENOSPC || errno == EDQUOT)) {
    return ErrnoStatus(errno, "sync_file_range", path_);
  }
  return Status();
}

}  // namespace tuff
