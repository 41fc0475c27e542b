#include "tools/tsv_reader.h"

#include <fmt/format.h>

#include <utility>

#include "tools/escape.h"

namespace tuff::tools {

Status TsvReader::Malformed(std::string_view what) const {
  return {Code::kInvalidArgument, fmt::format("line {}: {}", line_number(), what)};
}

Result<bool> TsvReader::NextSection(std::string* database) {
  database->clear();
  return !std::exchange(started_, true);
}

Result<bool> TsvReader::NextRecord(std::string* key, std::string* value) {
  std::string_view line;
  Result<bool> got = lines_.Next(&line);
  if (!got.ok() || !*got) return got;
  const size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return Malformed("no TAB between a key and its value");
  if (line.find('\t', tab + 1) != std::string_view::npos) {
    return Malformed("more than one TAB; inside keys and values a TAB is written \\t");
  }
  // Most likely a file from DOS, whose values would all end in a byte that nobody sees.
  if (line.ends_with('\r')) {
    return Malformed("ends in a carriage return; remove it (tr -d '\\r'), or write \\r");
  }
  Result<std::string> bytes = Unescape(line.substr(0, tab));
  if (!bytes.ok()) return Malformed(fmt::format("key: {}", bytes.status().message()));
  *key = *std::move(bytes);
  bytes = Unescape(line.substr(tab + 1));
  if (!bytes.ok()) return Malformed(fmt::format("value: {}", bytes.status().message()));
  *value = *std::move(bytes);
  return true;
}

}  // namespace tuff::tools
