// Prints what `tuff inspect` has found: a report as text for people, or as one JSON object.
//
// Text: scalars as `name value`, then what is inside; tables in columns, bytes of the pool quoted
// and escaped (long ones cut). JSON: numbers that a table shows in hexadecimal are strings
// ("0x1f"), since they may be too large for a double; what a number stands for is a member of its
// own, NAME_text. Thread-safety: pure functions.
#pragma once

#include <string>

#include "engine/inspect/report.h"
#include "tools/json.h"

namespace tuff::tools {

/// All but notes and damage.
std::string ObjectText(const inspect::Object& object);
/// `note: ` and `damaged: ` lines, and an empty one behind them; empty if there are none.
std::string HeadText(const inspect::Report& report);

/// Adds the object's items to `json`.
void AddJson(const inspect::Object& object, JsonObject* json);

/// As hexdump -C prints it: a line of zeros, or like the one before it, again and again is `*`.
std::string HexDump(std::string_view bytes);

}  // namespace tuff::tools
