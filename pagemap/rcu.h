// RCU: readers run without latches; what they may still see is not reused (invariant I7).
// The one wrapper around liburcu-bp (https://liburcu.org).
//
// Thread-safety: everything may be called from any thread; threads register themselves.
// Read sections must be short, never sleep, and never wait for a latch.
#pragma once

namespace tuff {

/// A read section: while one lives, nothing that was reachable when it began is reused.
class RcuReadSection {
 public:
  RcuReadSection();
  ~RcuReadSection();
  RcuReadSection(const RcuReadSection&) = delete;
  RcuReadSection& operator=(const RcuReadSection&) = delete;
};

/// Calls fn(context) from another thread when every read section that exists now has ended.
/// REQUIRES: not inside a write window. Returns false, and nothing is deferred, where there
/// is no memory or no thread can be started.
bool RcuDefer(void (*fn)(void*), void* context);

/// Waits until every read section that exists now has ended. REQUIRES: no latch and no read
/// section held.
void RcuSynchronize();

/// Waits until all that was deferred has been called. REQUIRES: no latch and no read section held.
void RcuBarrier();

/// True inside a read section of the calling thread.
bool InRcuReadSection();

}  // namespace tuff
