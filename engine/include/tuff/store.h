// Store: one ordered map of byte strings inside a pool (RocksDB: a column family).
//
// Keys are 1 to kKeySizeMax bytes, ordered as unsigned bytes; values are 0 to ValueSizeMax bytes.
// A write that returned OK is durable and visible to every later read.
// Ownership: a Store belongs to its Pool and lives until Pool::Close, even if it is dropped.
// Thread-safety: every function may be called from any number of threads at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tuff/bulk_loader.h"
#include "tuff/iterator.h"
#include "tuff/options.h"
#include "tuff/snapshot.h"
#include "tuff/status.h"

namespace tuff {

/// A value where it lies in the pool, kept there until this object goes, even if the key is
/// overwritten or deleted meanwhile. Release every one before Pool::Close.
class PinnedValue {
 public:
  PinnedValue() = default;
  PinnedValue(PinnedValue&& other) noexcept { *this = std::move(other); }
  PinnedValue& operator=(PinnedValue&& other) noexcept;
  ~PinnedValue() { Reset(); }

  std::string_view view() const { return view_; }
  void Reset();

 private:
  friend class Store;
  std::string_view view_;
  void* store_ = nullptr;  // whose frame is pinned
  uint64_t pfn_ = 0;
  std::shared_ptr<const void> memory_;  // of a value kept for a snapshot
};

class Store {
 public:
  class Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  std::string name() const;

  /// Sets `key` to `value`.
  /// Errors: InvalidArgument (empty key), TooLarge, NoSpace, ReadOnly, Corruption, Io; NotFound if
  /// the store has been dropped.
  Status Put(std::string_view key, std::string_view value);

  /// Removes `key`. Unlike RocksDB's, it looks first: NotFound (and nothing written) if there is
  /// no such key. Never fails for want of space unless no frame at all can be had.
  Status Delete(std::string_view key);

  /// Copies the value of `key` into `*value`; the record's checksum is verified. With a snapshot:
  /// the value at that time. Errors: NotFound, Corruption, Expired.
  Status Get(std::string_view key, std::string* value, const Snapshot* snapshot = nullptr) const;

  /// As Get, without the copy.
  Result<PinnedValue> GetPinned(std::string_view key, const Snapshot* snapshot = nullptr) const;

  /// Looks up many keys at one moment: (*values)[i] and (*statuses)[i] answer keys[i] as Get would.
  /// Faster than single gets: the waits for memory overlap.
  void MultiGet(std::span<const std::string_view> keys, std::vector<std::string>* values,
                std::vector<Status>* statuses, const Snapshot* snapshot = nullptr) const;

  /// Replaces the value of `key` (nullopt: no such key) if it is `expected`, in one atomic step.
  /// Errors: Conflict if it is another one; else as Put.
  Status CompareAndSwap(std::string_view key, std::optional<std::string_view> expected,
                        std::optional<std::string_view> desired);

  /// Sets `key` to what `modify` makes of its value (nullopt, both ways: no such key) in one atomic
  /// step. `modify` is called without any lock held, and again if another write came between.
  Status ReadModifyWrite(
      std::string_view key,
      const std::function<std::optional<std::string>(std::optional<std::string_view>)>& modify);

  /// Removes all keys from `begin` (inclusive) to `end` (exclusive; nullopt: to the last) by
  /// batches of bounded size. Each batch is atomic, the whole is not: others may see a part of it
  /// done, and after a crash or an error a part is. `*deleted`, if not null, counts the keys.
  Status DeleteRange(std::string_view begin, std::optional<std::string_view> end,
                     uint64_t* deleted = nullptr);

  std::unique_ptr<Iterator> NewIterator(const ReadOptions& options = {}) const;

  /// Begins to fill this store, which must be empty. Errors: InvalidArgument if it is not,
  /// ReadOnly, NoSpace.
  Result<std::unique_ptr<BulkLoader>> NewBulkLoader();

 private:
  friend class StoreAccess;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tuff
