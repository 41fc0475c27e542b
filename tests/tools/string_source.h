// StringSource: a ByteSource over a string, in reads of a chosen size, with an error or the end
// after it.
// Thread-safety: none.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "tools/line_reader.h"

namespace tuff::tools {

class StringSource : public ByteSource {
 public:
  explicit StringSource(std::string bytes, size_t chunk = SIZE_MAX, Status end = {})
      : bytes_(std::move(bytes)), chunk_(chunk), end_(std::move(end)) {}

  Result<size_t> Read(char* buffer, size_t size) override {
    const size_t count = std::min({size, chunk_, bytes_.size() - at_});
    if (count == 0 && !end_.ok()) return end_;
    std::copy_n(bytes_.data() + at_, count, buffer);
    at_ += count;
    return count;
  }

 private:
  const std::string bytes_;
  const size_t chunk_;
  const Status end_;
  size_t at_ = 0;
};

}  // namespace tuff::tools
