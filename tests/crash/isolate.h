// Runs parts of a test in processes of their own, so that a crash of the engine is one failure more
// and not the end of the test, and is told with what the part was doing.
//
// REQUIRES of the caller: it has no pool open, and no threads, for a lock that one of them holds,
// of ASan's allocator say, stays held in the child. If it has some, the part is not run, and its
// `death` says so. Ownership: none to speak of. Thread-safety: none.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace tuff::test {

struct Isolated {
  std::string output;  // what `body` returned; empty if it died
  std::string death;   // why, and at what; empty if it did not
};

Isolated RunIsolated(const std::function<std::string()>& body);

/// Bodies 0 to n - 1, as many at a time as there are processors; `ended` is called of each, here.
void RunManyIsolated(size_t n, const std::function<std::string(size_t)>& body,
                     const std::function<void(size_t, Isolated)>& ended);

/// In the body: what it is at now, for Isolated::death. If that takes minutes, the body dies.
void NowDoing(const std::string& what);

}  // namespace tuff::test
