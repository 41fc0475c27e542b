// Pool: one file (or device) of persistent memory, mapped once, holding named stores.
//
//   auto pool = tuff::Pool::Open("/mnt/pmem/pool");
//   if (!pool.ok()) return pool.status();
//   auto store = (*pool)->OpenOrCreateStore("users");
//   Status s = (*store)->Put("ada", "1815");
//
// One process at a time writes a pool (an flock(2) on the file); while none does, any number may
// open it read-only.
// Thread-safety: all functions but Close may be called from any thread; Close must be the last
// call.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tuff/options.h"
#include "tuff/scrub.h"
#include "tuff/snapshot.h"
#include "tuff/statistics.h"
#include "tuff/status.h"
#include "tuff/store.h"
#include "tuff/transaction.h"
#include "tuff/write_batch.h"

namespace tuff {

struct StoreInfo {
  std::string name;
  uint32_t object_id = 0;
  uint64_t anchor_pfn = 0;
  uint64_t created_ns = 0;   ///< since the epoch
  uint64_t modified_ns = 0;  ///< since the epoch; as of the last clean close
};

/// What a superblock and this mount say about a pool.
struct PoolInfo {
  std::string path;
  std::string uuid;
  uint32_t format_version = 0;
  uint64_t size_bytes = 0;
  uint64_t frames = 0;
  uint64_t sections = 0;
  uint64_t mount_count = 0;
  bool read_only = false;
  bool was_clean = false;            ///< closed cleanly before this mount
  bool recovered_in_memory = false;  ///< it was not, and a read-only open leaves the file so
  bool crashed_since_scrub = false;
  bool ever_forced = false;  ///< once used with a granularity its medium does not have
  Granularity granularity = Granularity::kPage;         ///< in force
  Granularity medium_granularity = Granularity::kPage;  ///< what the medium has
  Guard guard = Guard::kNone;                           ///< in force
  MemmapPlace memmap = MemmapPlace::kDram;              ///< in force
  uint64_t mount_flags = 0;                             ///< administrator's
  uint32_t writer_pid = 0;  ///< process that has it open for writing, as far as known; 0: none

  // Snapshots taken and not released in that process. Forgotten ones show by their age.
  uint64_t snapshots = 0;
  uint64_t snapshot_age_ns_max = 0;
  uint64_t versions_retained = 0;
  uint64_t version_bytes_retained = 0;  ///< DRAM
};

class Pool {
 public:
  /// Makes a new pool and opens it. An existing file is never touched (Exists); a character device
  /// (devdax) is taken if it does not hold a pool already.
  /// Errors: InvalidArgument (size), Exists, NoSpace, Permission, Io.
  static Result<std::unique_ptr<Pool>> Create(const std::string& path,
                                              const CreateOptions& options);

  /// Opens a pool, after a crash too (which it recovers; read-only, in memory); costs the same at
  /// any size. Errors: NotFound, Locked, Permission, Corruption (not a pool, truncated, both
  /// superblocks bad), NotSupported (format version, unknown incompatible feature), Io.
  static Result<std::unique_ptr<Pool>> Open(const std::string& path,
                                            const OpenOptions& options = {});

  /// Closes cleanly. Busy, and nothing done, while iterators, pinned values, snapshots,
  /// transactions or bulk loaders live: the message lists them. The destructor closes too, if Close
  /// was not called, and then aborts in debug builds on what still lives.
  Status Close();
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Store names are 1 to kStoreNameSizeMax bytes without NUL or '/'. The pointer is the pool's.
  /// After NoMemory CreateStore may have made the store, which can then be opened.
  Result<Store*> CreateStore(std::string_view name);  ///< Exists if it is there
  Result<Store*> OpenStore(std::string_view name);    ///< NotFound if it is not
  Result<Store*> OpenOrCreateStore(std::string_view name);
  Status RenameStore(std::string_view from, std::string_view to);
  /// Removes a store and all its records, at once and atomically; its frames come back in the
  /// background, after a crash too. Its Store answers NotFound from then on. Snapshots do not keep
  /// it. Errors: NotFound, Busy (iterators or pinned values of it are alive), NoSpace, ReadOnly.
  Status DropStore(std::string_view name);
  Result<std::vector<StoreInfo>> ListStores();  ///< by name

  /// Waits until the frames of dropped stores and given-up bulk loads are back, and background
  /// consolidation has nothing left to do. Close does not wait: the next open goes on with what was
  /// dropped. Errors: what stopped the background work.
  Status WaitForBackgroundWork();

  /// Makes the whole batch durable and visible at once: no reader and no crash leaves half of it.
  /// Errors: NoSpace, ReadOnly, Corruption, Io, NotFound (a store was dropped): nothing was
  /// written.
  Status Write(const WriteBatch& batch);

  /// All stores at this moment; everything acknowledged before is seen. Waits for writes that are
  /// under way (under PAGE, about one sync). Errors: NoMemory.
  Result<const Snapshot*> GetSnapshot();
  void ReleaseSnapshot(const Snapshot* snapshot);

  /// A transaction on a snapshot of its own. Errors: NoMemory.
  Result<std::unique_ptr<Transaction>> BeginTransaction();

  /// Looks at every checksum, key range and reference of the pool, beside readers and writers,
  /// which wait for it no longer than a leaf's log takes to be read. What is wrong is in the
  /// result; the pool is not repaired (that is for `tuff fsck`). Blocks until all has been seen or
  /// `progress` has said stop; sleeps, without a latch, where `bytes_per_second` says so. After a
  /// crash, a scrub that has found nothing wrong in one mount, stops and resumptions included, has
  /// cut off the ends of logs that the crash had torn, and clears PoolInfo::crashed_since_scrub
  /// (not in a read-only pool). See scrub.h for what it does not judge. Errors: Busy (another scrub
  /// is under way), InvalidArgument (the token), Io, NoMemory.
  Result<ScrubResult> Scrub(const ScrubOptions& options = {});

  Statistics GetStatistics() const;
  PoolInfo GetInfo() const;
  /// What can be told of a pool without opening it: also of one that another process writes. What
  /// is in force in a mount (granularity, guard, memmap) is left as it is by default.
  /// Errors: NotFound, Permission, Corruption, NotSupported, Io.
  static Result<PoolInfo> Peek(const std::string& path);

  /// "tuff.<name>" as text; NotFound for names that Properties() does not list.
  Result<std::string> GetProperty(std::string_view name);
  static std::vector<std::string> Properties();

  class Impl;

 private:
  explicit Pool(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  friend class PoolTestPeer;
};

}  // namespace tuff
