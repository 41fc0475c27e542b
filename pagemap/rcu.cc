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
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
extern "C" void AnnotateIgnoreWritesBegin(const char* file, int line);
extern "C" void AnnotateIgnoreWritesEnd(const char* file, int line);
#endif

namespace tuff {
namespace {

// TSan does not see the ordering that a grace period gives; tell it: all that read sections did
// comes before what is deferred, and that comes before the end of a barrier. What liburcu does in
// memory of its own it orders by means that TSan does not see either.
#ifdef TUFF_TSAN
char tsan_grace_period;
void TsanReaderDone() { __tsan_release(&tsan_grace_period); }
void TsanGraceOver() { __tsan_acquire(&tsan_grace_period); }
struct TsanIgnore {
  TsanIgnore() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~TsanIgnore() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
};
#else
void TsanReaderDone() {}
void TsanGraceOver() {}
struct [[maybe_unused]] TsanIgnore {};
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
  TsanReaderDone();
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
  [[maybe_unused]] const TsanIgnore ignore;
  urcu_bp_call_rcu(&deferred->head, RunDeferred);
  return true;
}

void RcuSynchronize() {
  urcu_bp_synchronize_rcu();
  TsanGraceOver();
}

void RcuBarrier() {
  {
    [[maybe_unused]] const TsanIgnore ignore;
    urcu_bp_barrier();
  }
  TsanGraceOver();
}

}  // namespace tuff
