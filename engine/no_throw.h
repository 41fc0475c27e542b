// Memory that runs out is an error like others (invariant I9).
#pragma once

#include <new>

#include "tuff/status.h"

namespace tuff {

/// Calls fn, which returns a Status; std::bad_alloc becomes one, too.
template <typename Fn>
Status NoThrow(const Fn& fn) {
  try {
    return fn();
  } catch (const std::bad_alloc&) {
    return Status(Code::kNoMemory, "out of memory");
  }
}

}  // namespace tuff
