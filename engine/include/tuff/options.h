// Options for creating, opening and reading. Plain values: fill in what differs from the default.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tuff {

/// What a store needs to become durable on a medium (libpmem2's granularities).
enum class Granularity : uint8_t {
  kByte = 0,       ///< a fence: the CPU caches are inside the power-fail domain
  kCacheLine = 1,  ///< flush the cache line, then a fence
  kPage = 2,       ///< msync of the page: an ordinary file
};
std::string_view GranularityName(Granularity granularity);

/// How persistent bytes are guarded against stray stores. See docs/architecture.md, "The write
/// guard".
enum class Guard : uint8_t {
  kAuto,      ///< kPkey where the CPU has protection keys, else kNone
  kPkey,      ///< memory protection keys; NotSupported where there are none
  kMprotect,  ///< mprotect(2) of the whole mapping at each window: for tests, slow
  kNone,      ///< no guard
};
std::string_view GuardName(Guard guard);

/// Where the volatile page descriptors live.
enum class MemmapPlace : uint8_t {
  kPool,  ///< in the region carved out of the pool for them
  kDram,  ///< in anonymous memory (always so under PAGE granularity and in read-only opens)
};

enum class LogLevel : uint8_t { kInfo, kWarning, kError };

/// Called with one line per event worth telling an operator. May be called from any thread.
using LogCallback = std::function<void(LogLevel, std::string_view line)>;

struct OpenOptions {
  /// Neither write to the pool nor take it from other readers; no permission to write is needed. A
  /// pool that was not closed cleanly is recovered in memory, for this open only: see
  /// docs/architecture.md, "Read-only opens".
  bool read_only = false;
  /// Use this granularity instead of the one the medium has. Unless the medium is at least as good,
  /// a power failure may then lose acknowledged writes; the pool keeps a mark of it for ever.
  std::optional<Granularity> force_granularity;
  Guard guard = Guard::kAuto;
  /// Overrides the preference given at creation, for this mount.
  std::optional<MemmapPlace> memmap;
  /// Bytes of DRAM that versions kept for snapshots may take; beyond, the oldest snapshots expire
  /// (reads on them answer Expired). 0: no bound.
  uint64_t version_memory_bytes_max = 0;
  /// Have a thread rewrite leaves whose logs puts have filled, before the next put must: it is what
  /// makes a put slow. Where no processor is idle the thread stands back. Not under PAGE.
  bool background_consolidation = true;
  LogCallback log;
};

struct CreateOptions {
  /// Bytes, from kPoolSizeMin; rounded down to 2 MiB. 0 on a character device: all of it.
  uint64_t size_bytes = 0;
  /// Leave the file sparse: quick to create, but a later write may find the disk full.
  bool sparse = false;
  /// Permission bits of the new file, not changed by the umask. 0: 0666 as the umask has it.
  uint32_t mode = 0;
  /// Preference written into the pool.
  MemmapPlace memmap = MemmapPlace::kPool;
  /// How the new pool is opened. `read_only` must be false.
  OpenOptions open;
};

class Snapshot;

/// What an iterator may see. The bounds are copied.
struct ReadOptions {
  /// See the stores as they were then; null: as they are when the iterator is made.
  const Snapshot* snapshot = nullptr;
  std::optional<std::string> lower_bound;  ///< inclusive
  std::optional<std::string> upper_bound;  ///< exclusive
  std::optional<std::string> prefix;       ///< only keys that begin so; combines with the bounds
};

inline constexpr uint64_t kPoolSizeMin = 16ull << 20;  ///< bytes
inline constexpr size_t kKeySizeMax = 1024;            ///< bytes; keys have at least 1
inline constexpr size_t kStoreNameSizeMax = 255;       ///< bytes

/// The largest record (key and value with their 16-byte header): a quarter of the largest node.
inline constexpr size_t kRecordSizeMax = 16384;
/// The largest value under a key of `key_size` bytes.
constexpr size_t ValueSizeMax(size_t key_size) { return kRecordSizeMax - 16 - key_size; }

/// Bounds of one WriteBatch, and of what one Transaction reads and writes. More is for BulkLoader,
/// or for several batches.
inline constexpr size_t kBatchOperationsMax = 65536;
inline constexpr size_t kBatchBytesMax = 16u << 20;  ///< keys and values together

}  // namespace tuff
