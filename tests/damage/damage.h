// Damages to a pool's image, and which of them to try together.
//
// Thread-safety: none.
#pragma once

#include <string>
#include <vector>

#include "tests/damage/layout.h"

namespace tuff::test {

enum class How : uint8_t {
  kFlip,       // bits of one byte
  kZeros,      // a line of 64 bytes, like all that follow
  kOnes,       // 0xff
  kOlder,      // as it once was
  kSameKind,   // another frame's, of the same kind
  kOtherKind,  // of another kind
};
inline constexpr size_t kHows = static_cast<size_t>(How::kOtherKind) + 1;
const char* HowName(How how);

struct Damage {
  uint32_t target = 0;
  Kind kind = Kind::kFree;
  How how = How::kFlip;
  bool alone = false;
  uint64_t place = 0;
  std::string bytes;  // what is there then

  std::string ToString(const Layout& layout) const;
};

struct Thoroughness {
  uint64_t stride = 1;       // takes every so-many-th damage
  uint64_t stride_bulk = 1;  // the same of those to bytes of which there are many alike
  uint64_t stride_leaves = 1;
  bool all_bits = false;  // of bytes of which there are not many alike
  size_t older_max = 1;
};

/// All damages to the targets of an image. `earlier`: moments of the same pool, oldest first.
std::vector<Damage> AllDamages(const SparseImage& image, const Layout& layout,
                               const std::vector<SparseImage>& earlier, const Thoroughness& how);

/// Each damage once, in sets of at most `at_once` that do not concern the same leaves.
std::vector<std::vector<uint32_t>> Combine(const std::vector<Damage>& damages, const Layout& layout,
                                           size_t at_once);

/// The image, damaged.
SparseImage Apply(SparseImage image, const std::vector<Damage>& damages,
                  const std::vector<uint32_t>& which);

}  // namespace tuff::test
