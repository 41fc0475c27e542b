#include "pagemap/rcu.h"

#include <pthread.h>
#include <urcu-bp.h>

#include <new>

#if defined(__SANITIZE_THREAD__)
#define TUFF_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TUFF_TSAN 1
#endif
#endif

#ifdef TUFF_TSAN
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace tuff {
namespace {

// TSan does not see the ordering that a grace period gives; tell it: all that read sections did
// comes before what is deferred.
#ifdef TUFF_TSAN
char tsan_grace_period;
void TsanReaderDone() { __tsan_release(&tsan_grace_period); }
void TsanGraceOver() { __tsan_acquire(&tsan_grace_period); }
#else
void TsanReaderDone() {}
void TsanGraceOver() {}
#endif

thread_local int read_depth = 0;

struct Deferred {
  rcu_head head;
  void (*fn)(void*);
  void* context;
};

void RunDeferred(rcu_head* head) {
  auto* deferred = caa_container_of(head, Deferred, head);
  TsanGraceOver();
  deferred->fn(deferred->context);
  delete deferred;
}

// fork(2) may not happen in the middle of a grace period.
[[maybe_unused]] const int fork_hooks =
    pthread_atfork(urcu_bp_before_fork, urcu_bp_after_fork_parent, urcu_bp_after_fork_child);

}  // namespace

RcuReadSection::RcuReadSection() {
  urcu_bp_read_lock();
  read_depth++;
}

RcuReadSection::~RcuReadSection() {
  TsanReaderDone();
  read_depth--;
  urcu_bp_read_unlock();
}

bool InRcuReadSection() { return read_depth > 0; }

bool RcuDefer(void (*fn)(void*), void* context) {
  auto* deferred = new (std::nothrow) Deferred;
  if (deferred == nullptr) return false;
  deferred->fn = fn;
  deferred->context = context;
  TsanReaderDone();
  urcu_bp_call_rcu(&deferred->head, RunDeferred);
  return true;
}

void RcuBarrier() {
  urcu_bp_barrier();
  TsanGraceOver();
}

}  // namespace tuff
