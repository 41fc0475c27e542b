// Keys, values and bounds given on the command line.
// Thread-safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tools/command.h"
#include "tuff/options.h"
#include "tuff/status.h"

namespace tuff::tools {

/// --escaped.
void DeclareEscaped(Command* command, bool* escaped);

/// If `escaped`, replaces `*word` by what its escapes mean. `name` is for the message: KEY.
/// Errors: InvalidArgument.
Status DecodeWord(bool escaped, std::string_view name, std::string* word);
Status DecodeWord(bool escaped, std::string_view name, std::optional<std::string>* word);

/// --from, --to and --prefix, and what their escapes mean.
void DeclareRange(Command* command, ReadOptions* range);
Status DecodeRange(bool escaped, ReadOptions* range);

}  // namespace tuff::tools
