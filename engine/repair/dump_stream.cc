#include "engine/repair/dump_stream.h"

#include <fmt/format.h>

#include <cstring>

#include "engine/repair/dump_format.h"
#include "engine/repair/metadata.h"
#include "pagemap/checksum.h"
#include "pagemap/pfn.h"

namespace tuff {
namespace {

constexpr char kMagic[8] = {'t', 'u', 'f', 'f', 'm', 'e', 't', 'a'};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kKeysHidden = 1;
constexpr uint32_t kDamagedAreRaw = 2;

constexpr uint32_t kEnd = 1;
constexpr uint32_t kWithheld = 2;
constexpr uint32_t kFramesMax = 1024;  // of a piece

uint64_t HeaderChecksum(const DumpHeader& header) {
  return Checksum64(&header, offsetof(DumpHeader, checksum), 0);
}

uint64_t PieceChecksum(const DumpPiece& head, const void* bytes, uint64_t index) {
  return Checksum64(bytes, head.bytes, Checksum64(&head, offsetof(DumpPiece, checksum), index));
}

template <typename T>
std::string_view TextOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace

Result<DumpSummary> DumpMetadata(const std::string& path, const DumpOptions& options,
                                 const std::function<Status(std::string_view bytes)>& sink) {
  auto image = PoolImage::Open(path, {});
  if (!image.ok()) return image.TakeStatus();
  DumpSummary summary;
  summary.pool_bytes = (*image)->file_bytes();
  const auto put = [&](std::string_view bytes) {
    summary.bytes += bytes.size();
    return sink(bytes);
  };
  DumpHeader header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.flags = (options.hide_keys ? kKeysHidden : 0) | (options.raw_damaged ? kDamagedAreRaw : 0);
  header.pool_bytes = summary.pool_bytes;
  header.checksum = HeaderChecksum(header);
  if (Status s = put(TextOf(header)); !s.ok()) return s;
  uint64_t pieces = 0;
  const auto tell = [&](const MetadataPiece& piece) {
    DumpPiece head{piece.pfn, static_cast<uint32_t>(piece.frames), piece.withheld ? kWithheld : 0,
                   piece.bytes.size(), 0};
    head.checksum = PieceChecksum(head, piece.bytes.data(), pieces++);
    if (Status s = put(TextOf(head)); !s.ok()) return s;
    return put({reinterpret_cast<const char*>(piece.bytes.data()), piece.bytes.size()});
  };
  MetadataSummary found;
  Status s = CollectMetadata(**image, {options.hide_keys, options.raw_damaged}, tell, &found);
  if (!s.ok()) return s;
  DumpPiece end{pieces, 0, kEnd, 0, 0};
  end.checksum = PieceChecksum(end, nullptr, pieces);
  if (s = put(TextOf(end)); !s.ok()) return s;
  summary.nodes = found.nodes;
  summary.damaged_nodes = found.damaged_nodes;
  summary.undecoded = found.undecoded;
  return summary;
}

Status MetadataReader::ReadAll(char* to, size_t n) {
  auto read = read_(to, n);
  if (!read.ok()) return read.TakeStatus();
  if (*read == n) return Status();
  return Status(Code::kCorruption,
                fmt::format("the dump is truncated: it ends in piece {}", pieces_ + 1));
}

Status MetadataReader::ReadHeader() {
  DumpHeader header;
  auto read = read_(reinterpret_cast<char*>(&header), sizeof header);
  if (!read.ok()) return read.TakeStatus();
  if (*read < sizeof header || std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) {
    return Status(Code::kCorruption, "not a dump of tuff dump-metadata");
  }
  if (header.checksum != HeaderChecksum(header)) {
    return Status(Code::kCorruption, "the dump's header is damaged");
  }
  if (header.version != kVersion) {
    return Status(Code::kNotSupported,
                  fmt::format("the dump is of version {}, and this tuff reads version {}",
                              header.version, kVersion));
  }
  pool_bytes_ = header.pool_bytes;
  return Status();
}

Result<bool> MetadataReader::Next(Piece* piece) {
  DumpPiece head;
  if (Status s = ReadAll(reinterpret_cast<char*>(&head), sizeof head); !s.ok()) return s;
  const Status damaged(Code::kCorruption, fmt::format("piece {} of the dump is damaged; the dump "
                                                      "must be made or sent again",
                                                      pieces_ + 1));
  if (head.frames > kFramesMax || head.bytes > OffsetOf(head.frames)) return damaged;
  bytes_.resize(head.bytes);
  if (Status s = ReadAll(bytes_.data(), bytes_.size()); !s.ok()) return s;
  if (head.checksum != PieceChecksum(head, bytes_.data(), pieces_)) return damaged;
  if ((head.flags & kEnd) != 0) {
    char more = 0;
    auto read = read_(&more, 1);
    if (!read.ok()) return read.TakeStatus();
    if (*read != 0 || head.pfn != pieces_) {
      return Status(Code::kCorruption, "there is more behind the end of the dump");
    }
    return false;
  }
  const uint64_t frames = pool_bytes_ >> kFrameShift;
  if (head.pfn >= frames || head.frames > frames - head.pfn) return damaged;
  pieces_++;
  *piece = {OffsetOf(head.pfn), bytes_};
  return true;
}

}  // namespace tuff
