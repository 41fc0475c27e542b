#include "tests/crash/crash_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "pagemap/checksum.h"

namespace tuff::test {
namespace {

constexpr size_t kExhaustiveLines = 10;
constexpr uint64_t kSamples = 64;
constexpr uint64_t kPartialsPerLine = 4;

bool IsZeroFrame(const std::byte* at) {
  static const SparseImage::Frame zeros{};
  return std::memcmp(at, zeros.data(), kFrameSize) == 0;
}

}  // namespace

SparseImage SparseImage::OfMapping(const std::byte* base, uint64_t bytes) {
  SparseImage image(bytes);
  for (Pfn pfn = 0; pfn < bytes >> kFrameShift; pfn++) {
    const std::byte* const at = base + OffsetOf(pfn);
    if (IsMemmapFrame(pfn) || IsZeroFrame(at)) continue;
    auto frame = std::make_shared<Frame>();
    std::memcpy(frame->data(), at, kFrameSize);
    image.frames_[pfn] = std::move(frame);
  }
  return image;
}

SparseImage::Line SparseImage::LineAt(uint64_t offset) const {
  Line line{};
  const auto at = frames_.find(offset >> kFrameShift);
  if (at != frames_.end()) {
    std::memcpy(line.data(), at->second->data() + (offset & (kFrameSize - 1)), line.size());
  }
  return line;
}

void SparseImage::SetLine(uint64_t offset, const Line& line) {
  std::shared_ptr<Frame>& frame = frames_[offset >> kFrameShift];
  if (frame == nullptr) {
    frame = std::make_shared<Frame>();
  } else if (frame.use_count() > 1) {
    frame = std::make_shared<Frame>(*frame);
  }
  std::memcpy(frame->data() + (offset & (kFrameSize - 1)), line.data(), line.size());
}

bool SparseImage::WriteTo(const std::string& path) const {
  (void)unlink(path.c_str());
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  bool done = ftruncate(fd, static_cast<off_t>(bytes_)) == 0;
  for (auto at = frames_.begin(); done && at != frames_.end();) {
    // Neighbouring frames in one call.
    std::array<iovec, 64> pieces;
    const Pfn first = at->first;
    size_t n = 0;
    for (; n < pieces.size() && at != frames_.end() && at->first == first + n; ++at) {
      pieces[n++] = {at->second->data(), kFrameSize};
    }
    done = pwritev(fd, pieces.data(), static_cast<int>(n), static_cast<off_t>(OffsetOf(first))) ==
           static_cast<ssize_t>(n * kFrameSize);
  }
  return close(fd) == 0 && done;
}

SparseImage DurableImage(const SparseImage& base, const MemoryModel& model) {
  SparseImage image = base;
  for (const auto& [offset, line] : model.lines()) image.SetLine(offset, line.durable);
  return image;
}

SparseImage WithLines(SparseImage image, const CrashImage& lines) {
  for (const auto& [offset, line] : lines) image.SetLine(offset, line);
  return image;
}

CrashImage EverythingStored(const MemoryModel& model) {
  CrashImage image;
  for (const uint64_t offset : model.dirty()) {
    image.emplace_back(offset, model.lines().at(offset).stored);
  }
  return image;
}

CrashImages::CrashImages(const MemoryModel& model, uint64_t seed) : model_(model), seed_(seed) {
  for (const uint64_t offset : model.dirty()) {
    const MemoryModel::Line& line = model.lines().at(offset);
    if (line.pending.size() > 1) in_parts_.push_back(lines_.size());
    lines_.emplace_back(offset, &line);
  }
  count_ = size() <= kExhaustiveLines ? (1ull << size()) + in_parts_.size() * kPartialsPerLine
                                      : 2 + kSamples + 2 * size();
}

CrashImage CrashImages::At(uint64_t i) const {
  Random random(Mix64(seed_ ^ Mix64(i)));
  return size() <= kExhaustiveLines ? OfFewLines(i, &random) : OfManyLines(i, &random);
}

std::vector<uint64_t> CrashImages::Sample(uint64_t wanted) const {
  wanted = std::min(wanted, count_);
  Random random(Mix64(seed_));
  const bool most = wanted > count_ / 2;
  // Those to take if they are few, else those to leave out.
  std::set<uint64_t> marked;
  while (marked.size() < (most ? count_ - wanted : wanted)) {
    const bool always = !most && marked.size() < 2;
    marked.insert(always ? marked.size() : 2 + random.Below(count_ - 2));
  }
  if (!most) return {marked.begin(), marked.end()};
  std::vector<uint64_t> taken;
  for (uint64_t i = 0; i < count_; i++) {
    if (!marked.contains(i)) taken.push_back(i);
  }
  return taken;
}

CrashImage CrashImages::OfFewLines(uint64_t i, Random* random) const {
  const uint64_t subsets = 1ull << size();
  CrashImage image;
  if (i < subsets) {
    // "All" has changed places with the first line alone.
    const uint64_t subset = i == 1 ? subsets - 1 : i == subsets - 1 ? 1 : i;
    for (size_t k = 0; k < size(); k++) {
      Add(k, subset >> k & 1 ? Part::kAll : Part::kNone, random, &image);
    }
    return image;
  }
  const size_t torn = in_parts_[(i - subsets) / kPartialsPerLine];
  for (size_t k = 0; k < size(); k++) {
    const Part whole = random->OneIn(2) ? Part::kNone : Part::kAll;
    Add(k, k == torn ? Part::kSome : whole, random, &image);
  }
  return image;
}

CrashImage CrashImages::OfManyLines(uint64_t i, Random* random) const {
  CrashImage image;
  if (i < 2 + kSamples) {
    for (size_t k = 0; k < size(); k++) {
      const uint64_t n = random->Below(8);
      const Part sampled = n < 3 ? Part::kNone : n < 6 ? Part::kAll : Part::kSome;
      Add(k, i == 0 ? Part::kNone : i == 1 ? Part::kAll : sampled, random, &image);
    }
    return image;
  }
  const uint64_t each = i - 2 - kSamples;
  const size_t one = each / 2;
  const bool alone = each % 2 == 0;
  const bool in_part = one % 4 == 3;
  for (size_t k = 0; k < size(); k++) {
    const bool arrived = (k == one) == alone;
    Add(k, k == one && in_part ? Part::kSome : arrived ? Part::kAll : Part::kNone, random, &image);
  }
  return image;
}

void CrashImages::Add(size_t line, Part part, Random* random, CrashImage* image) const {
  const auto& [offset, at] = lines_[line];
  if (part == Part::kSome && at->pending.size() < 2) {
    part = random->OneIn(2) ? Part::kAll : Part::kNone;
  }
  if (part == Part::kAll) image->emplace_back(offset, at->stored);
  if (part == Part::kSome) image->emplace_back(offset, Torn(*at, random));
}

SparseImage::Line CrashImages::Torn(const MemoryModel::Line& line, Random* random) const {
  const size_t n = line.pending.size();
  if (model_.granularity() != Granularity::kPage) {
    return MemoryModel::AfterPrefix(line, 1 + random->Below(n - 1));
  }
  // Each word stands still after any of its stores.
  SparseImage::Line bytes = line.durable;
  std::array<bool, MemoryModel::kLineSize / 8> stopped{};
  for (const MemoryModel::WordStore& store : line.pending) {
    bool& stop = stopped[store.at / 8];
    stop = stop || random->OneIn(2);
    if (!stop) MemoryModel::Put(store, &bytes);
  }
  return bytes;
}

}  // namespace tuff::test
