#include "tools/escape.h"

#include <fmt/format.h>

#include "tools/utf8.h"

namespace tuff::tools {
namespace {

/// C0 and DEL in one byte, C1 (U+0080 to U+009F) in two: terminals act on both.
bool IsControl(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  return character.size() == 2 && first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

void AppendByte(char byte, std::string* out) {
  switch (byte) {
    case '\\':
      out->append("\\\\");
      break;
    case '\t':
      out->append("\\t");
      break;
    case '\n':
      out->append("\\n");
      break;
    case '\r':
      out->append("\\r");
      break;
    default:
      out->append("\\x");
      AppendHex(static_cast<unsigned char>(byte), out);
  }
}

}  // namespace

int HexDigit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

void AppendHex(unsigned char byte, std::string* out) {
  constexpr char kDigits[] = "0123456789abcdef";
  out->push_back(kDigits[byte >> 4]);
  out->push_back(kDigits[byte & 15]);
}

void AppendEscaped(std::string_view bytes, std::string* out) {
  while (!bytes.empty()) {
    const size_t length = Utf8Length(bytes);
    const std::string_view character = bytes.substr(0, length == 0 ? 1 : length);
    if (length == 0 || character[0] == '\\' || IsControl(character)) {
      for (char byte : character) AppendByte(byte, out);
    } else {
      out->append(character);
    }
    bytes.remove_prefix(character.size());
  }
}

std::string Escape(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  AppendEscaped(bytes, &out);
  return out;
}

Result<std::string> Unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(text[i]);
      continue;
    }
    const size_t start = i;
    const char kind = i + 1 < text.size() ? text[++i] : '\0';
    if (kind == '\\') {
      out.push_back('\\');
    } else if (kind == 't') {
      out.push_back('\t');
    } else if (kind == 'n') {
      out.push_back('\n');
    } else if (kind == 'r') {
      out.push_back('\r');
    } else if (kind == 'x' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
               HexDigit(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2])));
      i += 2;
    } else {
      return Status(
          Code::kInvalidArgument,
          fmt::format(
              "bad escape {} at byte {}; known are \\\\ \\t \\n \\r and \\xHH (two hex digits)",
              text.substr(start, kind == 'x' ? 4 : 2), start + 1));
    }
  }
  return out;
}

std::string Quoted(std::string_view bytes) {
  constexpr size_t kShownMax = 40;  // bytes
  return fmt::format("\"{}{}\"", Escape(bytes.substr(0, kShownMax)),
                     bytes.size() > kShownMax ? "..." : "");
}

}  // namespace tuff::tools
