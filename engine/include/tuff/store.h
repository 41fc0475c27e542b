// Store: one ordered map of byte strings inside a pool (RocksDB: a column family).
//
// Keys are 1 to kKeySizeMax bytes, ordered as unsigned bytes; values are 0 to ValueSizeMax bytes.
// A write that returned OK is durable and visible to every later read.
// Ownership: a Store belongs to its Pool and lives until Pool::Close.
// Thread-safety: every function may be called from any number of threads at once.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tuff/iterator.h"
#include "tuff/options.h"
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
  void* tree_ = nullptr;
  uint64_t pfn_ = 0;
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
  /// Errors: InvalidArgument (empty key), TooLarge, NoSpace, ReadOnly, Corruption, Io.
  Status Put(std::string_view key, std::string_view value);

  /// Copies the value of `key` into `*value`; the record's checksum is verified.
  /// Errors: NotFound, Corruption.
  Status Get(std::string_view key, std::string* value) const;

  /// As Get, without the copy.
  Result<PinnedValue> GetPinned(std::string_view key) const;

  /// Removes `key`. Unlike RocksDB's, it looks first: NotFound (and nothing written) if there is
  /// no such key. Never fails for want of space unless no frame at all can be had.
  Status Delete(std::string_view key);

  std::unique_ptr<Iterator> NewIterator(const ReadOptions& options = {}) const;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace tuff
