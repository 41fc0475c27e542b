#include "tools/dump_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tools/escape.h"

namespace tuff::tools {
namespace {

/// isprint of the C locale, whatever locale this is.
bool IsPrintable(char c) { return c >= 0x20 && c < 0x7f; }

/// Backslash is written \5c, not \\: every db_load and mdb_load reads it.
void AppendPrint(std::string_view bytes, std::string* out) {
  for (char c : bytes) {
    if (IsPrintable(c) && c != '\\') {
      out->push_back(c);
    } else {
      out->push_back('\\');
      AppendHex(static_cast<unsigned char>(c), out);
    }
  }
}

/// mdb_load takes names literally, db_load decodes escapes: only what would break the line (or be
/// taken for an escape) is escaped, so that both read every other name.
void AppendName(std::string_view name, std::string* out) {
  for (char c : name) {
    if (c == '\\' || (c >= 0 && c < 0x20) || c == 0x7f) {
      out->push_back('\\');
      AppendHex(static_cast<unsigned char>(c), out);
    } else {
      out->push_back(c);
    }
  }
}

}  // namespace

void DumpWriter::Header(std::string* out) const {
  fmt::format_to(std::back_inserter(*out), "VERSION=3\nformat={}\n",
                 section_.print ? "print" : "bytevalue");
  if (!section_.database.empty()) {
    out->append("database=");
    AppendName(section_.database, out);
    out->push_back('\n');
  }
  out->append("type=btree\n");
  if (section_.mapsize != 0) {
    fmt::format_to(std::back_inserter(*out), "mapsize={}\n", section_.mapsize);
  }
  out->append("HEADER=END\n");
}

void DumpWriter::Record(std::string_view key, std::string_view value, std::string* out) const {
  DataLine(key, out);
  DataLine(value, out);
}

void DumpWriter::End(std::string* out) const { out->append("DATA=END\n"); }

void DumpWriter::DataLine(std::string_view bytes, std::string* out) const {
  out->push_back(' ');
  if (section_.print) {
    AppendPrint(bytes, out);
  } else {
    for (char c : bytes) AppendHex(static_cast<unsigned char>(c), out);
  }
  out->push_back('\n');
}

uint64_t MapsizeFor(uint64_t pool_size_bytes) {
  // LMDB gives a value that does not fit half a page pages of its own, and leaves pages half full:
  // at worst 2.5 bytes for one of ours. A map is address space only, of which there are 128 TiB.
  constexpr uint64_t kMapsizeMin = 64ull << 20;
  constexpr uint64_t kMapsizeMax = 64ull << 40;
  return std::clamp(pool_size_bytes > kMapsizeMax / 4 ? kMapsizeMax : pool_size_bytes * 4,
                    kMapsizeMin, kMapsizeMax);
}

}  // namespace tuff::tools
