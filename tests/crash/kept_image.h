// A crash image that was found wrong, in a file, with what had been legal: it can be examined again
// whatever has become of the program that made it.
//
// Thread-safety: none.
#pragma once

#include <string>
#include <vector>

#include "tests/crash/contents.h"
#include "tests/crash/crash_image.h"

namespace tuff::test {

struct KeptImage {
  Granularity granularity = Granularity::kCacheLine;
  bool may_be_no_pool = false;
  std::vector<Contents> legal;
  SparseImage image;
};

/// False if that fails.
bool WriteKept(const std::string& path, const KeptImage& kept);
/// nullopt if it is no such file.
std::optional<KeptImage> ReadKept(const std::string& path);

}  // namespace tuff::test
