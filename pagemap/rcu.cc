#include "pagemap/rcu.h"

#include <pthread.h>
#include <urcu-bp.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

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
// comes before what is deferred, and that comes before the end of a barrier. What liburcu does in
// memory of its own it orders by means that TSan does not see either.
#ifdef TUFF_TSAN
char tsan_grace_period;
void TsanReaderDone() { __tsan_release(&tsan_grace_period); }
void TsanGraceOver() { __tsan_acquire(&tsan_grace_period); }
#else
void TsanReaderDone() {}
void TsanGraceOver() {}
#endif

thread_local int read_depth = 0;

// Calls what is deferred. Not liburcu's own helper (call_rcu), which aborts the process where its
// thread cannot be started. It lives as long as the process; a forked child starts its own.
class Deferrer {
 public:
  static Deferrer& Get() {
    static Deferrer& deferrer = *new Deferrer;
    return deferrer;
  }

  bool Defer(void (*fn)(void*), void* context) {
    std::lock_guard lock(mutex_);
    try {
      incoming_.push_back({fn, context});
      if (!started_) std::thread([this] { Run(); }).detach();
    } catch (const std::exception&) {  // no memory, or no thread
      if (incoming_.size() > deferred_ - taken_) incoming_.pop_back();
      return false;
    }
    started_ = true;
    deferred_++;
    changed_.notify_all();
    return true;
  }

  void Await() {
    std::unique_lock lock(mutex_);
    const uint64_t wanted = deferred_;
    awaited_++;
    changed_.notify_all();
    changed_.wait(lock, [&] { return called_ >= wanted; });
    awaited_--;
  }

  // fork(2) may not happen in the middle of a grace period, nor of what is below.
  void BeforeFork() { mutex_.lock(); }
  void AfterForkInParent() { mutex_.unlock(); }
  void AfterForkInChild() {
    // It would wait for threads that wait in the parent, and are not here.
    new (&changed_) std::condition_variable;
    started_ = false;
    awaited_ = 0;
    incoming_.clear();  // of pools that a child has no mapping of
    called_ = taken_ = deferred_;
    mutex_.unlock();
  }

 private:
  struct Deferred {
    void (*fn)(void*);
    void* context;
  };
  // Calls come in turns, so that a turn has many.
  static constexpr std::chrono::milliseconds kTurn{10};

  void Run() {
    (void)pthread_setname_np(pthread_self(), "tuff-rcu");
    std::vector<Deferred> turn;
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return !incoming_.empty(); });
      changed_.wait_for(lock, kTurn, [&] { return awaited_ > 0; });
      turn.swap(incoming_);
      taken_ += turn.size();
      lock.unlock();
      RcuSynchronize();
      for (const Deferred& deferred : turn) deferred.fn(deferred.context);
      lock.lock();
      called_ += turn.size();
      turn.clear();
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::vector<Deferred> incoming_;
  bool started_ = false;
  unsigned awaited_ = 0;  // threads that wait
  uint64_t deferred_ = 0;
  uint64_t taken_ = 0;
  uint64_t called_ = 0;
};

void BeforeFork() {
  Deferrer::Get().BeforeFork();
  urcu_bp_before_fork();
}
void AfterForkInParent() {
  urcu_bp_after_fork_parent();
  Deferrer::Get().AfterForkInParent();
}
void AfterForkInChild() {
  urcu_bp_after_fork_child();
  Deferrer::Get().AfterForkInChild();
}
[[maybe_unused]] const int fork_hooks =
    pthread_atfork(BeforeFork, AfterForkInParent, AfterForkInChild);

// The first thread is registered while there is memory for it: liburcu aborts where there is none.
[[maybe_unused]] const bool registered = (urcu_bp_register_thread(), true);

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

bool RcuDefer(void (*fn)(void*), void* context) { return Deferrer::Get().Defer(fn, context); }

void RcuSynchronize() {
  urcu_bp_synchronize_rcu();
  TsanGraceOver();
}

void RcuBarrier() { Deferrer::Get().Await(); }

}  // namespace tuff
