// On-media: the superblock. Two copies, frames 0 and 1, always both updated, one after the other.
#pragma once

#include "pagemap/format_table.h"

namespace tuff {

inline constexpr char kSuperblockMagic[8] = {'t', 'u', 'f', 'f', 'p', 'o', 'o', 'l'};
inline constexpr uint32_t kFormatVersion = 1;
/// Smaller ids are the pool's own objects'.
inline constexpr uint32_t kFirstObjectId = 16;

// Bits of Superblock::state. The numbers are permanent.
inline constexpr uint64_t kStateClean = 1;  // closed cleanly
inline constexpr uint64_t kStateCrashedSinceScrub =
    2;                                           // sticky: opened after a crash, not scrubbed since
inline constexpr uint64_t kStateEverForced = 4;  // sticky: used with a granularity its medium lacks
inline constexpr uint64_t kStateGraveyard = 8;   // the graveyard may hold something

// Bits of Superblock::mount_flags: the administrator's.
inline constexpr uint64_t kMountAllowNomtime = 1;   // handles may ask to skip mtime
inline constexpr uint64_t kMountSyncOnSuspend = 2;  // flush volumes before the machine suspends

// Feature words as ext4 has them: an unknown compat bit is ignored, an unknown ro_compat bit
// allows reading only, an unknown incompat bit forbids opening.
inline constexpr uint64_t kIncompatBatches = 1;  // lanes of stores, groups in logs, graveyard
inline constexpr uint64_t kKnownRoCompat = 0;
inline constexpr uint64_t kKnownIncompat = kIncompatBatches;

struct Superblock {
  char magic[8];
  uint64_t checksum;
  uint64_t sequence;
  uint32_t format_version;
  uint32_t memmap_place;
  uint64_t feature_compat;
  uint64_t feature_ro_compat;
  uint64_t feature_incompat;
  uint8_t uuid[16];
  uint64_t frames;
  uint64_t hash_seed;
  uint64_t state;
  uint64_t mount_flags;
  uint64_t mount_count;
  uint64_t mount_nonce;
  uint64_t number_limit;
  uint32_t next_object_id;
  uint32_t writer_pid;
  uint8_t boot_id[16];
  uint8_t device_id[32];
  uint64_t unsafe_shutdown_count;
  uint64_t created_ns;
  uint64_t reserved[39];
};

inline constexpr Field kSuperblockFields[] = {
    TUFF_FIELD(Superblock, magic, Text, "`tuffpool`"),
    TUFF_FIELD(Superblock, checksum, Hex, "Checksum64 of the bytes behind this field, seed 0"),
    TUFF_FIELD(Superblock, sequence, Decimal,
               "number of this write; the valid copy with the higher one counts"),
    TUFF_FIELD(Superblock, format_version, Decimal, "1"),
    TUFF_FIELD(Superblock, memmap_place, Decimal, "preferred place of the memmap: 0 pool, 1 dram"),
    TUFF_FIELD(Superblock, feature_compat, Hex, "features that any build may ignore"),
    TUFF_FIELD(Superblock, feature_ro_compat, Hex, "features that a build must know to write"),
    TUFF_FIELD(Superblock, feature_incompat, Hex,
               "features that a build must know to open: bit 0 batches"),
    TUFF_FIELD(Superblock, uuid, Bytes, "the pool's random name"),
    TUFF_FIELD(Superblock, frames, Decimal, "size in frames: whole page blocks"),
    TUFF_FIELD(Superblock, hash_seed, Hex,
               "random; part of every checksum seed behind the superblock"),
    TUFF_FIELD(Superblock, state, Hex,
               "bit 0 clean, bit 1 crashed since scrub, bit 2 ever forced, bit 3 graveyard in use"),
    TUFF_FIELD(Superblock, mount_flags, Hex,
               "administrator's: bit 0 allow_nomtime, bit 1 sync_on_suspend"),
    TUFF_FIELD(Superblock, mount_count, Decimal,
               "mounts for writing so far; half of the mount generation"),
    TUFF_FIELD(Superblock, mount_nonce, Hex, "random at each mount; the other half"),
    TUFF_FIELD(Superblock, number_limit, Decimal,
               "sequence and node numbers below this may have been used"),
    TUFF_FIELD(Superblock, next_object_id, Decimal, "object ids below this may have been used"),
    TUFF_FIELD(Superblock, writer_pid, Decimal,
               "hint: process that has the pool mounted; 0 when closed"),
    TUFF_FIELD(Superblock, boot_id, Bytes, "hint: the kernel boot that writer_pid belongs to"),
    TUFF_FIELD(Superblock, device_id, Bytes,
               "hash of the device's id, 0 where the medium has none"),
    TUFF_FIELD(Superblock, unsafe_shutdown_count, Decimal,
               "the device's, at the last mount; 0 where unknown"),
    TUFF_FIELD(Superblock, created_ns, Decimal, "time of creation, nanoseconds since the epoch"),
    TUFF_FIELD(Superblock, reserved, Bytes, "0"),
};
TUFF_FORMAT(
    Superblock, kSuperblockFields,
    "Lies at the start of frames 0 and 1; the rest of each frame is 0, but for a LiveStatus.");
static_assert(sizeof(Superblock) == 512, "the superblock is one sector");

/// What the process that has the pool open tells others of itself. Volatile: never flushed, and
/// void unless it is of the superblock's mount.
struct LiveStatus {
  uint64_t checksum;
  uint64_t mount_nonce;
  uint64_t snapshots;
  uint64_t oldest_taken_ns;
  uint64_t kept_versions;
  uint64_t kept_bytes;
};
inline constexpr Field kLiveStatusFields[] = {
    TUFF_FIELD(LiveStatus, checksum, Hex, "Checksum64 of the bytes behind this field, seed 0"),
    TUFF_FIELD(LiveStatus, mount_nonce, Hex, "the superblock's, or it is of another mount"),
    TUFF_FIELD(LiveStatus, snapshots, Decimal, "snapshots taken and not released"),
    TUFF_FIELD(LiveStatus, oldest_taken_ns, Decimal,
               "when the oldest was taken, nanoseconds since the epoch; 0: there is none"),
    TUFF_FIELD(LiveStatus, kept_versions, Decimal, "superseded records kept for snapshots"),
    TUFF_FIELD(LiveStatus, kept_bytes, Decimal, "bytes of memory they take"),
};
TUFF_FORMAT(
    LiveStatus, kLiveStatusFields,
    "Lies at byte 1024 of frame 0, for who looks at a pool that is in use. At most a second "
    "old in what is kept.");
inline constexpr uint64_t kLiveStatusOffset = 1024;

}  // namespace tuff
