// ScriptReader: what `batch` reads. One operation per line,
//
//   put STORE KEY VALUE
//   delete STORE KEY
//
// its fields in the escapes of escape.h. A line with a TAB in it is cut at its TABs, one between
// two fields, so that a field may hold blanks or nothing; any other line is cut at its blanks.
// Empty lines, and lines whose first character other than a blank is #, are passed over.
// Thread-safety: none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/line_reader.h"

namespace tuff::tools {

struct ScriptOperation {
  bool put = false;  // else a delete
  std::string store;
  std::string key;
  std::string value;
  uint64_t line = 0;
};

class ScriptReader {
 public:
  explicit ScriptReader(ByteSource* source) : lines_(source) {}

  /// The next operation. False: no more. Errors: InvalidArgument, TooLarge (with the line number);
  /// the source's.
  Result<bool> Next(ScriptOperation* operation);

 private:
  Status Parse(std::string_view line, ScriptOperation* operation) const;

  LineReader lines_;
};

/// The same failure, its message beginning with the line.
Status AtLine(uint64_t line, const Status& status);

}  // namespace tuff::tools
