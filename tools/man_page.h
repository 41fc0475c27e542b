// Manual pages of the verbs, made of what each verb declares (command.h). The pages are
// docs/man/tuff-VERB.1; a test (tests/tools/generated_docs_test.cc) compares them with what is made
// here, and `TUFF_UPDATE_DOCS=1 tools_test --gtest_filter='GeneratedDocs*'` writes them anew.
// Thread-safety: pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tools/command.h"
#include "tools/verb.h"

namespace tuff::tools {

/// tuff-VERB.1, as man(7) has it.
std::string ManPage(const Command& command, std::string_view summary);

/// The entries of the verbs' pages under SEE ALSO of tuff.1.
std::string ManReferences(std::span<const VerbEntry> verbs);

}  // namespace tuff::tools
