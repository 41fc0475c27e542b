// A file that holds one crash image after the other, quickly: only frames that differ from what the
// file holds already are written, so opening a pool in it must be watched.
//
// The memmap's frames are left as the pools before have left them: no mount may rely on them, and
// stale descriptors are the best of garbage.
// Ownership: owns the file and a mapping of it; borrows nothing. Thread-safety: none.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "pagemap/steps.h"
#include "tests/crash/crash_image.h"

namespace tuff::test {

class ImageFile {
 public:
  /// Load compares all of the file with what it should hold once in so many times.
  static constexpr uint64_t kLoadsPerComparison = 512;

  /// Makes the file, with every byte written, so that no pool finds it sparse.
  ImageFile(std::string path, uint64_t bytes);
  ~ImageFile();
  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;

  const std::string& path() const { return path_; }

  /// Makes the file hold the image. Dies if a comparison shows a store that nobody has watched.
  /// REQUIRES: it is of the file's size.
  void Load(const SparseImage& image);
  uint64_t loads() const { return loads_; }

  /// Whether the file still holds the frames of the image; those of zeros are not looked at, unless
  /// `thorough`.
  bool Holds(const SparseImage& image, bool thorough) const;

  /// Sees to it, while it lives, that what is stored in the file's pool is undone by the next Load.
  class Watch : public StepObserver {
   public:
    explicit Watch(ImageFile& file) : file_(file) { SetStepObserver(this); }
    ~Watch() override { SetStepObserver(nullptr); }
    void OnStore(const std::byte* base, uint64_t offset, std::span<const std::byte> bytes) override;

   private:
    ImageFile& file_;
  };

 private:
  const std::string path_;
  const uint64_t bytes_;
  std::byte* base_ = nullptr;
  // What each frame holds; null: zeros. Not true of frames that have been stored to since.
  std::vector<std::shared_ptr<SparseImage::Frame>> loaded_;
  std::mutex mutex_;  // guards stored_to_ while a pool is watched, which has a thread of its own
  std::vector<bool> stored_to_;
  uint64_t loads_ = 0;
};

}  // namespace tuff::test
