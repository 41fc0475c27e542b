#include "pagemap/format_table.h"

#include <fmt/format.h>

#include <cctype>
#include <cstring>

namespace tuff {

std::string ShowField(const Field& field, const std::byte* at) {
  if (field.size <= 8 && (field.show == FieldShow::kDecimal || field.show == FieldShow::kHex)) {
    uint64_t value = 0;
    std::memcpy(&value, at, field.size);
    return field.show == FieldShow::kHex ? fmt::format("{:#x}", value) : fmt::format("{}", value);
  }
  std::string out;
  for (uint32_t i = 0; i < field.size; i++) {
    auto c = static_cast<unsigned char>(at[i]);
    if (field.show != FieldShow::kText) {
      out += fmt::format("{:02x}", c);
    } else if (std::isprint(c) != 0) {
      out += static_cast<char>(c);
    } else if (c != 0) {
      out += fmt::format("\\x{:02x}", c);
    }
  }
  return out;
}

std::string DecodeFields(const FormatTable& table, std::span<const std::byte> bytes) {
  std::string out;
  for (const Field& field : table.fields) {
    if (field.offset + field.size > bytes.size()) break;
    out += fmt::format("{}: {}\n", field.name, ShowField(field, bytes.data() + field.offset));
  }
  return out;
}

std::string FormatMarkdown(const FormatTable& table) {
  std::string out = fmt::format(
      "### {} ({} bytes)\n\n{}\n\n| offset | bytes | field | meaning |\n"
      "|---:|---:|---|---|\n",
      table.name, table.size, table.meaning);
  for (const Field& field : table.fields) {
    out += fmt::format("| {} | {} | `{}` | {} |\n", field.offset, field.size, field.name,
                       field.meaning);
  }
  return out;
}

}  // namespace tuff
