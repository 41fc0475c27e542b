// Lines out of a stream of bytes.
//
// ByteSource is where bytes come from; LineReader cuts them at newlines and counts.
// Ownership: the reader borrows its source.
// Thread-safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tuff/status.h"

namespace tuff::tools {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Up to `size` bytes; 0 at the end.
  virtual Result<size_t> Read(char* buffer, size_t size) = 0;
};

/// The longest line taken: far above what the largest record needs in any format.
inline constexpr size_t kLineSizeMax = 16u << 20;  // bytes

class LineReader {
 public:
  explicit LineReader(ByteSource* source) : source_(source) {}

  /// True, and `*line` without its newline, valid until the next call; false at the end. A last
  /// line without a newline counts as one. Errors: the source's; InvalidArgument (line too long).
  Result<bool> Next(std::string_view* line);

  /// The number of the line that Next returned last, from 1; 0 before the first.
  uint64_t line_number() const { return line_number_; }

 private:
  ByteSource* source_;
  std::string buffer_;
  size_t begin_ = 0;  // of what is not yet returned
  uint64_t line_number_ = 0;
  bool at_end_ = false;
};

}  // namespace tuff::tools
