#include "engine/image.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "pagemap/superblock.h"

namespace tuff {
namespace {

// Nodes that have a say in what the hash seed is; most agree, for few are damaged.
constexpr uint64_t kVotersMax = 4096;

// How many times as long as its file a truncated pool may have been.
constexpr uint64_t kPaddingMax = 64;

// A node's words that are known without any seed; nothing but a node has them all.
bool LooksLikeNode(const NodeHeader& header, const OwnerWord& owner) {
  return header.order == owner.order && header.order <= kNodeOrderMax &&
         header.object_id == owner.object_id &&
         (header.kind == kNodeLeaf || header.kind == kNodeInner) &&
         header.base_end * 8ull >= sizeof(NodeHeader) &&
         header.base_end * 8ull <= kFrameSize << header.order;
}

}  // namespace

Result<std::unique_ptr<PoolImage>> PoolImage::Open(const std::string& path,
                                                   const Options& options) {
  std::unique_ptr<PoolImage> image(new PoolImage);
  image->path_ = path;
  auto file = OpenPoolFile(path, !options.for_repair);
  if (file.status().code() == Code::kLocked && options.also_in_use) {
    image->in_use_ = true;
    image->fd_ = FileDescriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (image->fd_.get() < 0) return ErrnoStatus(errno, "cannot open", path);
  } else if (!file.ok()) {
    return file.TakeStatus();
  } else {
    image->fd_ = std::move(*file);
  }
  auto bytes = Medium::SizeOf(image->fd(), path);
  if (!bytes.ok()) return bytes.TakeStatus();
  image->file_bytes_ = *bytes;
  image->frames_ = *bytes >> kFrameShift;
  if (*bytes < OffsetOf(FrameTablePfn(0) + kFrameTableFrames)) {
    return Status(Code::kCorruption,
                  fmt::format("{}: not a tuff pool: only {} bytes", path, *bytes));
  }
  if (Status s = image->Map(0); !s.ok()) return s;
  image->ChooseCopy();
  for (const Status& s : image->copy_status_) {
    if (image->guessed() && s.code() == Code::kNotSupported) return s;
  }
  if (image->guessed()) {
    if (Status s = image->Guess(); !s.ok()) return s;
  } else if (options.for_repair) {
    if (Status s = MayBeWritten(image->superblock_, path); !s.ok()) return s;
  }
  image->frames_ = std::min(image->frames_, image->superblock_.frames);
  if (options.padded && image->truncated() &&
      OffsetOf(image->superblock_.frames) / kPaddingMax <= image->file_bytes_) {
    if (Status s = image->Map(OffsetOf(image->superblock_.frames)); !s.ok()) return s;
    image->frames_ = image->superblock_.frames;
  }
  return image;
}

Status PoolImage::Map(uint64_t padded_bytes) {
  Medium::Options options;
  options.read_only = true;
  options.reserve = false;
  options.padded_bytes = padded_bytes;
  const uint64_t bytes = file_bytes_ / kFrameSize * kFrameSize;
  auto medium = Medium::Map(fd_.get(), path_, bytes, options);
  if (!medium.ok()) return medium.TakeStatus();
  domain_ = std::make_unique<PersistDomain>(std::move(*medium), nullptr);
  return Status();
}

Superblock PoolImage::Copy(int copy) const {
  Superblock superblock;
  std::memcpy(&superblock, base() + OffsetOf(kSuperblockPfn + static_cast<Pfn>(copy)),
              sizeof superblock);
  return superblock;
}

void PoolImage::ChooseCopy() {
  for (int i = 0; i < 2; i++) {
    const Superblock copy = Copy(i);
    copy_status_[i] = ExamineSuperblock(copy, file_bytes_, path_);
    if (!copy_status_[i].ok()) {
      // Right but for the file, which has lost its end.
      Status s = ExamineSuperblock(copy, UINT64_MAX, path_);
      if (!s.ok()) continue;
    }
    if (best_copy_ >= 0 && superblock_.sequence >= copy.sequence) continue;
    best_copy_ = i;
    superblock_ = copy;
  }
}

// Each node's checksum is right with one hash seed only.
Status PoolImage::Guess() {
  superblock_.frames = UsableFrames(file_bytes_);
  frames_ = std::min(frames_, superblock_.frames);
  std::map<uint64_t, uint64_t> votes;
  uint64_t voters = 0;
  for (uint64_t section = 0; section < SectionsOf(frames_) && voters < kVotersMax; section++) {
    ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) {
      if (voters >= kVotersMax || !OwnerIsValid(pfn, word)) return;
      const OwnerWord owner = UnpackOwner(word);
      if (owner.kind != static_cast<uint8_t>(FrameKind::kTreeNode)) return;
      if (owner.order > kNodeOrderMax || !Holds(pfn, owner.order)) return;
      const NodeView node = NodeAt(pfn, owner.order);
      if (!LooksLikeNode(node.header(), owner)) return;
      const uint64_t hash = HashOfNode(node.data(), node.base_end());
      votes[SeedOfChecksum(hash, node.header().checksum) ^ Mix64(pfn)]++;
      voters++;
    });
  }
  const auto most = std::max_element(
      votes.begin(), votes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == votes.end()) {
    return Status(Code::kCorruption,
                  fmt::format("{}: not a tuff pool, or nothing is left of it: both superblocks are "
                              "damaged (frames 0 and 1), and no node is found",
                              path_));
  }
  superblock_.hash_seed = most->first;
  return Status();
}

}  // namespace tuff
