#include "tests/crash/image_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tuff::test {
namespace {

[[noreturn]] void Die(const std::string& what) {
  std::perror(what.c_str());
  std::abort();
}

}  // namespace

ImageFile::ImageFile(std::string path, uint64_t bytes)
    : path_(std::move(path)),
      bytes_(bytes),
      loaded_(bytes >> kFrameShift),
      stored_to_(bytes >> kFrameShift) {
  const int fd = open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) Die(path_);
  const std::vector<char> zeros(1 << 20);
  for (uint64_t at = 0; at < bytes; at += zeros.size()) {
    if (pwrite(fd, zeros.data(), zeros.size(), static_cast<off_t>(at)) !=
        static_cast<ssize_t>(zeros.size())) {
      Die(path_);
    }
  }
  void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) Die(path_);
  base_ = static_cast<std::byte*>(mapped);
  close(fd);
}

ImageFile::~ImageFile() {
  munmap(base_, bytes_);
  (void)unlink(path_.c_str());
}

void ImageFile::Load(const SparseImage& image) {
  const auto& frames = image.frames();
  auto next = frames.begin();
  for (Pfn pfn = 0; pfn < loaded_.size(); pfn++) {
    const bool has_frame = next != frames.end() && next->first == pfn;
    const std::shared_ptr<SparseImage::Frame> frame = has_frame ? next->second : nullptr;
    if (has_frame) ++next;
    if (IsMemmapFrame(pfn) || (frame == loaded_[pfn] && !stored_to_[pfn])) continue;
    if (frame != nullptr) {
      std::memcpy(base_ + OffsetOf(pfn), frame->data(), kFrameSize);
    } else {
      std::memset(base_ + OffsetOf(pfn), 0, kFrameSize);
    }
    loaded_[pfn] = frame;
    stored_to_[pfn] = false;
  }
  if (loads_++ % kLoadsPerComparison == 0 && !Holds(image, true)) Die("a store has gone unnoticed");
}

bool ImageFile::Holds(const SparseImage& image, bool thorough) const {
  static const SparseImage::Frame zeros{};
  const auto holds = [this](Pfn pfn, const SparseImage::Frame& frame) {
    return IsMemmapFrame(pfn) || std::memcmp(base_ + OffsetOf(pfn), frame.data(), kFrameSize) == 0;
  };
  for (const auto& [pfn, frame] : image.frames()) {
    if (!holds(pfn, *frame)) return false;
  }
  for (Pfn pfn = 0; thorough && pfn < loaded_.size(); pfn++) {
    if (!image.frames().contains(pfn) && !holds(pfn, zeros)) return false;
  }
  return true;
}

void ImageFile::Watch::OnStore(const std::byte*, uint64_t offset,
                               std::span<const std::byte> bytes) {
  std::lock_guard lock(file_.mutex_);
  for (uint64_t at = offset & ~(kFrameSize - 1); at < offset + bytes.size(); at += kFrameSize) {
    file_.stored_to_[at >> kFrameShift] = true;
  }
}

}  // namespace tuff::test
