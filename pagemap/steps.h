// Steps: the places in the code that a crash may separate, each with a permanent id.
//
//   CRASH_POINT("put.1")                 between two persistent steps
//   SEQUENCE_POINT("get.1")              where tests force an interleaving; nothing persistent
//   TUFF_FLUSH("put.2", window, off, n)  every flush and fence call has an id too (window.h)
//   TUFF_CHECK("node.owner", condition)  whether persistent bytes are as they must be
//   TUFF_RETIRE("lane.retire"), TUFF_ZERO("tail.zero"), TUFF_ORDER("put.order")
//                                        true: retire, zero, keep the order (InOrder)
//
// Of the last four kinds a test may leave one out by its id: a mutant (SetMutant). A check asks
// only when it has failed; the others cost one load and a predicted branch. Every id is known
// without being reached: the macros leave a record in a linker section, so tests can list what the
// code has and compare it with docs and with what they hit. With no observer a point costs one load
// and a predicted branch, so what is tested is what ships. Thread-safety: SetStepObserver while no
// other thread is inside tuff; observers are called from any thread and lock for themselves.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tuff {

enum class StepKind : uint8_t {
  kCrashPoint,
  kSequencePoint,
  kFlush,
  kFence,
  kCheck,
  kRetire,
  kZero,
  kOrder,
};

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

/// Leaves out the check, retirement, zeroing or order of this id in the whole process; null: none.
/// For tests. `id` must stay.
void SetMutant(const char* id);
/// How often the step that SetMutant names has been left out.
uint64_t MutantHits();

namespace internal {
inline void ReachStep(const Step& step) {
  if (StepObserver* observer = GetStepObserver(); observer != nullptr) [[unlikely]] {
    observer->OnPoint(step);
  }
}

extern std::atomic<const char*> g_mutant;
bool IsMutant(const Step& step);
inline bool IsKept(const Step& step) {
  return g_mutant.load(std::memory_order_relaxed) == nullptr || !IsMutant(step);
}
}  // namespace internal

/// Does both, `first` first; the other way round if the order is not kept, with a point of the id
/// in between, where a test can stop.
template <typename First, typename Second>
void InOrder(const Step* not_kept, const First& first, const Second& second) {
  if (not_kept == nullptr) [[likely]] {
    first();
    second();
  } else {
    second();
    internal::ReachStep(*not_kept);
    first();
  }
}

/// The same where `second` comes later anyway: does it now, if the order is not kept.
template <typename Second>
void TooEarly(const Step* not_kept, const Second& second) {
  if (not_kept == nullptr) [[likely]]
    return;
  second();
  internal::ReachStep(*not_kept);
}

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

#define TUFF_IF_KEPT(id_, kind_)           \
  [] {                                     \
    TUFF_STEP(step, id_, kind_);           \
    return ::tuff::internal::IsKept(step); \
  }()
#define TUFF_CHECK(id_, condition) ((condition) || !TUFF_IF_KEPT(id_, kCheck))
#define TUFF_RETIRE(id_) TUFF_IF_KEPT(id_, kRetire)
#define TUFF_ZERO(id_) TUFF_IF_KEPT(id_, kZero)
#define TUFF_ORDER(id_) TUFF_IF_KEPT(id_, kOrder)
// For InOrder.
#define TUFF_IN_ORDER(id_)                                   \
  [] {                                                       \
    TUFF_STEP(step, id_, kOrder);                            \
    return ::tuff::internal::IsKept(step) ? nullptr : &step; \
  }()

}  // namespace tuff
