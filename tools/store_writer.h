// StoreWriter: many records into one store, the quickest way there is: by a bulk load while the
// store is empty and the keys ascend, and by batches from then on.
//
// What has been given to Put is written at the latest by Flush. Of a bulk load nothing is in the
// store until it ends; of batches, each is there as a whole or not at all.
// Ownership: borrows pool and store. Destroying it gives up what is not written.
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tuff/pool.h"
#include "tuff/status.h"

namespace tuff::tools {

/// InvalidArgument or TooLarge if no store can hold such a record; as the library would answer, for
/// where a record waits among others first.
Status CheckRecord(std::string_view key, std::string_view value);

class StoreWriter {
 public:
  struct Count {
    uint64_t records = 0;
    uint64_t bytes = 0;  // keys and values
  };

  StoreWriter(Pool* pool, Store* store) : pool_(pool), store_(store) {}

  /// Before the first Put: begins a bulk load if the store is empty. Errors: ReadOnly, Io and such;
  /// not that it could not be begun.
  Status TryBulk();

  /// Takes a record, of two with one key the later. Errors: the record's (InvalidArgument,
  /// TooLarge): it is left out, what was taken before is as it was. Others: what was taken since
  /// the last write has not been written.
  Status Put(std::string_view key, std::string_view value);

  /// Writes what was taken. Errors: as for Put.
  Status Flush();

  /// What is in the store.
  const Count& written() const { return written_; }
  /// How much of it came there in bulk.
  const Count& bulk() const { return bulk_; }

 private:
  struct Record {
    std::string key;
    std::string value;
  };

  Status FinishBulk();
  Status WriteBatchOf(const std::vector<Record>& records);
  Status PutOneByOne(const std::vector<Record>& records);
  void Written(const Count& count);

  Pool* const pool_;
  Store* const store_;
  std::unique_ptr<BulkLoader> loader_;  // null: by batches
  std::vector<Record> records_;         // of the next batch
  Count pending_;                       // taken, not written
  Count written_;
  Count bulk_;
};

}  // namespace tuff::tools
