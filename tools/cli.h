// Parsing a verb's command line. Kept apart from the library behind it (CLI11, which compiles
// slowly; only cli.cc includes it).
// Thread-safety: a pure function but for the variables the command points to.
#pragma once

#include <string>
#include <vector>

#include "tools/command.h"
#include "tuff/status.h"

namespace tuff::tools {

enum class Parsed { kRun, kHelp };

/// Parses what follows "tuff VERB" and fills in what `command` points to.
/// Errors: InvalidArgument, with one line that says what is wrong and points to the help.
Result<Parsed> ParseCommandLine(const Command& command, const std::vector<std::string>& words);

}  // namespace tuff::tools
