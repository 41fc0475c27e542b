// Help text, laid out for 80 columns: usage first, then examples, then the details.
// Thread-safety: pure functions.
#pragma once

#include <span>
#include <string>

#include "tools/command.h"
#include "tools/verb.h"

namespace tuff::tools {

/// `tuff VERB --help`
std::string VerbHelp(const Command& command);

/// `tuff --help`
std::string ProgramHelp(std::span<const VerbEntry> verbs);

}  // namespace tuff::tools
