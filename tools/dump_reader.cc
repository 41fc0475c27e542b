#include "tools/dump_reader.h"

#include <fmt/format.h>

#include "tools/escape.h"

namespace tuff::tools {
namespace {

/// The byte of two hex digits at `at`, or -1.
int HexByte(std::string_view text, size_t at) {
  if (at + 2 > text.size()) return -1;
  const int high = HexDigit(text[at]);
  const int low = HexDigit(text[at + 1]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

constexpr size_t kDecoded = std::string_view::npos;

/// Each returns kDecoded, or where in the text it does not make sense.
size_t DecodeHex(std::string_view text, std::string* bytes) {
  bytes->clear();
  for (size_t i = 0; i < text.size(); i += 2) {
    const int byte = HexByte(text, i);
    if (byte < 0) return HexDigit(text[i]) < 0 ? i : i + 1;
    bytes->push_back(static_cast<char>(byte));
  }
  return kDecoded;
}

size_t DecodePrint(std::string_view text, std::string* bytes) {
  bytes->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes->push_back(text[i]);
    } else if (i + 1 < text.size() && text[i + 1] == '\\') {
      bytes->push_back('\\');
      i += 1;
    } else {
      const int byte = HexByte(text, i + 1);
      if (byte < 0) return i;
      bytes->push_back(static_cast<char>(byte));
      i += 2;
    }
  }
  return kDecoded;
}

/// db_dump escapes names as it does data, mdb_dump writes them raw: what does not decode is raw.
std::string DecodeName(std::string_view text) {
  std::string name;
  return DecodePrint(text, &name) == kDecoded ? name : std::string(text);
}

}  // namespace

Status DumpReader::Malformed(std::string_view what) const {
  return {Code::kInvalidArgument, fmt::format("line {}: {}", line_number(), what)};
}

Result<bool> DumpReader::NextLine(std::string_view* line) {
  Result<bool> got = lines_.Next(line);
  if (got.ok() && *got && line->ends_with('\r')) line->remove_suffix(1);
  return got;
}

Result<bool> DumpReader::NextSection(std::string* database) {
  header_ = Header();
  has_last_key_ = false;
  std::string_view line;
  Result<bool> got = NextLine(&line);
  if (!got.ok()) return got.TakeStatus();
  if (!*got) {
    if (line_number() > 0) return false;
    return Status(Code::kInvalidArgument, "empty input; a dump begins with VERSION=3");
  }
  if (!line.starts_with("VERSION=")) {
    return Malformed(
        fmt::format("{} where VERSION=3 should begin a dump; for lines of key TAB "
                    "value use --format=tsv",
                    Quoted(line)));
  }
  while (line != "HEADER=END") {
    if (Status s = ParseHeaderLine(line, &header_); !s.ok()) return s;
    got = NextLine(&line);
    if (!got.ok()) return got.TakeStatus();
    if (!*got) return Malformed("the input ends in the header; the dump is truncated");
  }
  if (Status s = CheckHeader(header_); !s.ok()) return s;
  *database = header_.database;
  return true;
}

Status DumpReader::ParseHeaderLine(std::string_view line, Header* header) const {
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos || line.starts_with(' ')) {
    return Malformed(
        fmt::format("{} in the header, which consists of NAME=VALUE lines up to "
                    "HEADER=END",
                    Quoted(line)));
  }
  const std::string_view name = line.substr(0, equals);
  const std::string_view value = line.substr(equals + 1);
  if (name == "VERSION") {
    if (value != "1" && value != "2" && value != "3") {
      return {Code::kNotSupported, fmt::format("line {}: dump version {}; this program knows up "
                                               "to version 3",
                                               line_number(), Quoted(value))};
    }
  } else if (name == "format") {
    if (value != "bytevalue" && value != "print") {
      return Malformed(fmt::format("format {}; known are bytevalue and print", Quoted(value)));
    }
    header->has_format = true;
    header->print = value == "print";
  } else if (name == "type") {
    header->record_numbers = value == "recno" || value == "queue" || value == "heap";
  } else if (name == "keys") {
    header->has_keys = value == "1";
    header->no_keys = value == "0";
  } else if (name == "duplicates" || name == "dupsort") {
    header->duplicates = header->duplicates || value == "1";
  } else if (name == "database") {
    header->database = DecodeName(value);
  }
  return {};
}

Status DumpReader::CheckHeader(const Header& header) const {
  if (!header.has_format) {
    return Malformed("the header has no line format=bytevalue or format=print");
  }
  if (header.no_keys || (header.record_numbers && !header.has_keys)) {
    return {Code::kNotSupported,
            fmt::format("line {}: a dump without keys (record numbers); make it with db_dump -k",
                        line_number())};
  }
  return {};
}

Status DumpReader::Decode(std::string_view line, std::string* bytes) const {
  if (!line.starts_with(' ')) {
    return Malformed(fmt::format(
        "{} where a line of data (beginning with a space) or DATA=END should stand", Quoted(line)));
  }
  line.remove_prefix(1);
  const size_t bad = header_.print ? DecodePrint(line, bytes) : DecodeHex(line, bytes);
  if (bad == kDecoded) return {};
  if (header_.print) {
    return Malformed(
        fmt::format("bad escape {} at column {}; known are \\\\ and \\HH (mdb_dump -p may leave "
                    "backslashes as they are: dump without -p)",
                    line.substr(bad, 3), bad + 2));
  }
  if (bad == line.size()) return Malformed("an odd number of hex digits");
  return Malformed(
      fmt::format("{} at column {} is not a hex digit", Quoted(line.substr(bad, 1)), bad + 2));
}

Result<bool> DumpReader::NextRecord(std::string* key, std::string* value) {
  constexpr std::string_view kTruncated = "the input ends before DATA=END; the dump is truncated";
  std::string_view line;
  Result<bool> got = NextLine(&line);
  if (!got.ok()) return got.TakeStatus();
  if (!*got) return Malformed(kTruncated);
  if (line == "DATA=END") return false;
  if (Status s = Decode(line, key); !s.ok()) return s;
  if (header_.duplicates && has_last_key_ && *key == last_key_) {
    return Status(Code::kNotSupported,
                  fmt::format("line {}: a second value for the key {}; a store holds one value "
                              "per key",
                              line_number(), Quoted(*key)));
  }
  got = NextLine(&line);
  if (!got.ok()) return got.TakeStatus();
  if (!*got) return Malformed(kTruncated);
  if (line == "DATA=END") return Malformed("DATA=END between a key and its value");
  if (Status s = Decode(line, value); !s.ok()) return s;
  if (header_.duplicates) {
    last_key_ = *key;
    has_last_key_ = true;
  }
  return true;
}

}  // namespace tuff::tools
