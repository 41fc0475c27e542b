// RecordReader: what `load` reads. An input is a sequence of sections, each a sequence of records;
// dump_reader.h and tsv_reader.h are the two kinds.
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <string>

#include "tuff/status.h"

namespace tuff::tools {

class RecordReader {
 public:
  virtual ~RecordReader() = default;

  /// Goes to the next section; `*database` is the name it gives itself, or empty. False: no more.
  /// REQUIRES: NextRecord has returned false for the section before.
  virtual Result<bool> NextSection(std::string* database) = 0;

  /// The section's next record. False: no more.
  /// Errors: InvalidArgument for malformed input, with the line number; the source's.
  virtual Result<bool> NextRecord(std::string* key, std::string* value) = 0;

  /// Number of the line last read, from 1.
  virtual uint64_t line_number() const = 0;
};

}  // namespace tuff::tools
