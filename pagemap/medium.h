// Medium: a file or device of persistent memory, mapped once. The one place that calls libpmem2.
//
// Ownership: borrows the file descriptor, owns the mapping and its address reservation.
// Thread-safety: const functions may be called from any thread.
// Only WriteWindow writes through the mapping; everybody else gets const bytes. A read-only medium
// can have an overlay: private copies of pages in memory, in place of those of the file.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "pagemap/pfn.h"
#include "tuff/options.h"
#include "tuff/status.h"

namespace tuff {

class Medium {
 public:
  struct Options {
    bool read_only = false;
    std::optional<Granularity> force;  // instead of the medium's own
    /// Reserve addresses to grow into. libpmem2 1.12 does not give back 1 GiB of each reservation
    /// (addresses only), so only what can grow asks for it.
    bool reserve = true;
    /// Maps zeros that are not the file's behind its bytes, up to this length. REQUIRES: read_only.
    uint64_t padded_bytes = 0;
  };

  /// Maps the first `bytes` (a multiple of the frame size) of `fd`, inside address space reserved
  /// large, so that the pool can grow in place. `path` is for messages.
  static Result<std::unique_ptr<Medium>> Map(int fd, const std::string& path, uint64_t bytes,
                                             const Options& options);
  virtual ~Medium() = default;

  /// Size of the file or device in bytes.
  static Result<uint64_t> SizeOf(int fd, const std::string& path);

  const std::byte* base() const { return base_; }
  uint64_t bytes() const { return bytes_; }
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  bool read_only() const { return read_only_; }
  Granularity granularity() const { return granularity_; }  // in force
  Granularity medium_granularity() const { return medium_granularity_; }
  /// False if a power failure may lose what Flush and Drain said is durable.
  bool power_safe() const { return granularity_ >= medium_granularity_; }

  /// XXH3 of the device's id in `id` (32 bytes), and its unsafe-shutdown count; zero where unknown.
  struct DeviceState {
    uint8_t id[32] = {};
    uint64_t unsafe_shutdown_count = 0;
  };
  DeviceState GetDeviceState() const;

  // What follows is for WriteWindow and recovery. Under PAGE, Flush and Drain do nothing.

  /// True if bytes are to be stored by Write: under PAGE, in a regular file opened for writing. The
  /// mapping shows them at once, as both are the page cache. A store through the mapping would
  /// fault at each page that was synced since the last one, and make all of the page cache's
  /// piece of the file dirty that holds it: MiBs, where the file was written or read ahead so.
  bool stores_by_write() const { return stores_by_write_; }
  /// Stores by pwrite(2). Not atomic, whatever n is. Returns 0 or an errno.
  int Write(uint64_t offset, const void* from, size_t n) const;

  /// Copies and flushes; may bypass the caches.
  virtual void CopyFlushed(std::byte* to, const void* from, size_t n) const = 0;
  virtual void Flush(const std::byte* at, size_t n) const = 0;
  virtual void Drain() const = 0;
  /// Writes the pages of a range back and waits.
  Status Sync(uint64_t offset, uint64_t n) const;
  /// The same for the whole file.
  Status SyncAll() const;
  /// Has the file system set space aside for a range of a sparse file.
  Status Reserve(uint64_t offset, uint64_t n) const;
  struct Extent {
    uint64_t start, end;  // bytes of the file
  };
  /// The first hole of the file from `start` (a multiple of the frame size) on that begins before
  /// `end`, as far as that, in whole frames; {end, end} if there is none, or nobody knows.
  Extent FindHole(uint64_t start, uint64_t end) const;
  /// Writes zeros to a range that was reserved and never written, where that makes later syncs
  /// cheaper: the first sync of each page would else wait for the file system's journal as well. A
  /// hint; but an error may be that of a page which somebody else has written, and is told only
  /// once: then it counts as a failed sync.
  /// REQUIRES: the range holds zeros, and nobody stores to it meanwhile.
  Status WriteReserved(uint64_t offset, uint64_t n) const;
  /// Maps a range for writing in one go, where that costs no I/O: instead of a page fault for each
  /// page. A hint. REQUIRES: a WriteWindow is open.
  void Prefault(uint64_t offset, uint64_t n) const;

  /// Puts private copies in place of the pages of a range, writable: what is stored there from now
  /// on never reaches the file. REQUIRES: read_only(); no other thread uses the medium.
  Status MakePrivate(uint64_t offset, uint64_t n);
  /// Takes the private copies' write permission away, so that a stray store faults as elsewhere.
  Status SealPrivate();
  /// Byte offsets of the pages that have private copies.
  const std::set<uint64_t>& private_pages() const { return private_pages_; }
  uint64_t page_size() const { return page_size_; }  // bytes

 protected:
  Medium() = default;
  std::byte* mutable_base() const { return base_; }
  Status CopyPage(uint64_t offset);
  bool IsTmpfs() const;

  std::byte* base_ = nullptr;
  uint64_t bytes_ = 0;
  int fd_ = -1;
  std::string path_;
  bool read_only_ = false;
  bool stores_by_write_ = false;
  Granularity granularity_ = Granularity::kPage;
  Granularity medium_granularity_ = Granularity::kPage;
  // Bytes: what a part of the mapping that is replaced is a multiple of. devdax does not split its
  // huge pages.
  uint64_t page_size_ = kFrameSize;
  std::set<uint64_t> private_pages_;  // byte offsets

  friend class WriteWindow;
  friend class Memmap;      // the memmap's bytes are volatile
  friend class WriteGuard;  // changes the mapping's protection
};

/// Makes a system call, which returns 0 or -1 with errno, again as long as a signal interrupts it.
template <typename SystemCall>
int Uninterrupted(const SystemCall& call) {
  int result = 0;
  do {
    result = call();
  } while (result != 0 && errno == EINTR);
  return result;
}

/// errno as a Status: what failed, on what, why, what to do.
Status ErrnoStatus(int error, const std::string& what, const std::string& path);

/// Has a hole of a file on tmpfs filled with zeroed pages of 2 MiB, which cost an eighth of what as
/// many bytes of small pages do, and then half the address translations. `at` is where the range is
/// mapped; no store is done. False if it is not a hole, or the kernel would or could not: some of
/// the range may then be backed. A mount with huge=never allows it, for it is asked for
/// (MADV_COLLAPSE, Linux 6.1).
bool BackWithHugePages(int fd, uint64_t offset, uint64_t n, std::byte* at);
inline constexpr uint64_t kHugePage = 2ull << 20;

/// What is there is of no kind that can hold a pool.
Status NotAPoolFile(const std::string& path);

}  // namespace tuff
