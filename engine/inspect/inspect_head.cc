// The superblock, and what else belongs to a mount.
#include <fmt/format.h>

#include <cstring>

#include "engine/inspect/decode.h"
#include "engine/inspect/inspect.h"
#include "pagemap/descriptor.h"
#include "pagemap/superblock.h"

namespace tuff::inspect {
namespace {

// The names of the fields that differ.
std::string Difference(const Superblock& a, const Superblock& b) {
  std::string names;
  for (const Field& field : kSuperblockFields) {
    const auto* at_a = reinterpret_cast<const std::byte*>(&a) + field.offset;
    const auto* at_b = reinterpret_cast<const std::byte*>(&b) + field.offset;
    if (std::memcmp(at_a, at_b, field.size) == 0) continue;
    names += (names.empty() ? "" : ", ") + std::string(field.name);
  }
  return names;
}

// Without the path, which stands above it.
std::string Reason(const PoolImage& image, const Status& status) {
  const std::string where = image.path() + ": ";
  const std::string_view message = status.message();
  return std::string(message.starts_with(where) ? message.substr(where.size()) : message);
}

}  // namespace

Report Superblocks(const PoolImage& image) {
  Report report;
  AddNotes(image, &report);
  const Superblock copies[2] = {image.Copy(0), image.Copy(1)};
  for (int i = 0; i < 2; i++) {
    const Status& status = image.copy_status(i);
    if (status.ok()) continue;
    report.damage.push_back(fmt::format("copy {} (frame {}): {}", i, i, Reason(image, status)));
  }
  if (image.guessed()) {
    report.body.Text("counts", "neither copy");
    report.body.Hex("hash_seed_found", image.hash_seed());
    report.body.Number("frames_found", image.frames());
  } else {
    report.body.Number("counts", static_cast<uint64_t>(image.best_copy()),
                       image.best_copy() == 0 ? "frame 0" : "frame 1, the mirror");
  }
  for (int i = 0; i < 2; i++) {
    const Status& status = image.copy_status(i);
    report.body.Text(fmt::format("copy_{}_verdict", i), status.ok() ? "ok" : Reason(image, status));
  }
  const std::string difference = Difference(copies[0], copies[1]);
  report.body.Text("copies", difference.empty() ? "the same" : "differ in " + difference);
  AddFields(kSuperblockTable, &copies[0], &report.body.Child("copy_0"));
  if (!difference.empty()) {
    AddFields(kSuperblockTable, &copies[1], &report.body.Child("copy_1"));
  }
  return report;
}

Report Snapshots(const PoolImage& image) {
  Report report;
  AddNotes(image, &report);
  LiveStatus status;
  for (int tries = 0;; tries++) {  // its process may be writing it
    std::memcpy(&status, image.base() + kLiveStatusOffset, sizeof status);
    if (status.checksum == LiveStatusChecksum(status) || tries == 100) break;
  }
  const bool whole = status.checksum == LiveStatusChecksum(status);
  const bool current = whole && status.mount_nonce == image.superblock().mount_nonce;
  if (!current || AtRest(image)) {
    report.body.Text("status", image.in_use()
                                   ? "none that the process which has the pool open tells of"
                                   : "none: the pool is not open");
    return report;
  }
  report.body.Text("status", image.in_use()
                                 ? "as the process that has the pool open tells"
                                 : "the last that was told by a process that is gone: its "
                                   "snapshots went with it");
  Object& live = report.body.Child("live_status");
  AddFields(kLiveStatusTable, &status, &live);
  return report;
}

namespace {

// What the descriptors of one page block tell.
struct BlockCounts {
  uint64_t heads = 0, verified = 0, tails = 0, logged = 0, latched = 0, pinned = 0, obsolete = 0;
};

BlockCounts CountBlock(const Descriptor* descriptors, uint64_t generation) {
  BlockCounts counts;
  for (uint64_t i = 0; i < kBlockFrames; i++) {
    const Descriptor& descriptor = descriptors[i];
    if (descriptor.generation.load(std::memory_order_acquire) != generation) continue;
    const uint32_t flags = descriptor.flags.load(std::memory_order_relaxed);
    const auto has = [&](uint32_t flag) { return (flags & flag) != 0 ? 1u : 0u; };
    counts.heads += has(Descriptor::kHead);
    counts.verified += has(Descriptor::kVerified);
    counts.obsolete += has(Descriptor::kObsolete);
    counts.tails += has(Descriptor::kTailBuilt);
    if (has(Descriptor::kTailBuilt) != 0) {
      counts.logged += descriptor.tail_count.load(std::memory_order_relaxed);
    }
    counts.latched += descriptor.latch.IsLocked() ? 1 : 0;
    counts.pinned += descriptor.pins.load(std::memory_order_relaxed) != 0 ? 1 : 0;
  }
  return counts;
}

// Calls use(block, descriptors) for each page block of a section that this mount has initialised.
template <typename Use>
uint64_t ForEachBlock(const PoolImage& image, uint64_t section, uint64_t generation,
                      const Use& use) {
  const Pfn start = SectionStart(section);
  const uint64_t blocks = std::min(kSectionFrames, image.frames() - start) >> kBlockShift;
  const uint64_t memmap = OffsetOf(MemmapPfn(section));
  constexpr uint64_t kBytes = kBlockFrames * kDescriptorSize;
  if (MemmapPfn(section) + kMemmapFrames > image.frames()) return 0;
  uint64_t found = 0;
  const uint64_t end = memmap + blocks * kBytes;
  for (uint64_t at = memmap; at < end;) {
    const Medium::Extent hole = image.medium().FindHole(at, end);
    for (; at < std::min(hole.start, end); at += kBytes) {
      const auto* first = reinterpret_cast<const Descriptor*>(image.base() + at);
      if (first->generation.load(std::memory_order_acquire) != generation) continue;
      found++;
      use(BlockOf(start) + (at - memmap) / kBytes, first);
    }
    // A block that a hole begins in has not been initialised.
    while (at < hole.end) at += kBytes;
  }
  return found;
}

}  // namespace

Report Descriptors(const PoolImage& image) {
  Report report;
  AddNotes(image, &report);
  if (!image.in_use()) {
    report.body.Text("memmap", "none: the pool is not open");
    return report;
  }
  const uint64_t generation = MountGeneration(image.superblock());
  uint64_t found = 0;
  std::deque<Object> rows;
  for (uint64_t section = 0; section < SectionsOf(image.frames()); section++) {
    found += ForEachBlock(image, section, generation,
                          [&](uint64_t block, const Descriptor* descriptors) {
                            const BlockCounts counts = CountBlock(descriptors, generation);
                            Object& row = rows.emplace_back();
                            row.Number("block", block);
                            row.Number("section", section);
                            row.Number("first_pfn", block << kBlockShift);
                            row.Number("runs", counts.heads);
                            row.Number("verified", counts.verified);
                            row.Number("tails_built", counts.tails);
                            row.Number("logged", counts.logged);
                            row.Number("latched", counts.latched);
                            row.Number("pinned", counts.pinned);
                            row.Number("obsolete", counts.obsolete);
                          });
  }
  report.body.Text("memmap", found > 0 ? "in the pool"
                                       : "kept in the memory of the process that has the pool "
                                         "open, or nothing of it initialised yet");
  report.body.Hex("generation", generation);
  report.body.Number("blocks_initialised", found,
                     fmt::format("of {}", image.frames() >> kBlockShift));
  if (found > 0) report.body.Table("blocks") = std::move(rows);
  return report;
}

}  // namespace tuff::inspect
