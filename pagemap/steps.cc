#include "pagemap/steps.h"

#include <algorithm>
#include <cstring>

extern "C" {
extern const tuff::Step* const __start_tuff_steps[];
extern const tuff::Step* const __stop_tuff_steps[];
}

namespace tuff {

std::atomic<StepObserver*> g_step_observer{nullptr};

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
