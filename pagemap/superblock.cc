#include "pagemap/superblock.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <chrono>
#include <cstring>
#include <random>

#include "pagemap/checksum.h"
#include "pagemap/pfn.h"

namespace tuff {
namespace {

constexpr size_t kChecksumFrom = offsetof(Superblock, sequence);

Superblock ReadCopy(const std::byte* head, Pfn pfn) {
  Superblock copy;
  std::memcpy(&copy, head + OffsetOf(pfn), sizeof copy);
  return copy;
}

bool HasMagic(const Superblock& copy) {
  return TUFF_CHECK("super.magic",
                    std::memcmp(copy.magic, kSuperblockMagic, sizeof copy.magic) == 0);
}

Status CheckSupported(const Superblock& sb, const std::string& path, bool for_writing) {
  if (!TUFF_CHECK("super.incompat", (sb.feature_incompat & ~kKnownIncompat) == 0)) {
    return Status(
        Code::kNotSupported,
        fmt::format(
            "{}: has incompatible features {:#x} that this tuff does not know; use a newer tuff",
            path, sb.feature_incompat & ~kKnownIncompat));
  }
  if (for_writing && !TUFF_CHECK("super.rocompat", (sb.feature_ro_compat & ~kKnownRoCompat) == 0)) {
    return Status(Code::kNotSupported, fmt::format("{}: has features {:#x} that this tuff can only "
                                                   "read; open it read-only or use a newer tuff",
                                                   path, sb.feature_ro_compat & ~kKnownRoCompat));
  }
  return Status();
}

Status CheckGeometry(const Superblock& sb, uint64_t bytes, const std::string& path) {
  if (!TUFF_CHECK("super.frames", sb.frames >= kSectionFramesMin &&
                                      sb.frames < (1ull << kPfnBits) &&
                                      sb.frames == UsableFrames(OffsetOf(sb.frames)))) {
    return Status(
        Code::kCorruption,
        fmt::format("{}: superblock names an impossible size of {} frames", path, sb.frames));
  }
  if (!TUFF_CHECK("super.truncated", OffsetOf(sb.frames) <= bytes)) {
    return Status(Code::kCorruption, fmt::format("{}: truncated: the superblock says {} bytes, "
                                                 "there are {}; restore the file from a backup",
                                                 path, OffsetOf(sb.frames), bytes));
  }
  if (!TUFF_CHECK("super.fields", sb.number_limit != 0 && sb.number_limit < (1ull << 56) &&
                                      sb.memmap_place <= 1 && sb.next_object_id != 0)) {
    return Status(Code::kCorruption, fmt::format("{}: superblock has fields out of range", path));
  }
  return Status();
}

}  // namespace

uint64_t SuperblockChecksum(const Superblock& superblock) {
  return Checksum64(reinterpret_cast<const std::byte*>(&superblock) + kChecksumFrom,
                    sizeof superblock - kChecksumFrom, 0);
}

uint64_t LiveStatusChecksum(const LiveStatus& status) {
  constexpr size_t kFrom = offsetof(LiveStatus, mount_nonce);
  return Checksum64(reinterpret_cast<const std::byte*>(&status) + kFrom, sizeof status - kFrom, 0);
}

uint64_t MountGeneration(const Superblock& superblock) {
  return (Mix64(superblock.mount_count ^ Mix64(superblock.mount_nonce)) | 2) & ~1ull;
}

Status ExamineSuperblock(const Superblock& copy, uint64_t bytes, const std::string& path) {
  if (std::memcmp(copy.magic, kSuperblockMagic, sizeof copy.magic) != 0) {
    return Status(Code::kCorruption, fmt::format("{}: no magic", path));
  }
  if (copy.checksum != SuperblockChecksum(copy)) {
    return Status(Code::kCorruption, fmt::format("{}: the checksum is wrong", path));
  }
  if (copy.format_version != kFormatVersion) {
    return Status(Code::kNotSupported, fmt::format("{}: format version {}, this tuff knows {}",
                                                   path, copy.format_version, kFormatVersion));
  }
  if (Status s = CheckSupported(copy, path, false); !s.ok()) return s;
  return CheckGeometry(copy, bytes, path);
}

Status MayBeWritten(const Superblock& superblock, const std::string& path) {
  return CheckSupported(superblock, path, true);
}

Result<SuperblockChoice> ChooseSuperblock(const std::byte* head, uint64_t bytes,
                                          const std::string& path, bool for_writing) {
  SuperblockChoice choice{};
  const Superblock copies[2] = {ReadCopy(head, kSuperblockPfn), ReadCopy(head, kMirrorPfn)};
  bool any_magic = false;
  for (int i = 0; i < 2; i++) {
    const Superblock& copy = copies[i];
    if (!HasMagic(copy)) continue;
    any_magic = true;
    choice.copy_valid[i] = TUFF_CHECK("super.checksum", copy.checksum == SuperblockChecksum(copy));
  }
  if (!any_magic) {
    return Status(
        Code::kCorruption,
        fmt::format("{}: not a tuff pool (no superblock); make one with 'tuff create'", path));
  }
  // Another version may check itself in another way, so its number is looked at first.
  for (const Superblock& copy : copies) {
    // There is no version 0: that one was torn when the pool was made.
    if (HasMagic(copy) && !choice.copy_valid[0] && !choice.copy_valid[1] &&
        !TUFF_CHECK("super.later",
                    copy.format_version == kFormatVersion || copy.format_version == 0)) {
      return Status(
          Code::kNotSupported,
          fmt::format("{}: format version {}, this tuff knows {}; use the tuff that made it", path,
                      copy.format_version, kFormatVersion));
    }
  }
  if (!choice.copy_valid[0] && !choice.copy_valid[1]) {
    return Status(Code::kCorruption,
                  fmt::format("{}: both superblocks are damaged (frames 0 and 1)", path));
  }
  const bool mirror_counts =
      !choice.copy_valid[0] ||
      (choice.copy_valid[1] && TUFF_CHECK("super.newest", copies[1].sequence > copies[0].sequence));
  choice.best = mirror_counts ? 1 : 0;
  choice.superblock = copies[choice.best];
  if (!TUFF_CHECK("super.version", choice.superblock.format_version == kFormatVersion)) {
    return Status(
        Code::kNotSupported,
        fmt::format("{}: format version {}, this tuff knows {}; use the tuff that made it", path,
                    choice.superblock.format_version, kFormatVersion));
  }
  if (Status s = CheckSupported(choice.superblock, path, for_writing); !s.ok()) return s;
  if (Status s = CheckGeometry(choice.superblock, bytes, path); !s.ok()) return s;
  return choice;
}

Status WriteSuperblocks(PersistDomain& domain, Superblock& superblock, int first) {
  // What a failed pool's last mount knows must not reach the medium by chance.
  if (Status s = domain.CheckWritable(); !s.ok()) return s;
  superblock.sequence++;
  superblock.checksum = SuperblockChecksum(superblock);
  WriteWindow window(domain);
  static_assert(kSuperblockPfn + 1 == kMirrorPfn);
  for (const int copy : {first, 1 - first}) {
    const Pfn pfn = kSuperblockPfn + static_cast<Pfn>(copy);
    window.Store(OffsetOf(pfn), &superblock, sizeof superblock);
    TUFF_FLUSH("super.1", window, OffsetOf(pfn), sizeof superblock);
    if (Status s = TUFF_FENCE("super.2", window); !s.ok()) return s;
    CRASH_POINT("super.3");
  }
  return Status();
}

uint64_t Random64() {
  uint64_t bits = 0;
  if (getrandom(&bits, sizeof bits, 0) != sizeof bits) {
    std::random_device device;
    bits = (uint64_t{device()} << 32) | device();
  }
  return bits;
}

uint64_t NowNs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace tuff
