// What a damaged pool does: it is opened read-only, read and checked; opened for writing, read,
// written and read again.
//
// Thread-safety: none.
#pragma once

#include <string>
#include <vector>

#include "tests/crash/image_file.h"
#include "tests/damage/damage.h"

namespace tuff::test {

enum class Outcome : uint8_t {
  kAtOpen,   // the pool is not opened
  kReading,  // an operation says so
  kCheck,    // the check alone says so
  kOlder,    // nobody does: what is read is an earlier state
  kCurrent,  // nobody does, for nothing is wrong
};
inline constexpr size_t kOutcomes = static_cast<size_t>(Outcome::kCurrent) + 1;

struct Verdict {
  std::vector<Outcome> outcomes;  // of each damage
  std::string wrong;              // what must not be; empty: nothing
};

class Examiner {
 public:
  /// The file is made at `path`; what is read must be a state of `layout`'s leaves.
  Examiner(const std::string& path, const SparseImage& image, const Layout& layout,
           const std::map<uint32_t, std::string>& stores);
  ~Examiner();

  /// `turn`: which of the more costly things to do this time.
  Verdict Examine(const std::vector<Damage>& damages, const std::vector<uint32_t>& which,
                  uint64_t turn);

 private:
  class Run;

  const SparseImage& image_;
  const Layout& layout_;
  std::vector<std::string> stores_;
  ImageFile file_;
  ImageFile::Watch watch_;
};

}  // namespace tuff::test
