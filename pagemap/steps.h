// Steps: the places in the code that a crash may separate, each with a permanent id.
//
//   CRASH_POINT("put.1")                 between two persistent steps
//   SEQUENCE_POINT("get.1")              where tests force an interleaving; nothing persistent
//   TUFF_FLUSH("put.2", window, off, n)  every flush and fence call has an id too (window.h)
//
// Every id is known without being reached: the macros leave a record in a linker section, so tests
// can list what the code has and compare it with docs and with what they hit. With no observer a
// point costs one load and a predicted branch, so what is tested is what ships.
// Thread-safety: SetStepObserver while no other thread is inside tuff; observers are called from
// any thread and lock for themselves.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tuff {

enum class StepKind : uint8_t { kCrashPoint, kSequencePoint, kFlush, kFence };

struct Step {
  const char* id;
  const char* file;
  int line;
  StepKind kind;
};

/// Told of every step, and of every persistent byte, while it is set. For tests.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual void OnPoint(const Step&) {}
  /// `bytes` were stored at byte `offset` of the pool mapped at `base`.
  virtual void OnStore(const std::byte* /*base*/, uint64_t /*offset*/, std::span<const std::byte>) {
  }
  /// Returns false to leave the flush or fence out: a mutant.
  virtual bool OnFlush(const Step&, const std::byte* /*base*/, uint64_t /*offset*/, size_t) {
    return true;
  }
  virtual bool OnFence(const Step&, const std::byte* /*base*/) { return true; }
};

extern std::atomic<StepObserver*> g_step_observer;
void SetStepObserver(StepObserver* observer);
inline StepObserver* GetStepObserver() { return g_step_observer.load(std::memory_order_relaxed); }

/// Every step linked into this program, by id and line.
std::vector<const Step*> AllSteps();

namespace internal {
inline void ReachStep(const Step& step) {
  if (StepObserver* observer = GetStepObserver(); observer != nullptr) [[unlikely]] {
    observer->OnPoint(step);
  }
}
}  // namespace internal

// Defines the static Step `name`. Only in functions that are neither inline nor templates: the
// linker section cannot hold copies that it may fold.
#define TUFF_STEP(name, id_, kind_)                                                     \
  static constexpr ::tuff::Step name{id_, __FILE__, __LINE__, ::tuff::StepKind::kind_}; \
  static const ::tuff::Step* const name##_ptr __attribute__((section("tuff_steps"), used)) = &name

#define CRASH_POINT(id_)               \
  do {                                 \
    TUFF_STEP(step, id_, kCrashPoint); \
    ::tuff::internal::ReachStep(step); \
  } while (0)

#define SEQUENCE_POINT(id_)               \
  do {                                    \
    TUFF_STEP(step, id_, kSequencePoint); \
    ::tuff::internal::ReachStep(step);    \
  } while (0)

}  // namespace tuff
