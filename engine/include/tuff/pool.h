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
#include "tuff/statistics.h"
#include "tuff/status.h"
#include "tuff/store.h"

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

  /// Closes cleanly. Busy, and nothing done, while iterators or pinned values live. The destructor
  /// closes too, if Close was not called, and then aborts in debug builds on live iterators or
  /// pins.
  Status Close();
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Store names are 1 to kStoreNameSizeMax bytes without NUL or '/'. The pointer is the pool's.
  Result<Store*> CreateStore(std::string_view name);  ///< Exists if it is there
  Result<Store*> OpenStore(std::string_view name);    ///< NotFound if it is not
  Result<Store*> OpenOrCreateStore(std::string_view name);
  Status RenameStore(std::string_view from, std::string_view to);
  Result<std::vector<StoreInfo>> ListStores();  ///< by name

  Statistics GetStatistics() const;
  PoolInfo GetInfo() const;

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
