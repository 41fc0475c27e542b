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

void DeclareRange(Command* command, ReadOptions* range) {
  command->Value("--from", "KEY", TextSetter(&range->lower_bound), "No keys below this one.");
  command->Value("--to", "KEY", TextSetter(&range->upper_bound), "Only keys below this one.");
  command->Value("--prefix", "BYTES", TextSetter(&range->prefix), "Only keys that begin so.");
}

Status DecodeRange(bool escaped, ReadOptions* range) {
  if (Status s = DecodeWord(escaped, "--from", &range->lower_bound); !s.ok()) return s;
  if (Status s = DecodeWord(escaped, "--to", &range->upper_bound); !s.ok()) return s;
  return DecodeWord(escaped, "--prefix", &range->prefix);
}

}  // namespace tuff::tools
