// Exit codes of `tuff`, and how a verb ends. The numbers are permanent: scripts depend on them, and
// docs/man/tuff.1 lists them.
// Thread-safety: plain values.
#pragma once

#include <string>
#include <utility>

#include "tuff/status.h"

namespace tuff::tools {

enum ExitCode : int {
  kExitOk = 0,
  kExitNotFound = 1,
  kExitUsage = 2,
  kExitLocked = 3,
  kExitDamaged = 4,
  kExitNoSpace = 5,
  kExitPermission = 6,
  kExitIo = 7,
};

int ExitCodeOf(Code code);

/// How a verb ended: an exit code and, unless it went well, the one line to print. An empty line
/// with a failing code means that the reason needs no words (the reader of a pipe has gone).
struct Outcome {
  Outcome() = default;
  Outcome(const Status& status)  // NOLINT: implicit on purpose
      : exit_code(ExitCodeOf(status.code())), error(status.message()) {}
  Outcome(int code, std::string line) : exit_code(code), error(std::move(line)) {}

  int exit_code = kExitOk;
  std::string error;
};

}  // namespace tuff::tools
