// PageMap: an open pool as frames: medium, superblocks, memmap, allocator, limbo, lanes, put
// together. What lies in the frames is the business of the layers above.
//
// Ownership: owns all of the above and the file descriptor (with its lock).
// Thread-safety: accessors, NextNumber and NextObjectId from any thread; Close is the last call.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "pagemap/allocator.h"
#include "pagemap/lanes.h"
#include "pagemap/limbo.h"
#include "pagemap/memmap.h"
#include "pagemap/pool_file.h"
#include "pagemap/superblock.h"
#include "pagemap/window.h"

namespace tuff {

class PageMap {
 public:
  /// Fills what the layers above keep at fixed places (the catalogue anchor) of a new pool, before
  /// its superblocks are written.
  using Format = std::function<Status(PersistDomain& domain, uint64_t hash_seed)>;

  static Status Create(const std::string& path, const CreateOptions& options, const Format& format);
  /// Removes a pool's file; a device stays as it is.
  static void Remove(const std::string& path);
  static Result<std::unique_ptr<PageMap>> Open(const std::string& path, const OpenOptions& options,
                                               const RecordCheck& record_check);
  ~PageMap();

  /// Drains limbo and marks the pool clean. REQUIRES: no other thread is inside, nothing pinned.
  Status Close();

  PersistDomain& domain() { return *domain_; }
  const std::byte* base() const { return domain_->base(); }
  Memmap& memmap() { return *memmap_; }
  FrameAllocator& allocator() { return *allocator_; }
  Limbo& limbo() { return *limbo_; }
  Lanes& lanes() { return *lanes_; }
  Counters& counters() { return domain_->counters(); }
  uint64_t frames() const { return superblock_.frames; }
  uint64_t hash_seed() const { return superblock_.hash_seed; }
  bool read_only() const { return domain_->medium().read_only(); }
  /// True if the mount before this one was not closed.
  bool was_unclean() const { return !was_clean_; }
  /// True if this mount has recovered it in an overlay, and the file is as the crash left it.
  bool recovered_in_memory() const { return was_unclean() && read_only(); }
  /// True if a torn record may be the trace of a crash: one has happened since the last scrub.
  bool crashed_since_scrub() const { return crashed_since_scrub_.load(std::memory_order_acquire); }
  /// For who has seen that nothing torn is left: from now on, durably, a torn record is damage.
  Status ForgetCrash();
  /// A moment's copy.
  Superblock superblock() const;
  /// What is wrong with copy 0 or 1 as it lies there; OK if nothing.
  Status ExamineCopy(int copy) const;
  const std::string& path() const { return path_; }
  void Log(LogLevel level, const std::string& line) const;

  /// The next sequence or node number; 0 if the reservation could not be made durable.
  uint64_t NextNumber() {
    const uint64_t number = next_number_.fetch_add(1, std::memory_order_acq_rel);
    if (number >= number_limit_.load(std::memory_order_acquire)) [[unlikely]] {
      if (!ReserveNumbers(number).ok()) return 0;
    }
    return number;
  }
  /// A number that no number handed out later is below. Whoever took a smaller one has made
  /// visible what it did before.
  uint64_t NumberBound() const { return next_number_.load(std::memory_order_acquire); }

  /// A new object's id, durable before it is returned.
  Result<uint32_t> NextObjectId();

  /// Whether the next mount should look into the graveyard: durable when it returns.
  Status SetGraveyardInUse(bool in_use);
  bool graveyard_in_use() const { return (superblock().state & kStateGraveyard) != 0; }

  /// Tells other processes of this one; fills in what makes the status valid.
  void ShowStatus(LiveStatus status);
  /// What there is to see of a pool that may be in use: its superblock, and a status, all zero if
  /// there is none of this mount. Takes no lock.
  struct Glance {
    Superblock superblock;
    LiveStatus status;
  };
  static Result<Glance> Peek(const std::string& path);

  /// OK if frames pfn to pfn + 2^order - 1 exist and are not the pool's own tables.
  bool RunInPool(Pfn pfn, unsigned order) const {
    return pfn < frames() && !IsReserved(pfn) && (1ull << order) <= frames() - pfn;
  }

 private:
  PageMap() = default;
  Status Mount(const OpenOptions& options, const RecordCheck& record_check);
  Status BeginWriting(int best);
  Status Recover(const RecordCheck& record_check);
  Status ReserveNumbers(uint64_t number);
  void Adopt(const Superblock& next);

  std::string path_;
  FileDescriptor fd_;
  LogCallback log_;
  std::unique_ptr<PersistDomain> domain_;
  std::unique_ptr<Memmap> memmap_;
  std::unique_ptr<FrameAllocator> allocator_;
  std::unique_ptr<Limbo> limbo_;
  std::unique_ptr<Lanes> lanes_;
  bool was_clean_ = false;
  std::atomic<bool> crashed_since_scrub_{false};
  bool closed_ = true;  // until it is mounted

  mutable std::mutex superblock_mutex_;
  // Guarded by superblock_mutex_; but frames and hash_seed are written by Mount only.
  Superblock superblock_{};
  std::atomic<uint64_t> next_number_{0};
  std::atomic<uint64_t> number_limit_{0};
};

}  // namespace tuff
