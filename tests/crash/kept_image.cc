#include "tests/crash/kept_image.h"

#include <cstring>
#include <fstream>
#include <optional>

namespace tuff::test {
namespace {

constexpr char kMagic[] = "tuff crash image 1\n";

void PutNumber(std::ostream& out, uint64_t n) {
  out.write(reinterpret_cast<const char*>(&n), sizeof n);
}
void PutText(std::ostream& out, const std::string& text) {
  PutNumber(out, text.size());
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
}
uint64_t TakeNumber(std::istream& in) {
  uint64_t n = 0;
  in.read(reinterpret_cast<char*>(&n), sizeof n);
  return in ? n : 0;
}
std::string TakeText(std::istream& in) {
  std::string text;
  for (uint64_t n = TakeNumber(in); n > 0 && in; n--) text += static_cast<char>(in.get());
  return text;
}

}  // namespace

bool WriteKept(const std::string& path, const KeptImage& kept) {
  std::ofstream out(path, std::ios::binary);
  out << kMagic;
  PutNumber(out, static_cast<uint64_t>(kept.granularity));
  PutNumber(out, kept.may_be_no_pool ? 1 : 0);
  PutNumber(out, kept.legal.size());
  for (const Contents& contents : kept.legal) {
    PutNumber(out, contents.size());
    for (const auto& [key, value] : contents) {
      PutText(out, key);
      PutText(out, value);
    }
  }
  PutNumber(out, kept.image.bytes());
  PutNumber(out, kept.image.frames().size());
  for (const auto& [pfn, frame] : kept.image.frames()) {
    PutNumber(out, pfn);
    out.write(reinterpret_cast<const char*>(frame->data()), kFrameSize);
  }
  out.close();
  return out.good();
}

std::optional<KeptImage> ReadKept(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  char magic[sizeof kMagic - 1] = {};
  in.read(magic, sizeof magic);
  if (std::memcmp(magic, kMagic, sizeof magic) != 0) return std::nullopt;
  KeptImage kept;
  kept.granularity = static_cast<Granularity>(TakeNumber(in));
  kept.may_be_no_pool = TakeNumber(in) != 0;
  for (uint64_t n = TakeNumber(in); n > 0 && in; n--) {
    Contents& contents = kept.legal.emplace_back();
    for (uint64_t records = TakeNumber(in); records > 0 && in; records--) {
      const std::string key = TakeText(in);
      contents[key] = TakeText(in);
    }
  }
  kept.image = SparseImage(TakeNumber(in));
  for (uint64_t n = TakeNumber(in); n > 0 && in; n--) {
    const uint64_t offset = OffsetOf(TakeNumber(in));
    for (size_t at = 0; at < kFrameSize; at += MemoryModel::kLineSize) {
      SparseImage::Line line{};
      in.read(reinterpret_cast<char*>(line.data()), line.size());
      kept.image.SetLine(offset + at, line);
    }
  }
  if (!in) return std::nullopt;
  return kept;
}

}  // namespace tuff::test
