// Page-frame numbers and the geometry of a pool: where each thing lies, computed, never stored.
//
// Source: docs/format.md, "Geometry".
// Thread-safety: pure functions.
#pragma once

#include <cstdint>

namespace tuff {

/// A frame's number: its byte offset in the pool >> kFrameShift. 0 (the superblock) stands for
/// none.
using Pfn = uint64_t;

inline constexpr unsigned kFrameShift = 12;
inline constexpr uint64_t kFrameSize = 1ull << kFrameShift;  // bytes

inline constexpr unsigned kBlockShift = 9;
inline constexpr uint64_t kBlockFrames = 1ull << kBlockShift;  // frames of a page block (2 MiB)

inline constexpr unsigned kSectionShift = 15;
inline constexpr uint64_t kSectionFrames = 1ull << kSectionShift;  // frames of a section (128 MiB)

inline constexpr unsigned kOrderMax = 9;  // runs of 2^0 to 2^9 frames

/// A pool has fewer frames than this: child words name them with 40 bits (4 PiB).
inline constexpr unsigned kPfnBits = 40;

// Section 0: superblock, mirror, catalogue anchor, then lanes, frame table, memmap.
inline constexpr Pfn kSuperblockPfn = 0;
inline constexpr Pfn kMirrorPfn = 1;
inline constexpr Pfn kCatalogueAnchorPfn = 2;
inline constexpr Pfn kLanesPfn = 64;
inline constexpr unsigned kLanes = 64;  // frames, one for each concurrent writer

inline constexpr uint64_t kFrameTableFrames = kSectionFrames * 8 / kFrameSize;            // 64
inline constexpr uint64_t kDescriptorSize = 64;                                           // bytes
inline constexpr uint64_t kMemmapFrames = kSectionFrames * kDescriptorSize / kFrameSize;  // 512
static_assert(kMemmapFrames == kBlockFrames, "a section's memmap is one page block");

/// A section has at least its header block, its memmap block and one block of data.
inline constexpr uint64_t kSectionFramesMin = 3 * kBlockFrames;

constexpr uint64_t OffsetOf(Pfn pfn) { return pfn << kFrameShift; }
constexpr uint64_t SectionOf(Pfn pfn) { return pfn >> kSectionShift; }
constexpr uint64_t BlockOf(Pfn pfn) { return pfn >> kBlockShift; }
constexpr Pfn SectionStart(uint64_t section) { return section << kSectionShift; }
constexpr Pfn FrameTablePfn(uint64_t section) {
  return section == 0 ? kLanesPfn + kLanes : SectionStart(section);
}
constexpr Pfn MemmapPfn(uint64_t section) { return SectionStart(section) + kBlockFrames; }

/// Byte offset in the pool of a frame's owner word.
constexpr uint64_t OwnerWordOffset(Pfn pfn) {
  return OffsetOf(FrameTablePfn(SectionOf(pfn))) + (pfn & (kSectionFrames - 1)) * 8;
}

/// True for frames that hold the pool's own tables. Their owner words stay 0: geometry owns them.
constexpr bool IsReserved(Pfn pfn) {
  const uint64_t in_section = pfn & (kSectionFrames - 1);
  const uint64_t tables =
      FrameTablePfn(SectionOf(pfn)) - SectionStart(SectionOf(pfn)) + kFrameTableFrames;
  return in_section < tables || (in_section >> kBlockShift) == 1;
}

/// The frames a pool uses of `bytes` bytes: whole page blocks; a last section too short for its
/// tables and a block of data is left out.
constexpr uint64_t UsableFrames(uint64_t bytes) {
  const uint64_t frames = (bytes >> kFrameShift) & ~(kBlockFrames - 1);
  const uint64_t last = frames & (kSectionFrames - 1);
  return last < kSectionFramesMin ? frames - last : frames;
}

constexpr uint64_t SectionsOf(uint64_t frames) {
  return (frames + kSectionFrames - 1) >> kSectionShift;
}

}  // namespace tuff
