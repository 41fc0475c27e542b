// What counts as UTF-8: RFC 3629, so no overlong forms, no surrogates, nothing above U+10FFFF.
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <string_view>

namespace tuff::tools {

/// Bytes of the character that `text` begins with; 0 if it does not begin with a valid one.
/// REQUIRES: `text` is not empty.
size_t Utf8Length(std::string_view text);

bool IsUtf8(std::string_view text);

}  // namespace tuff::tools
