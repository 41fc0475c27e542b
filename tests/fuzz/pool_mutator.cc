// How libFuzzer changes an input of the pool fuzzer.
#include "tests/fuzz/list_input.h"
#include "tests/fuzz/pool_edits.h"

namespace tuff::test {
namespace {

using Input = ListInput<PoolInput, Edit>;

Edit AnyEdit(Random& random) {
  Edit edit{};
  edit.kind = static_cast<uint8_t>(random.Below(kEditKinds));
  edit.which = static_cast<uint8_t>(SmallNumber(random));
  edit.part = static_cast<uint16_t>(SmallNumber(random));
  edit.field = static_cast<uint8_t>(random.Below(32));
  edit.op = static_cast<uint8_t>(random.Below(kEditOps));
  if (random.OneIn(16)) edit.leave = static_cast<uint8_t>(1 + random.Below(3));
  edit.value = random.OneIn(8) ? random.Next() : SmallNumber(random);
  return edit;
}

void ChangeEdit(Edit* edit, Random& random) {
  const Edit other = AnyEdit(random);
  switch (random.Below(8)) {
    case 0:
      edit->kind = other.kind;
      break;
    case 1:
      edit->which = other.which;
      break;
    case 2:
      edit->part = other.part;
      break;
    case 3:
      edit->field = other.field;
      break;
    case 4:
      edit->op = other.op;
      break;
    case 5:
      edit->leave = other.leave;
      break;
    case 6:
      edit->value = other.value;
      break;
    default:
      edit->value += random.Below(17) - 8;
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
      data, size, size_max, random, kEditsMax, [&] { return AnyEdit(random); },
      [&](Edit* edit) { ChangeEdit(edit, random); });
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data1, size_t size1,
                                            const uint8_t* data2, size_t size2, uint8_t* out,
                                            size_t size_max, unsigned seed) {
  using namespace tuff::test;
  return CrossInputs<Input>({data1, size1}, {data2, size2}, {out, size_max}, seed, kEditsMax);
}
