#include "engine.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace tuff::bench {
namespace {

std::vector<EngineKind>& MutableEngines() {
  static std::vector<EngineKind> engines;
  return engines;
}

[[noreturn]] void End(int code, std::string_view what) {
  std::fflush(stdout);
  fmt::print(stderr, "{}\n", what);
  std::fflush(stderr);
  // Not exit(): other threads may be in the middle of the engine.
  std::_Exit(code);
}

}  // namespace

void Die(std::string_view what) { End(1, what); }
void Skip(std::string_view why) { End(kExitSkip, why); }

const std::vector<EngineKind>& Engines() { return MutableEngines(); }
Registration::Registration(EngineKind kind) { MutableEngines().push_back(std::move(kind)); }

uint64_t AllocatedBytes(const std::string& directory) {
  constexpr uint64_t kBlock = 512;  // of st_blocks, whatever the file system's is
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    struct stat status = {};
    if (stat(entry.path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      bytes += static_cast<uint64_t>(status.st_blocks) * kBlock;
    }
  }
  return bytes;
}

}  // namespace tuff::bench
