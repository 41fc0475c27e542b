// main of `tuff`: finds the verb, parses its command line, runs it, and turns how it ended into
// one line and an exit code.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "tools/cli.h"
#include "tools/escape.h"
#include "tools/help.h"
#include "tools/verb.h"
#include "tuff/version.h"

namespace tuff::tools {
namespace {

/// A descriptor that the caller closed would be given to the pool, and what goes to standard output
/// would be written into it. Its place is taken so that using it fails.
void OccupyStandardDescriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number is `fd`. Opened for what the descriptor is not used for.
    if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) _exit(kExitIo);
  }
}

/// Flushes, and lets a failure to write count if nothing else failed.
Outcome Finish(Output* output, Outcome outcome) {
  const Status flushed = output->Flush();
  if (flushed.ok() || outcome.exit_code != kExitOk) return outcome;
  return {kExitIo, output->broken_pipe() ? "" : std::string(flushed.message())};
}

Outcome RunVerb(const VerbEntry& entry, const std::vector<std::string>& words,
                const Context& context) {
  const std::unique_ptr<Verb> verb = entry.make();
  Command command(entry.name);
  verb->Declare(&command);
  Result<Parsed> parsed = ParseCommandLine(command, words);
  if (!parsed.ok()) return {verb->usage_exit_code(), std::string(parsed.status().message())};
  if (*parsed == Parsed::kHelp) {
    context.output->Write(VerbHelp(command));
    return {};
  }
  return verb->Run(context);
}

const VerbEntry* FindVerb(std::string_view name) {
  const auto verbs = AllVerbs();
  const auto found =
      std::find_if(verbs.begin(), verbs.end(), [name](const auto& v) { return v.name == name; });
  return found == verbs.end() ? nullptr : &*found;
}

Outcome RunProgram(std::vector<std::string> words, const Context& context) {
  constexpr std::string_view kSeeHelp = "see 'tuff --help'";
  if (words.empty()) return {kExitUsage, fmt::format("no verb given; {}", kSeeHelp)};
  if (words[0] == "help" && words.size() > 1) {
    words[0] = std::exchange(words[1], "--help");
    words.resize(2);
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    context.output->Write(ProgramHelp(AllVerbs()));
    return {};
  }
  if (words[0] == "--version") {
    context.output->Write("tuff " TUFF_VERSION_STRING "\n");
    return {};
  }
  const VerbEntry* entry = FindVerb(words[0]);
  if (entry == nullptr) {
    return {kExitUsage, fmt::format("{} is not a verb; {}", Quoted(words[0]), kSeeHelp)};
  }
  return RunVerb(*entry, {words.begin() + 1, words.end()}, context);
}

int Main(std::vector<std::string> words) {
  OccupyStandardDescriptors();
  // A write to a pipe that nobody reads fails with EPIPE, so that the pool is still closed cleanly.
  signal(SIGPIPE, SIG_IGN);
  Console console(!words.empty() && FindVerb(words[0]) != nullptr ? words[0] : "");
  Output output;
  Outcome outcome;
  try {
    outcome = Finish(&output, RunProgram(std::move(words), {&console, &output}));
  } catch (const std::bad_alloc&) {
    outcome = {kExitIo, "out of memory"};
  } catch (const std::exception& error) {
    outcome = {kExitIo, fmt::format("internal error: {}", error.what())};
  }
  if (!outcome.error.empty()) console.Line(outcome.error);
  return outcome.exit_code;
}

}  // namespace
}  // namespace tuff::tools

int main(int argc, char** argv) { return tuff::tools::Main({argv + 1, argv + argc}); }
