// The one escaped form of byte strings that tuff prints and reads: in `scan`, in TSV files, with
// --escaped, and in messages. See docs/man/tuff.1, "Escapes".
//
// Backslash, TAB, newline and carriage return are \\ \t \n \r; other control characters and bytes
// that are not UTF-8 are \xHH. Everything else stands for itself, so text stays readable, a line
// stays a line, and nothing reaches a terminal that it would obey.
// Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "tuff/status.h"

namespace tuff::tools {

std::string Escape(std::string_view bytes);
void AppendEscaped(std::string_view bytes, std::string* out);

/// The inverse of Escape. Other bytes than escapes are taken as they are, whether or not Escape
/// would have left them so. InvalidArgument: an unknown or cut-off escape.
Result<std::string> Unescape(std::string_view text);

/// `bytes` escaped, in quotes, and cut to what a message has room for.
std::string Quoted(std::string_view bytes);

/// 0 to 15, or -1 if `digit` is not a hexadecimal digit of either case.
int HexDigit(char digit);

/// Appends two lower-case digits.
void AppendHex(unsigned char byte, std::string* out);

}  // namespace tuff::tools
