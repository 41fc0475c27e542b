#include "tests/crash/crash_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace tuff::test {
namespace {

constexpr size_t kExhaustiveLines = 8;
constexpr unsigned kSamples = 16;
constexpr unsigned kPartialsPerLine = 4;

bool IsZeroFrame(const std::byte* at) {
  static const SparseImage::Frame zeros{};
  return std::memcmp(at, zeros.data(), kFrameSize) == 0;
}

// How much of one line has arrived.
enum class Part : uint8_t { kNone, kAll, kSome };

class Builder {
 public:
  Builder(const MemoryModel& model, uint64_t seed) : model_(model), random_(seed) {
    for (const uint64_t offset : model.dirty())
      lines_.emplace_back(offset, model.lines().at(offset));
  }

  size_t size() const { return lines_.size(); }
  Random& random() { return random_; }
  bool HasParts(size_t i) const { return lines_[i].second.pending.size() > 1; }

  void Add(size_t i, Part part, CrashImage* image) {
    const auto& [offset, line] = lines_[i];
    if (part == Part::kSome && !HasParts(i)) part = random_.OneIn(2) ? Part::kAll : Part::kNone;
    if (part == Part::kAll) image->emplace_back(offset, line.stored);
    if (part == Part::kSome) image->emplace_back(offset, Torn(line));
  }

  // One part for each line.
  CrashImage Image(const std::function<Part(size_t)>& part_of) {
    CrashImage image;
    for (size_t i = 0; i < size(); i++) Add(i, part_of(i), &image);
    return image;
  }

  Part AnyPart() {
    const uint64_t n = random_.Below(8);
    return n < 3 ? Part::kNone : n < 6 ? Part::kAll : Part::kSome;
  }
  Part NoneOrAll() { return random_.OneIn(2) ? Part::kNone : Part::kAll; }

 private:
  SparseImage::Line Torn(const MemoryModel::Line& line) {
    const size_t n = line.pending.size();
    if (model_.granularity() != Granularity::kPage) {
      return MemoryModel::AfterPrefix(line, 1 + random_.Below(n - 1));
    }
    // Each word stands still after any of its stores.
    SparseImage::Line bytes = line.durable;
    std::array<bool, MemoryModel::kLineSize / 8> stopped{};
    for (const MemoryModel::WordStore& store : line.pending) {
      bool& stop = stopped[store.at / 8];
      stop = stop || random_.OneIn(2);
      if (!stop) MemoryModel::Put(store, &bytes);
    }
    return bytes;
  }

  const MemoryModel& model_;
  Random random_;
  std::vector<std::pair<uint64_t, MemoryModel::Line>> lines_;
};

using Visit = std::function<bool(unsigned, const CrashImage&)>;

// Numbers the images and keeps the budget.
class Counted {
 public:
  Counted(unsigned budget, const Visit& visit) : budget_(budget), visit_(visit) {}
  bool operator()(const CrashImage& image) {
    if (index_ >= budget_) return false;
    return visit_(index_++, image) && index_ < budget_;
  }
  unsigned left() const { return budget_ - std::min(index_, budget_); }

 private:
  unsigned index_ = 0;
  const unsigned budget_;
  const Visit& visit_;
};

void VisitFewLines(Builder& builder, Counted& visit) {
  const size_t n = builder.size();
  const unsigned subsets = 1u << n;
  const bool sampled = subsets > visit.left();
  for (unsigned i = 0; i < std::min(subsets, visit.left()); i++) {
    // "None" and "all" are always among them.
    const unsigned subset = !sampled ? i
                            : i == 0 ? 0
                            : i == 1 ? subsets - 1
                                     : static_cast<unsigned>(builder.random().Below(subsets));
    const auto part = [&](size_t k) { return subset >> k & 1 ? Part::kAll : Part::kNone; };
    if (!visit(builder.Image(part))) return;
  }
  for (size_t torn = 0; torn < n; torn++) {
    if (!builder.HasParts(torn)) continue;
    for (unsigned i = 0; i < kPartialsPerLine; i++) {
      const auto part = [&](size_t k) { return k == torn ? Part::kSome : builder.NoneOrAll(); };
      if (!visit(builder.Image(part))) return;
    }
  }
}

void VisitManyLines(Builder& builder, Counted& visit) {
  const size_t n = builder.size();
  if (!visit({})) return;
  if (!visit(builder.Image([](size_t) { return Part::kAll; }))) return;
  for (unsigned i = 0; i < kSamples; i++) {
    if (!visit(builder.Image([&](size_t) { return builder.AnyPart(); }))) return;
  }
  // Each alone, and all but each; of more than fit, a seeded half for each.
  const size_t each = std::min<size_t>(n, visit.left() / 2);
  std::vector<size_t> chosen(n);
  for (size_t i = 0; i < n; i++) chosen[i] = i;
  for (size_t i = 0; i < each && each < n; i++) {
    std::swap(chosen[i], chosen[i + builder.random().Below(n - i)]);
  }
  for (size_t i = 0; i < each; i++) {
    const size_t one = chosen[i];
    CrashImage alone;
    builder.Add(one, i % 4 == 3 ? Part::kSome : Part::kAll, &alone);
    if (!visit(alone)) return;
    const Part missing = i % 4 == 3 ? Part::kSome : Part::kNone;
    if (!visit(builder.Image([&](size_t k) { return k == one ? missing : Part::kAll; }))) return;
  }
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

void ForEachCrashImage(const MemoryModel& model, unsigned budget, uint64_t seed,
                       const std::function<bool(unsigned, const CrashImage&)>& visit) {
  Builder builder(model, seed);
  Counted counted(budget, visit);
  if (builder.size() <= kExhaustiveLines) {
    VisitFewLines(builder, counted);
  } else {
    VisitManyLines(builder, counted);
  }
}

}  // namespace tuff::test
