// What bash completes after `tuff`, made of what each verb declares (command.h). The script is
// tools/tuff.bash, compared and written anew as the manual pages are (man_page.h).
// Thread-safety: pure functions.
#pragma once

#include <span>
#include <string>

#include "tools/verb.h"

namespace tuff::tools {

std::string BashCompletion(std::span<const VerbEntry> verbs);

}  // namespace tuff::tools
