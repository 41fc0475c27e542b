#include "tools/exit_code.h"

namespace tuff::tools {

int ExitCodeOf(Code code) {
  switch (code) {
    case Code::kOk:
      return kExitOk;
    case Code::kNotFound:
      return kExitNotFound;
    case Code::kInvalidArgument:
    case Code::kExists:
    case Code::kTooLarge:
    // A pool of a newer format, or a guard this CPU lacks: nothing is damaged, and nothing but
    // another command (or another tuff) helps.
    case Code::kNotSupported:
      return kExitUsage;
    case Code::kLocked:
    case Code::kBusy:
    case Code::kConflict:
    case Code::kExpired:
      return kExitLocked;
    case Code::kCorruption:
      return kExitDamaged;
    case Code::kNoSpace:
      return kExitNoSpace;
    case Code::kPermission:
    case Code::kReadOnly:
      return kExitPermission;
    case Code::kIo:
    case Code::kNoMemory:
      return kExitIo;
  }
  return kExitIo;
}

}  // namespace tuff::tools
