// Fuzzes opening, reading, checking and writing of pools that are damaged, or hostile (I8). Inputs:
// pool_edits.h.
#include "tests/fuzz/list_input.h"
#include "tests/fuzz/pool_session.h"

namespace tuff::test {
namespace {

// Outlive all inputs.
struct Place {
  TempDir dir;
  ImageFile file{dir.File("pool"), kPoolSizeMin};
};

void RunInput(std::span<const uint8_t> bytes) {
  static Place place;
  const auto input = ListInput<PoolInput, Edit>::Read(bytes, kEditsMax);
  const PoolBase& base = PoolBases()[input.head.base % PoolBases().size()];
  const SparseImage image = ApplyEdits(base, input.entries);
  place.file.Load(image);
  const ImageFile::Watch watch(place.file);
  UsePool(place.file, image, input.head);
}

}  // namespace
}  // namespace tuff::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tuff::test::RunInput({data, size});
  return 0;
}
