// Runs a fuzzer's function on inputs, without libFuzzer: on each file that is named, and on each
// file of a directory that is named.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/test_util.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; i++) {
    if (!fs::is_directory(argv[i])) {
      paths.emplace_back(argv[i]);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(argv[i])) paths.push_back(entry.path());
  }
  for (const std::string& path : paths) {
    if (!fs::is_regular_file(path)) {
      std::fprintf(stderr, "%s: no such file\n", path.c_str());
      return 1;
    }
    if (paths.size() == 1) std::fprintf(stderr, "%s\n", path.c_str());
    const std::string bytes = tuff::test::ReadWholeFile(path);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
  std::printf("replayed %zu inputs\n", paths.size());
  return paths.empty() ? 1 : 0;
}
