#include "pagemap/steps.h"

#include <algorithm>
#include <cstring>

extern "C" {
extern const tuff::Step* const __start_tuff_steps[];
extern const tuff::Step* const __stop_tuff_steps[];
}

namespace tuff {

std::atomic<StepObserver*> g_step_observer{nullptr};

namespace {
std::atomic<uint64_t> mutant_hits{0};
}

void SetMutant(const char* id) { internal::g_mutant.store(id); }
uint64_t MutantHits() { return mutant_hits.load(); }

namespace internal {
std::atomic<const char*> g_mutant{nullptr};

bool IsMutant(const Step& step) {
  const char* const id = g_mutant.load();
  if (id == nullptr || std::strcmp(step.id, id) != 0) return false;
  mutant_hits.fetch_add(1);
  return true;
}
}  // namespace internal

void SetStepObserver(StepObserver* observer) { g_step_observer.store(observer); }

std::vector<const Step*> AllSteps() {
  std::vector<const Step*> steps(__start_tuff_steps, __stop_tuff_steps);
  std::sort(steps.begin(), steps.end(), [](const Step* a, const Step* b) {
    const int by_id = std::strcmp(a->id, b->id);
    return by_id != 0 ? by_id < 0 : a->line < b->line;
  });
  return steps;
}

}  // namespace tuff
