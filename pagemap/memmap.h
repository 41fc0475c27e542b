// Memmap: the page descriptors of a pool, initialised page block by page block at first touch.
//
// Opening a pool touches none of them, so it costs the same at any size. The first thread to need
// a page block claims it by a compare-and-swap on the generation in its first descriptor, reads
// its 512 owner words from the frame table and fills descriptors and free bits.
// Ownership: borrows the domain. Thread-safety: all functions from any thread.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "pagemap/descriptor.h"
#include "pagemap/pfn.h"
#include "pagemap/window.h"

namespace tuff {

/// Anonymous memory that costs nothing until it is touched; zero at first.
class LazyMemory {
 public:
  LazyMemory() = default;
  ~LazyMemory();
  LazyMemory(const LazyMemory&) = delete;
  LazyMemory& operator=(const LazyMemory&) = delete;
  Status Map(uint64_t bytes);
  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  uint64_t bytes_ = 0;
};

/// The volatile free bits of a page block (1 = free) and what else the allocator knows of it.
/// Guarded by `lock`; the atomics may be read without.
struct BlockState {
  std::array<uint64_t, kBlockFrames / 64> free_bits;
  Latch lock;
  std::atomic<uint16_t> free_frames;
  /// Runs of this order and above were not found at the last try; reset when a run is freed.
  std::atomic<uint8_t> no_order_from;
  std::atomic<uint8_t> ready;
  bool mapped;  // its pages have been asked to be mapped all at once
};

class Memmap {
 public:
  /// Where they live is `place`, unless the granularity, the guard or a read-only medium forces
  /// DRAM. `generation` is new for every mount and durable before this is called.
  static Result<std::unique_ptr<Memmap>> Make(PersistDomain& domain, uint64_t frames,
                                              MemmapPlace place, uint64_t generation, bool sparse);

  MemmapPlace place() const { return place_; }
  uint64_t frames() const { return frames_; }
  uint64_t blocks() const { return frames_ >> kBlockShift; }

  /// The frame's descriptor, initialised. REQUIRES: pfn < frames().
  Descriptor& Touch(Pfn pfn) {
    Descriptor& descriptor = At(pfn);
    if (!MayTouch(pfn) || descriptor.generation.load(std::memory_order_acquire) != generation_)
        [[unlikely]] {
      InitBlock(BlockOf(pfn));
    }
    return descriptor;
  }
  /// True if Touch would find nothing to do. REQUIRES: pfn < frames().
  bool IsInitialised(Pfn pfn) const {
    return MayTouch(pfn) && At(pfn).generation.load(std::memory_order_acquire) == generation_;
  }
  /// The descriptor of a frame whose page block is known to be initialised.
  Descriptor& At(Pfn pfn) const {
    return *reinterpret_cast<Descriptor*>(base_ + (pfn >> kSectionShift) * stride_ +
                                          (pfn & (kSectionFrames - 1)) * kDescriptorSize);
  }
  void Prefetch(Pfn pfn) const { __builtin_prefetch(&At(pfn)); }

  /// The block's state, initialised.
  BlockState& TouchBlock(uint64_t block);
  /// The block's state as it is: `ready` may be 0.
  BlockState& BlockAt(uint64_t block) const {
    return reinterpret_cast<BlockState*>(block_memory_.data())[block];
  }

  /// Has a page block mapped for writing at once, where that costs no I/O. Its frames are about to
  /// be written.
  void Prefault(uint64_t block);

  /// Free frames of the page blocks that have been initialised; kept by the allocator from then on.
  std::atomic<uint64_t>& known_free_frames() { return known_free_frames_; }

  /// Makes a section's tables safe to touch. Descriptors see to it themselves; call it before the
  /// first OwnerWordAt of a section otherwise.
  void PrepareSection(uint64_t section);

  /// The owner word of a frame, straight from the frame table.
  uint64_t OwnerWordAt(Pfn pfn) const { return Load64(domain_.base() + OwnerWordOffset(pfn)); }

 private:
  Memmap(PersistDomain& domain, uint64_t frames, uint64_t generation, bool sparse)
      : domain_(domain), frames_(frames), generation_(generation), sparse_(sparse) {}

  // Whether the section's descriptors are known to be no holes of the file: even to read one is a
  // signal on a tmpfs that is full.
  bool MayTouch(Pfn pfn) const {
    return !may_have_holes_ || Prepared(SectionOf(pfn)) != kNotPrepared;
  }
  std::byte Prepared(uint64_t section) const {
    return std::atomic_ref(prepared_.data()[section]).load(std::memory_order_acquire);
  }

  void InitBlock(uint64_t block);
  void FillBlock(uint64_t block);
  bool ReserveOrCover(Pfn first, uint64_t frames);

  PersistDomain& domain_;
  const uint64_t frames_;
  const uint64_t generation_;  // even; odd while a block is being initialised
  const bool sparse_;
  bool may_have_holes_ = false;  // where the descriptors lie
  MemmapPlace place_ = MemmapPlace::kDram;
  std::byte* base_ = nullptr;
  uint64_t stride_ = 0;  // bytes from one section's descriptors to the next's
  LazyMemory dram_;
  LazyMemory block_memory_;
  std::atomic<uint64_t> known_free_frames_{0};
  std::mutex prepare_mutex_;
  static constexpr std::byte kNotPrepared{0};
  static constexpr std::byte kPrepared{1};
  static constexpr std::byte kPreparedUnusable{2};  // a hole, and the disk is full
  LazyMemory prepared_;  // a byte for each section, set once, under prepare_mutex_
};

}  // namespace tuff
