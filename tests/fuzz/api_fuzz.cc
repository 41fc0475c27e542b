// Fuzzes the public interface: programs of calls, compared with std::maps. Inputs: api_run.h.
#include "tests/crash/image_file.h"
#include "tests/fuzz/api_run.h"
#include "tests/fuzz/list_input.h"
#include "tests/fuzz/pool_bases.h"

namespace tuff::test {
namespace {

// Outlive all inputs.
struct Place {
  TempDir dir;
  ImageFile file{dir.File("pool"), kPoolSizeMin};
  const SparseImage empty = NewPool();
};

void RunInput(std::span<const uint8_t> bytes) {
  static Place place;
  const auto input = ListInput<ApiHead, ApiStep>::Read(bytes, kStepsMax);
  place.file.Load(place.empty);
  const ImageFile::Watch watch(place.file);
  ApiRun(place.file.path(), input.head).Run(input.entries);
}

}  // namespace
}  // namespace tuff::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tuff::test::RunInput({data, size});
  return 0;
}
