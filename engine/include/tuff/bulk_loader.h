// BulkLoader: fills an empty store with sorted records, much faster than puts.
//
//   auto loader = store->NewBulkLoader();
//   for (...) if (Status s = (*loader)->Add(key, value); !s.ok()) return s;
//   Status s = (*loader)->Finish();  // all of it is durable and visible now
//
// The store stays empty to everybody until Finish makes all records true at once. A crash, an
// error or destroying the loader before that leaves the store empty; frames already filled are
// given back in the background.
// Ownership: destroy it before its pool. Thread-safety: none.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "tuff/status.h"

namespace tuff {

class BulkLoader {
 public:
  ~BulkLoader();
  BulkLoader(const BulkLoader&) = delete;
  BulkLoader& operator=(const BulkLoader&) = delete;

  /// Adds one record. Errors: InvalidArgument if `key` is empty or not above the last one (says at
  /// which position; nothing is added and the loader goes on), TooLarge, NoSpace, ReadOnly, Io.
  Status Add(std::string_view key, std::string_view value);

  /// Makes all that was added the store's contents. Errors: Conflict if the store has been written
  /// to meanwhile, NoSpace, ReadOnly, Io. Ends the loader, whatever it answers.
  Status Finish();

  uint64_t records() const;  ///< added so far

  class Impl;

 private:
  friend class Store;
  explicit BulkLoader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tuff
