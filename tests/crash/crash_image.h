// Crash images: what a pool's file may hold after a power failure, built from a sparse base image
// and a MemoryModel that has been brought to the moment of the failure.
//
// Ownership: a SparseImage shares its frames with its copies until one is changed.
// Thread-safety: none.
#pragma once

#include <array>
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

/// All crash images of a moment that are looked at, numbered: image i is the same for the same
/// model and seed, however many of the others are wanted.
///
/// Up to 10 dirty lines: every subset of them, then each line that several stores have gone to
/// alone in part, beside a seeded subset of the others, four times. More: none, all, 64 seeded
/// samples in which lines may have arrived in part, each line alone, and all but one. Image 0 has
/// none of the lines, image 1 all. Borrows the model.
class CrashImages {
 public:
  CrashImages(const MemoryModel& model, uint64_t seed);

  uint64_t count() const { return count_; }
  /// REQUIRES: i < count().
  CrashImage At(uint64_t i) const;
  /// Numbers of so many of them, ascending: 0 and 1 first of all, then seeded ones.
  std::vector<uint64_t> Sample(uint64_t wanted) const;

 private:
  // How much of one line has arrived.
  enum class Part : uint8_t { kNone, kAll, kSome };

  size_t size() const { return lines_.size(); }
  CrashImage OfFewLines(uint64_t i, Random* random) const;
  CrashImage OfManyLines(uint64_t i, Random* random) const;
  void Add(size_t line, Part part, Random* random, CrashImage* image) const;
  SparseImage::Line Torn(const MemoryModel::Line& line, Random* random) const;

  const MemoryModel& model_;
  const uint64_t seed_;
  std::vector<std::pair<uint64_t, const MemoryModel::Line*>> lines_;
  std::vector<size_t> in_parts_;  // lines that can have arrived in part
  uint64_t count_ = 0;
};

}  // namespace tuff::test
