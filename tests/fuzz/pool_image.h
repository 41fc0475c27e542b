// The bytes of a pool that is to be damaged on purpose, and what makes them pass for whole: every
// checksum of the format can be made right again.
//
// Nothing here relies on what the bytes say. Reads outside the pool give zeros, writes there do
// nothing. Thread-safety: none.
#pragma once

#include <cstring>
#include <vector>

#include "pagemap/lane_format.h"
#include "tests/crash/crash_image.h"

namespace tuff::test {

class PoolImage {
 public:
  explicit PoolImage(SparseImage image) : image_(std::move(image)) {}

  const SparseImage& image() const { return image_; }
  uint64_t frames() const { return image_.bytes() >> kFrameShift; }

  std::vector<std::byte> Read(uint64_t offset, size_t n) const;
  void Write(uint64_t offset, const std::byte* from, size_t n);
  template <typename T>
  T Get(uint64_t offset) const {
    T value;
    std::memcpy(&value, Read(offset, sizeof value).data(), sizeof value);
    return value;
  }
  template <typename T>
  void Set(uint64_t offset, const T& value) {
    Write(offset, reinterpret_cast<const std::byte*>(&value), sizeof value);
  }

  /// The bytes of the node at `pfn`, as many as its header says; a frame, if that is impossible.
  std::vector<std::byte> ReadNode(Pfn pfn) const;

  /// The seed that an open takes, from the newer superblock.
  uint64_t HashSeed() const;

  /// The length of a lane's entry with what belongs to it in the lane: at most a frame.
  static size_t EntryBytes(const LaneEntry& entry);

  // Each makes the checksums of one structure right.
  void SignSuperblock(Pfn pfn);
  void SignLiveStatus();
  void SignOwner(Pfn pfn);
  void SignAnchor(Pfn pfn);
  /// The node; with `records`, first those of its base and log, and their groups.
  void SignNode(Pfn pfn, bool records);
  /// A lane's entry, and the chunks that it names.
  void SignLane(unsigned lane);

 private:
  SparseImage image_;
};

}  // namespace tuff::test
