#include "pagemap/memmap.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <thread>

namespace tuff {

LazyMemory::~LazyMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

Status LazyMemory::Map(uint64_t bytes) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return ErrnoStatus(errno, "cannot map memory", "memmap");
  data_ = static_cast<std::byte*>(at);
  bytes_ = bytes;
  return Status();
}

Result<std::unique_ptr<Memmap>> Memmap::Make(PersistDomain& domain, uint64_t frames,
                                             MemmapPlace place, uint64_t generation, bool sparse) {
  assert(generation % 2 == 0 && generation != 0);
  std::unique_ptr<Memmap> memmap(new Memmap(domain, frames, generation, sparse));
  const Medium& medium = domain.medium();
  const bool guard_allows = domain.guard() == nullptr || domain.guard()->can_exempt();
  if (place == MemmapPlace::kPool && medium.granularity() != Granularity::kPage &&
      !medium.read_only() && guard_allows) {
    memmap->place_ = MemmapPlace::kPool;
    memmap->may_have_holes_ = sparse;
    memmap->base_ = medium.mutable_base() + OffsetOf(MemmapPfn(0));
    memmap->stride_ = OffsetOf(kSectionFrames);
  } else {
    memmap->stride_ = kSectionFrames * kDescriptorSize;
    if (Status s = memmap->dram_.Map(SectionsOf(frames) * memmap->stride_); !s.ok()) return s;
    memmap->base_ = memmap->dram_.data();
  }
  if (Status s = memmap->prepared_.Map(SectionsOf(frames)); !s.ok()) return s;
  if (Status s = memmap->block_memory_.Map(memmap->blocks() * sizeof(BlockState)); !s.ok()) {
    return s;
  }
  return memmap;
}

BlockState& Memmap::TouchBlock(uint64_t block) {
  BlockState& state = BlockAt(block);
  if (state.ready.load(std::memory_order_acquire) == 0) InitBlock(block);
  return state;
}

// Has a sparse file's disk set space aside for the pool's own frames. Where the disk is full there
// are holes among them, which it may be a signal to touch (on tmpfs, even to read): memory takes
// their place. False if there are any.
bool Memmap::ReserveOrCover(Pfn first, uint64_t frames) {
  const Medium& medium = domain_.medium();
  const uint64_t end = OffsetOf(first + frames);
  if (medium.Reserve(OffsetOf(first), end - OffsetOf(first)).ok()) return true;
  bool whole = true;
  for (uint64_t at = OffsetOf(first); at < end;) {
    const Medium::Extent hole = medium.FindHole(at, end);
    if (hole.start < hole.end) {
      whole = false;
      (void)mmap(medium.mutable_base() + hole.start, hole.end - hole.start, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    at = hole.end;
  }
  return whole;
}

void Memmap::PrepareSection(uint64_t section) {
  const bool in_pool = place_ == MemmapPlace::kPool;
  const bool cover = sparse_ && !domain_.medium().read_only();
  const bool exempt = in_pool && domain_.guard() != nullptr;
  if (!cover && !exempt) return;
  std::lock_guard lock(prepare_mutex_);
  if (Prepared(section) != kNotPrepared) return;
  std::byte prepared = kPrepared;
  if (cover && !ReserveOrCover(FrameTablePfn(section), kFrameTableFrames)) {
    prepared = kPreparedUnusable;  // nothing may be allocated: the table would not remember it
  }
  if (cover && in_pool) (void)ReserveOrCover(MemmapPfn(section), kMemmapFrames);
  // Refused only when mappings run out, which can_exempt() has ruled out; the store that follows
  // would then fault, as any stray one.
  if (!exempt ||
      domain_.guard()->Exempt(OffsetOf(MemmapPfn(section)), OffsetOf(kMemmapFrames)).ok()) {
    std::atomic_ref(prepared_.data()[section]).store(prepared, std::memory_order_release);
  }
}

void Memmap::InitBlock(uint64_t block) {
  PrepareSection(SectionOf(block << kBlockShift));
  std::atomic<uint64_t>& claim = At(block << kBlockShift).generation;
  const uint64_t initialising = generation_ | 1;
  uint64_t seen = claim.load(std::memory_order_acquire);
  for (;;) {
    if (seen == generation_) return;
    if (seen == initialising) {  // another thread is at it; it takes microseconds
      std::this_thread::yield();
      seen = claim.load(std::memory_order_acquire);
    } else if (claim.compare_exchange_strong(seen, initialising, std::memory_order_acq_rel)) {
      break;
    }
  }
  SEQUENCE_POINT("memmap.init");
  InOrder(
      TUFF_IN_ORDER("memmap.order"), [&] { FillBlock(block); },
      [&] {
        BlockAt(block).ready.store(1, std::memory_order_release);
        claim.store(generation_, std::memory_order_release);
      });
  domain_.counters().Add(Counter::kPageBlocksInitialised);
}

void Memmap::Prefault(uint64_t block) {
  WriteWindow window(domain_);
  domain_.medium().Prefault(OffsetOf(block << kBlockShift), OffsetOf(kBlockFrames));
}

// All of a void descriptor is garbage, the latch's word, too.
static void ResetDescriptor(Descriptor* descriptor, bool is_head) {
  new (&descriptor->latch) Latch{};
  descriptor->pins.store(0, std::memory_order_relaxed);
  descriptor->flags.store(is_head ? Descriptor::kHead : 0, std::memory_order_relaxed);
  descriptor->tail_count.store(0, std::memory_order_relaxed);
  descriptor->tail_end = 0;
  descriptor->tail_key_max = 0;
}

void Memmap::FillBlock(uint64_t block) {
  const Pfn first = block << kBlockShift;
  BlockState& state = BlockAt(block);
  state.free_bits.fill(0);
  state.mapped = false;
  new (&state.lock) Latch{};
  // A sparse file's blocks get their space now, so that a full disk is an error and not a signal.
  const bool backed = !sparse_ || domain_.medium().read_only() ||
                      (Prepared(SectionOf(first)) == kPrepared &&
                       domain_.medium().Reserve(OffsetOf(first), OffsetOf(kBlockFrames)).ok());
  uint16_t free_frames = 0;
  for (uint64_t i = 0; i < kBlockFrames;) {
    const Pfn pfn = first + i;
    const uint64_t word = IsReserved(pfn) ? 0 : OwnerWordAt(pfn);
    uint64_t run = 1;
    if (IsReserved(pfn)) {
      // Geometry owns it.
    } else if (word == 0) {
      if (backed) {
        state.free_bits[i / 64] |= 1ull << (i % 64);
        free_frames++;
      }
    } else if (TUFF_CHECK("memmap.owner", OwnerIsValid(pfn, word))) {
      run = 1ull << UnpackOwner(word).order;  // aligned, so it ends inside the block
    }  // else damaged: not free, not a head; whoever is sent here reports it
    for (uint64_t k = 0; k < run; k++) {
      Descriptor& descriptor = At(pfn + k);
      const bool head = k == 0 && word != 0 && OwnerIsValid(pfn, word);
      if (TUFF_ZERO("memmap.zero")) ResetDescriptor(&descriptor, head);
      if (i + k != 0) descriptor.generation.store(generation_, std::memory_order_release);
    }
    i += run;
  }
  // Wholly unused, and none of it the pool's own, which others may be writing.
  if (sparse_ && free_frames == kBlockFrames &&
      !domain_.medium().WriteReserved(OffsetOf(first), OffsetOf(kBlockFrames)).ok()) {
    domain_.MarkFailed();
  }
  state.free_frames.store(free_frames, std::memory_order_relaxed);
  known_free_frames_.fetch_add(free_frames, std::memory_order_relaxed);
  state.no_order_from.store(kOrderMax + 1, std::memory_order_relaxed);
}

}  // namespace tuff
