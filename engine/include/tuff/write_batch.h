// WriteBatch: puts and deletes over any stores of one pool, made true together by Pool::Write.
//
//   tuff::WriteBatch batch;
//   Status s = batch.Put(*accounts, "ada", "90");
//   if (s.ok()) s = batch.Put(*log, "17", "ada -10");
//   if (s.ok()) s = pool->Write(batch);  // both are durable, or neither is
//
// Of several operations on one key the last one counts. Deleting an absent key does nothing.
// Ownership: copies keys and values; stores must outlive it. Thread-safety: none.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "tuff/status.h"

namespace tuff {

class Store;

class WriteBatch {
 public:
  WriteBatch();
  ~WriteBatch();
  WriteBatch(WriteBatch&&) noexcept;
  WriteBatch& operator=(WriteBatch&&) noexcept;

  /// Errors: InvalidArgument (empty key), TooLarge (key, value, or the batch: see
  /// kBatchOperationsMax, kBatchBytesMax), NoMemory. After an error the batch is as before.
  Status Put(Store& store, std::string_view key, std::string_view value);
  Status Delete(Store& store, std::string_view key);
  void Clear();

  size_t operations() const;
  size_t bytes() const;  ///< of keys and values

  class Impl;

 private:
  friend class Pool;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tuff
