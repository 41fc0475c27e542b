// Page descriptors: 64 volatile bytes for each frame (the kernel's struct page).
//
// A descriptor holds what was learnt about its frame since this mount and is void after it
// (invariant I6). It counts only if its generation is the mount's; see memmap.h.
// Thread-safety: as each field says.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "pagemap/frame_format.h"
#include "pagemap/latch.h"

namespace tuff {

struct Descriptor {
  // Logged records that one descriptor can index. A run of 2^k frames has 2^k times as many.
  static constexpr unsigned kTailSlots = 13;

  // Bit of tail_offset: the record is part of a group.
  static constexpr uint16_t kTailInGroup = 0x8000;

  // Bits of `flags`.
  static constexpr uint32_t kHead = 1;        // first frame of a run in use
  static constexpr uint32_t kVerified = 2;    // the node's header and base have been checked
  static constexpr uint32_t kTailBuilt = 4;   // tail_* below are true of the leaf's log
  static constexpr uint32_t kTornTail = 8;    // the log ends in a torn record, to be cut off
  static constexpr uint32_t kObsolete = 16;   // replaced: in limbo or free, no longer reachable
  static constexpr uint32_t kOnceMore = 32;   // in limbo, but pinned: to be looked at at unpin
  static constexpr uint32_t kReachable = 64;  // a tree leads to it, or has done (kObsolete)
  // With kVerified: the order of the node's run, which the header may not tell truly for ever.
  static constexpr unsigned kOrderShift = 8;
  static constexpr uint32_t kOrderMask = 7;

  /// The mount that initialised it; stored last, with release.
  std::atomic<uint64_t> generation;
  /// Never reset while mounted.
  Latch latch;
  /// Views that outlive their read section. Raised inside a read section only.
  std::atomic<uint32_t> pins;
  /// Set under the latch; read by anyone.
  std::atomic<uint32_t> flags;
  /// Leaves, head only: logged records that readers may see; stored with release after the record
  /// is durable. Of a whole run: its entries go on in the next descriptors.
  std::atomic<uint16_t> tail_count;
  /// Leaves, head only: where the next record goes, in 8-byte units from the node's start. Under
  /// the latch.
  uint16_t tail_end;
  /// Entries below tail_count do not change while the node lives.
  std::array<uint16_t, kTailSlots>
      tail_offset;  // 8-byte units from the node's start, and kTailInGroup
  std::array<uint8_t, kTailSlots> tail_fingerprint;
  /// Leaves, head only: the longest key in base and log, in 8-byte units. Under the latch.
  uint8_t tail_key_max;

  static unsigned OrderOf(uint32_t flags) { return flags >> kOrderShift & kOrderMask; }
  bool Has(uint32_t flag) const { return (flags.load(std::memory_order_acquire) & flag) != 0; }
  void Set(uint32_t flag) { flags.fetch_or(flag, std::memory_order_release); }
  void Clear(uint32_t flag) { flags.fetch_and(~flag, std::memory_order_release); }
};
static_assert(sizeof(Descriptor) == 64);

}  // namespace tuff
