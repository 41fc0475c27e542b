// How libFuzzer changes an input of the API fuzzer.
#include "tests/fuzz/api_run.h"
#include "tests/fuzz/list_input.h"

namespace tuff::test {
namespace {

using Input = ListInput<ApiHead, ApiStep>;

ApiStep AnyStep(Random& random) {
  ApiStep step{};
  step.op = static_cast<uint8_t>(random.Below(kStepOps));
  step.store = static_cast<uint8_t>(random.OneIn(16) ? 100 + random.Below(5) : random.Below(4));
  // Mostly few keys, which steps then have in common.
  step.shape = static_cast<uint8_t>(random.OneIn(16)  ? random.Below(128)
                                    : random.OneIn(4) ? 3 + random.Below(5)
                                                      : 6);
  step.key = static_cast<uint8_t>(random.OneIn(4) ? random.Next() : random.Below(6));
  step.size = static_cast<uint16_t>(random.Below(600));
  step.x = static_cast<uint8_t>(random.Next());
  step.y = static_cast<uint8_t>(random.Next());
  return step;
}

void ChangeStep(ApiStep* step, Random& random) {
  const ApiStep other = AnyStep(random);
  switch (random.Below(7)) {
    case 0:
      step->op = other.op;
      break;
    case 1:
      step->store = other.store;
      break;
    case 2:
      step->shape = other.shape;
      break;
    case 3:
      step->key = other.key;
      break;
    case 4:
      step->size = other.size;
      break;
    case 5:
      step->x = other.x;
      break;
    default:
      step->y = other.y;
      break;
  }
}

}  // namespace
}  // namespace tuff::test

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t size_max,
                                          unsigned seed) {
  using namespace tuff::test;
  Random random(seed);
  return MutateInput<Input>(
      data, size, size_max, random, kStepsMax, [&] { return AnyStep(random); },
      [&](ApiStep* step) { ChangeStep(step, random); });
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data1, size_t size1,
                                            const uint8_t* data2, size_t size2, uint8_t* out,
                                            size_t size_max, unsigned seed) {
  using namespace tuff::test;
  return CrossInputs<Input>({data1, size1}, {data2, size2}, {out, size_max}, seed, kStepsMax);
}
