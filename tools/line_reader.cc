#include "tools/line_reader.h"

#include <fmt/format.h>

namespace tuff::tools {
namespace {
constexpr size_t kReadSize = 256u << 10;  // bytes
}  // namespace

Result<bool> LineReader::Next(std::string_view* line) {
  size_t searched = begin_;
  for (;;) {
    const size_t newline = buffer_.find('\n', searched);
    if (newline != std::string::npos) {
      *line = std::string_view(buffer_).substr(begin_, newline - begin_);
      begin_ = newline + 1;
      ++line_number_;
      return true;
    }
    if (at_end_) break;
    buffer_.erase(0, begin_);
    begin_ = 0;
    searched = buffer_.size();
    if (searched > kLineSizeMax) {
      return Status(Code::kInvalidArgument,
                    fmt::format("line {}: longer than {} bytes, not a record", line_number_ + 1,
                                kLineSizeMax));
    }
    buffer_.resize(searched + kReadSize);
    Result<size_t> got = source_->Read(buffer_.data() + searched, kReadSize);
    buffer_.resize(searched + (got.ok() ? *got : 0));
    if (!got.ok()) return got.TakeStatus();
    at_end_ = *got == 0;
  }
  if (begin_ == buffer_.size()) return false;
  *line = std::string_view(buffer_).substr(begin_);
  begin_ = buffer_.size();
  ++line_number_;
  return true;
}

}  // namespace tuff::tools
