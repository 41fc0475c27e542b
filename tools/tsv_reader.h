// TsvReader: one record per line, key TAB value, both in the escapes of escape.h: what `scan`
// prints. One section, without a name.
// Thread-safety: none.
#pragma once

#include <string>

#include "tools/line_reader.h"
#include "tools/record_reader.h"

namespace tuff::tools {

class TsvReader : public RecordReader {
 public:
  explicit TsvReader(ByteSource* source) : lines_(source) {}

  Result<bool> NextSection(std::string* database) override;
  Result<bool> NextRecord(std::string* key, std::string* value) override;
  uint64_t line_number() const override { return lines_.line_number(); }

 private:
  Status Malformed(std::string_view what) const;

  LineReader lines_;
  bool started_ = false;
};

}  // namespace tuff::tools
