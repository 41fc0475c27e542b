#include "tools/script_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tools/escape.h"
#include "tools/store_writer.h"

namespace tuff::tools {
namespace {

std::vector<std::string_view> CutAtTabs(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const size_t tab = line.find('\t');
    fields.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return fields;
    line.remove_prefix(tab + 1);
  }
}

std::vector<std::string_view> CutAtBlanks(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (line.empty()) return fields;
    const size_t end = std::min(line.find(' '), line.size());
    fields.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

Status Bad(std::string what) { return {Code::kInvalidArgument, std::move(what)}; }

Status Decode(std::string_view field, std::string_view name, std::string* bytes) {
  Result<std::string> decoded = Unescape(field);
  if (!decoded.ok()) return Bad(fmt::format("{}: {}", name, decoded.status().message()));
  *bytes = *std::move(decoded);
  return {};
}

}  // namespace

Status AtLine(uint64_t line, const Status& status) {
  return {status.code(), fmt::format("line {}: {}", line, status.message())};
}

Result<bool> ScriptReader::Next(ScriptOperation* operation) {
  for (;;) {
    std::string_view line;
    Result<bool> got = lines_.Next(&line);
    if (!got.ok() || !*got) return got;
    const size_t first = line.find_first_not_of(" \t");
    if (first == std::string_view::npos || line[first] == '#') continue;
    operation->line = lines_.line_number();
    if (Status s = Parse(line, operation); !s.ok()) return AtLine(operation->line, s);
    return true;
  }
}

Status ScriptReader::Parse(std::string_view line, ScriptOperation* operation) const {
  // Most likely a file from DOS, whose last fields would all end in a byte that nobody sees.
  if (line.ends_with('\r')) {
    return Bad("ends in a carriage return; remove it (tr -d '\\r'), or write \\r");
  }
  const bool tabs = line.find('\t') != std::string_view::npos;
  const std::vector<std::string_view> fields = tabs ? CutAtTabs(line) : CutAtBlanks(line);
  operation->put = fields[0] == "put";
  if (!operation->put && fields[0] != "delete") {
    return Bad(fmt::format("{} is not one of put, delete", Quoted(fields[0])));
  }
  const size_t wanted = operation->put ? 3 : 2;
  if (fields.size() != wanted + 1) {
    return Bad(fmt::format(
        "{} fields where {} takes {}; {}", fields.size() - 1, fields[0],
        operation->put ? "STORE KEY VALUE" : "STORE KEY",
        tabs ? "this line has TABs, so only they separate; inside a field a TAB is written \\t"
             : "write a blank inside a field \\x20, or separate fields by TABs"));
  }
  if (Status s = Decode(fields[1], "STORE", &operation->store); !s.ok()) return s;
  if (Status s = Decode(fields[2], "KEY", &operation->key); !s.ok()) return s;
  operation->value.clear();
  if (operation->put) {
    if (Status s = Decode(fields[3], "VALUE", &operation->value); !s.ok()) return s;
  }
  return CheckRecord(operation->key, operation->value);
}

}  // namespace tuff::tools
