// Runs a part of a test in a process of its own, so that a crash of the engine is one failure more
// and not the end of the test, and is told with what the part was doing.
//
// REQUIRES of the caller: it has used no pool yet itself (RCU's helper thread does not survive a
// fork). Ownership: none to speak of. Thread-safety: none.
#pragma once

#include <functional>
#include <string>

namespace tuff::test {

struct Isolated {
  std::string output;  // what `body` returned; empty if it died
  std::string death;   // why, and at what; empty if it did not
};

Isolated RunIsolated(const std::function<std::string()>& body);

/// In the body: what it is at now, for Isolated::death. If that takes minutes, the body dies.
void NowDoing(const std::string& what);

}  // namespace tuff::test
