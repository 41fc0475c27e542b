// What is behind tuff::WriteBatch.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "engine/batch.h"
#include "engine/store_impl.h"
#include "tuff/write_batch.h"

namespace tuff {

class WriteBatch::Impl {
 public:
  struct Entry {
    Store* store;
    size_t at;  // of the key in `text`; the value follows
    size_t key_bytes;
    size_t value_bytes;
    RecordType type;
  };

  Status Add(Store& store, std::string_view key, std::string_view value, RecordType type);
  /// As BatchWriter wants them; they refer to `text`.
  std::vector<BatchOp> Ops() const;

  std::vector<Entry> entries;
  std::string text;
};

}  // namespace tuff
