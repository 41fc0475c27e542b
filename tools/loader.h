// Loader: writes the records of a RecordReader into the stores of a pool, by a StoreWriter for each
// section, and keeps count of how far it got.
// Ownership: borrows everything it is given.
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/record_reader.h"
#include "tools/store_writer.h"
#include "tuff/pool.h"
#include "tuff/status.h"

namespace tuff::tools {

class Loader {
 public:
  struct Options {
    /// Where to put the records; nothing: each section into the store it is named after.
    std::optional<std::string> store;
    /// Take the section of this name only and read past the others.
    std::optional<std::string> database;
    /// Whether empty stores may be filled by a bulk load.
    bool bulk = true;
  };
  struct StoreCount {
    std::string store;
    uint64_t records = 0;
    uint64_t bytes = 0;         // keys and values
    uint64_t bulk_records = 0;  // how many of the records came in bulk
  };
  /// Called after each record with the number of those read so far; false ends the load.
  using KeepOn = std::function<bool(uint64_t records)>;

  Loader(Pool* pool, RecordReader* reader, Options options, KeepOn keep_on);

  /// To the end of the input, or until told to stop. Errors: the reader's, the store's (with the
  /// line), InvalidArgument (several sections for one store, or one without a name for many),
  /// NotFound (no section of the name wanted). What was read before an error is written, unless
  /// writing is what failed; the counts say what is in the stores.
  Status Run();

  const std::vector<StoreCount>& stores() const { return stores_; }
  /// Its store is called "total".
  const StoreCount& total() const { return total_; }
  /// Whether it was told to stop.
  bool stopped() const { return stopped_; }

 private:
  Status LoadSection(const std::string& database);
  Status LoadRecords(StoreWriter* writer);
  Status SkipSection();
  Result<std::string> StoreFor(const std::string& database);
  Status AtLine(Status status) const;

  Pool* const pool_;
  RecordReader* const reader_;
  const Options options_;
  const KeepOn keep_on_;
  std::vector<StoreCount> stores_;
  StoreCount total_{"total"};
  uint64_t records_read_ = 0;
  bool stopped_ = false;
  std::string key_;
  std::string value_;
};

}  // namespace tuff::tools
