#include "tools/words.h"

#include <fmt/format.h>

#include "tools/escape.h"

namespace tuff::tools {

void DeclareEscaped(Command* command, bool* escaped) {
  command->Flag("--escaped", escaped,
                "Keys and values on the command line are in the escapes that scan prints: "
                "\\\\ \\t \\n \\r \\xHH.");
}

Status DecodeWord(bool escaped, std::string_view name, std::string* word) {
  if (!escaped) return {};
  Result<std::string> bytes = Unescape(*word);
  if (!bytes.ok()) {
    return {Code::kInvalidArgument, fmt::format("{}: {}", name, bytes.status().message())};
  }
  *word = *std::move(bytes);
  return {};
}

Status DecodeWord(bool escaped, std::string_view name, std::optional<std::string>* word) {
  return *word ? DecodeWord(escaped, name, &**word) : Status();
}

}  // namespace tuff::tools
