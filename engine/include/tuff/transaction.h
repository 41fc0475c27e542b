// Transaction: reads on one snapshot and writes that come true together, if nothing that was read
// has changed meanwhile. Optimistic: nothing is locked before Commit.
//
//   for (;;) {
//     auto t = pool->BeginTransaction();
//     ... (*t)->Get(*store, "ada", &value); (*t)->Put(*store, "ada", more);
//     Status s = (*t)->Commit();
//     if (s.code() != Code::kConflict) return s;  // else again, from the start
//   }
//
// Committed transactions are serializable with each other and with every single write and batch.
// Keys read are compared at Commit, ranges are not: Transaction has no iterator.
// Ownership: destroy it before its pool; destroying it gives it up. Thread-safety: none.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tuff/status.h"

namespace tuff {

class Store;

class Transaction {
 public:
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  /// The value that this transaction wrote, else the one at its begin. Errors: as Store::Get,
  /// TooLarge (see kBatchOperationsMax).
  Status Get(Store& store, std::string_view key, std::string* value);
  /// Errors: as for WriteBatch.
  Status Put(Store& store, std::string_view key, std::string_view value);
  Status Delete(Store& store, std::string_view key);

  /// Makes the writes durable and visible, all at once. Ends the transaction, whatever it answers.
  /// Errors: Conflict (nothing was written), InvalidArgument (ended before), else as Pool::Write.
  Status Commit();

  class Impl;

 private:
  friend class Pool;
  explicit Transaction(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tuff
