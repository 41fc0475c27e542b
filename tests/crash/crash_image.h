// Crash images: what a pool's file may hold after a power failure, built from a sparse base image
// and a MemoryModel that has been brought to the moment of the failure.
//
// Ownership: a SparseImage shares its frames with its copies until one is changed.
// Thread-safety: none.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pagemap/pfn.h"
#include "pagemap/recorder.h"
#include "tests/test_util.h"

namespace tuff::test {

/// True for the frames whose contents do not outlive a mount.
constexpr bool IsMemmapFrame(Pfn pfn) { return (pfn & (kSectionFrames - 1)) >> kBlockShift == 1; }

/// A pool's bytes; frames of zeros are not kept.
class SparseImage {
 public:
  using Frame = std::array<std::byte, kFrameSize>;
  using Line = MemoryModel::LineBytes;

  /// Of an open pool's mapping, without the memmap, which is volatile.
  static SparseImage OfMapping(const std::byte* base, uint64_t bytes);
  /// All zeros.
  explicit SparseImage(uint64_t bytes = 0) : bytes_(bytes) {}

  uint64_t bytes() const { return bytes_; }
  const std::map<Pfn, std::shared_ptr<Frame>>& frames() const { return frames_; }
  Line LineAt(uint64_t offset) const;
  void SetLine(uint64_t offset, const Line& line);

  /// Makes the file anew. False, with errno, if that fails.
  bool WriteTo(const std::string& path) const;

 private:
  uint64_t bytes_;
  std::map<Pfn, std::shared_ptr<Frame>> frames_;
};

/// Which stores have reached the medium: the lines, as they then are, that are not as durable.
using CrashImage = std::vector<std::pair<uint64_t, SparseImage::Line>>;

/// `base` with everything that is durable.
SparseImage DurableImage(const SparseImage& base, const MemoryModel& model);
/// `image` with some lines changed.
SparseImage WithLines(SparseImage image, const CrashImage& lines);
/// All stores: what a killed process leaves in the caches.
CrashImage EverythingStored(const MemoryModel& model);

/// Calls visit(index, image) for crash images of the moment, at most `budget`; the index names the
/// image for a replay with the same model, budget and seed. Stops when visit returns false.
/// Up to 8 dirty lines: every subset of them, then seeded partial lines. More: none, all, each line
/// alone, all but one, and 16 seeded samples. What does not fit the budget is sampled.
void ForEachCrashImage(const MemoryModel& model, unsigned budget, uint64_t seed,
                       const std::function<bool(unsigned, const CrashImage&)>& visit);

}  // namespace tuff::test
