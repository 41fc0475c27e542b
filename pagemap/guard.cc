#include "pagemap/guard.h"

namespace tuff {

std::string_view GuardName(Guard guard) {
  switch (guard) {
    case Guard::kAuto:
      return "auto";
    case Guard::kPkey:
      return "pkey";
    case Guard::kMprotect:
      return "mprotect";
    case Guard::kNone:
      return "none";
  }
  return "?";
}

Result<std::unique_ptr<WriteGuard>> WriteGuard::Make(Guard kind, const Medium& medium) {
  std::unique_ptr<WriteGuard> none;
  if (medium.read_only() || kind == Guard::kNone) return none;
  if (kind == Guard::kMprotect) return MakeMprotectGuard(MappedBase(medium), medium.bytes());
  auto guard = MakePkeyGuard(medium, MappedBase(medium));
  if (!guard.ok() && kind == Guard::kAuto) return none;
  return guard;
}

}  // namespace tuff
