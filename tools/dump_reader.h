// DumpReader: the portable text format of db_dump (Berkeley DB) and mdb_dump (LMDB).
//
//   VERSION=3
//   format=bytevalue        or print
//   database=NAME           optional; so are other NAME=VALUE lines, ignored here
//   HEADER=END
//    6b6579                 a space, the key
//    76616c7565             a space, its value
//   DATA=END
//
// In bytevalue each byte is two hex digits; in print a byte is itself, \\ or \HH. Carriage returns
// at line ends are dropped: neither variant has them in data. Sections follow one another.
// Thread-safety: none.
#pragma once

#include <string>
#include <string_view>

#include "tools/line_reader.h"
#include "tools/record_reader.h"

namespace tuff::tools {

class DumpReader : public RecordReader {
 public:
  explicit DumpReader(ByteSource* source) : lines_(source) {}

  /// Errors also: NotSupported for a header that describes what a store cannot hold.
  Result<bool> NextSection(std::string* database) override;

  /// Errors also: InvalidArgument if the input ends before DATA=END.
  Result<bool> NextRecord(std::string* key, std::string* value) override;

  uint64_t line_number() const override { return lines_.line_number(); }

 private:
  struct Header {
    bool has_format = false;
    bool print = false;
    bool record_numbers = false;  // a type whose keys are absent unless keys=1
    bool has_keys = false;        // keys=1
    bool no_keys = false;         // keys=0
    bool duplicates = false;
    std::string database;
  };

  Result<bool> NextLine(std::string_view* line);
  Status ParseHeaderLine(std::string_view line, Header* header) const;
  Status CheckHeader(const Header& header) const;
  Status Decode(std::string_view line, std::string* bytes) const;
  Status Malformed(std::string_view what) const;

  LineReader lines_;
  Header header_;
  std::string last_key_;  // to recognise duplicates
  bool has_last_key_ = false;
};

}  // namespace tuff::tools
