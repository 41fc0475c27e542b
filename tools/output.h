// Output: standard output, buffered. The first failure is kept and ends all further writing, so a
// loop need only ask ok() now and then.
// Thread-safety: none.
#pragma once

#include <string>
#include <string_view>

#include "tuff/status.h"

namespace tuff::tools {

class Output {
 public:
  Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void Write(std::string_view bytes);
  /// Appending here and calling Commit spares a copy.
  std::string* buffer() { return &buffer_; }
  void Commit();

  /// Hands everything to the system. Errors: Io.
  Status Flush();

  bool ok() const { return error_ == 0; }
  /// Failed because the reader of the pipe has gone, which is its right.
  bool broken_pipe() const;

 private:
  std::string buffer_;
  int error_ = 0;  // errno
};

}  // namespace tuff::tools
