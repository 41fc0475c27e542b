#include "pagemap/allocator.h"

#include <algorithm>
#include <bit>

namespace tuff {
namespace {

// Bits at which an aligned run of 2^order (order <= 5) may begin.
constexpr uint64_t kStarts[] = {~0ull,
                                0x5555555555555555ull,
                                0x1111111111111111ull,
                                0x0101010101010101ull,
                                0x0001000100010001ull,
                                0x0000000100000001ull};

// The first aligned free run in a page block's bits, or -1.
int FindRun(const std::array<uint64_t, kBlockFrames / 64>& bits, unsigned order) {
  if (order >= 6) {
    const size_t words = 1ull << (order - 6);
    for (size_t at = 0; at < bits.size(); at += words) {
      if (std::all_of(&bits[at], &bits[at] + words, [](uint64_t w) { return w == ~0ull; })) {
        return static_cast<int>(at * 64);
      }
    }
    return -1;
  }
  int found = -1;
  for (size_t at = 0; at < bits.size(); at++) {
    uint64_t run = bits[at];
    for (unsigned k = 0; k < order; k++) run &= run >> (1u << k);
    run &= kStarts[order];
    if (run == 0) continue;
    const int here = static_cast<int>(at * 64) + std::countr_zero(run);
    // A word that is in use already is better: whole words stay whole for higher orders.
    if (bits[at] != ~0ull) return here;
    if (found < 0) found = here;
  }
  return found;
}

void SetRun(std::array<uint64_t, kBlockFrames / 64>& bits, unsigned first, unsigned order,
            bool free) {
  const unsigned frames = 1u << order;
  for (unsigned at = first; at < first + frames; at += std::min(frames, 64u)) {
    const uint64_t mask = frames >= 64 ? ~0ull : ((1ull << frames) - 1) << (at % 64);
    assert(free ? (bits[at / 64] & mask) == 0 : (bits[at / 64] & mask) == mask);
    if (free) {
      bits[at / 64] |= mask;
    } else {
      bits[at / 64] &= ~mask;
    }
  }
}

}  // namespace

FrameAllocator::FrameAllocator(Memmap& memmap, Counters& counters)
    : memmap_(memmap),
      counters_(counters),
      reserve_unit_(std::clamp<uint64_t>(memmap.frames() / 8192, 2, 16)) {
  for (unsigned order = 0; order <= kReserveOrderMax; order++) {
    reserve_[order].reserve(ReserveGoal(order));  // giving back must not fail
  }
  // Neighbouring threads begin far apart.
  for (size_t slot = 0; slot < hints_.size(); slot++) {
    for (auto& hint : hints_[slot]) hint = static_cast<uint32_t>(slot % memmap.blocks());
  }
}

Pfn FrameAllocator::TakeFrom(uint64_t block, unsigned order) {
  BlockState& state = memmap_.TouchBlock(block);
  if (state.no_order_from.load(std::memory_order_relaxed) <= order) return 0;
  LatchHold hold(state.lock);
  const int first = FindRun(state.free_bits, order);
  if (first < 0) {
    state.no_order_from.store(static_cast<uint8_t>(order), std::memory_order_relaxed);
    return 0;
  }
  if (!state.mapped) {
    state.mapped = true;
    memmap_.Prefault(block);
  }
  SetRun(state.free_bits, static_cast<unsigned>(first), order, false);
  state.free_frames.store(
      static_cast<uint16_t>(state.free_frames.load(std::memory_order_relaxed) - (1u << order)),
      std::memory_order_relaxed);
  memmap_.known_free_frames().fetch_sub(1ull << order, std::memory_order_relaxed);
  return (block << kBlockShift) + static_cast<unsigned>(first);
}

// A look at an uninitialised block's owner words, cheaper than initialising it in vain.
bool FrameAllocator::MayHold(uint64_t block, unsigned order) {
  const BlockState& state = memmap_.BlockAt(block);
  if (state.ready.load(std::memory_order_acquire) != 0) {
    return state.no_order_from.load(std::memory_order_relaxed) > order &&
           state.free_frames.load(std::memory_order_relaxed) >= (1u << order);
  }
  const Pfn first = block << kBlockShift;
  memmap_.PrepareSection(SectionOf(first));
  for (uint64_t i = 0; i < kBlockFrames;) {
    const Pfn pfn = first + i;
    if (IsReserved(pfn)) {
      i++;
      continue;
    }
    const uint64_t word = memmap_.OwnerWordAt(pfn);
    if (word == 0) return true;
    i += OwnerIsValid(pfn, word) ? 1ull << UnpackOwner(word).order : 1;
  }
  return false;
}

Pfn FrameAllocator::Search(unsigned order) {
  uint64_t exhausted = exhausted_.load(std::memory_order_acquire);
  if (order >= (exhausted & kOrderByte)) return 0;
  std::atomic<uint32_t>& hint = hints_[ThreadSlot()][order];
  if (Pfn pfn = TakeFrom(hint.load(std::memory_order_relaxed), order); pfn != 0) return pfn;
  const uint64_t blocks = memmap_.blocks();
  const uint64_t start = cursor_.load(std::memory_order_relaxed);
  for (uint64_t i = 0; i < blocks; i++) {
    const uint64_t block = (start + i) % blocks;
    if (!MayHold(block, order)) continue;
    const Pfn pfn = TakeFrom(block, order);
    if (pfn == 0) continue;
    hint.store(static_cast<uint32_t>(block), std::memory_order_relaxed);
    cursor_.store((block + 1) % blocks, std::memory_order_relaxed);
    return pfn;
  }
  exhausted_.compare_exchange_strong(exhausted, (exhausted & ~kOrderByte) | order);
  return 0;
}

// Single frames are what most changes take: more of them, so that few must wait for a grace period.
size_t FrameAllocator::ReserveGoal(unsigned order) const {
  return order == 0 ? 16 * reserve_unit_ : reserve_unit_;
}

bool FrameAllocator::ReserveIsFull(unsigned order_max) const {
  for (unsigned order = 0; order <= order_max; order++) {
    if (reserve_[order].size() < ReserveGoal(order)) return false;
  }
  return true;
}

// Large runs first: of a full pool that has just been opened, the reserve is all that is free.
void FrameAllocator::FillReserve() {
  std::lock_guard lock(reserve_mutex_);
  for (unsigned order = kReserveOrderMax + 1; order-- > 0;) {
    while (reserve_[order].size() < ReserveGoal(order)) {
      const Pfn pfn = Search(order);
      if (pfn == 0) break;
      reserve_[order].push_back(pfn);
    }
  }
  reserve_short_.store(!ReserveIsFull(kReserveOrderMax), std::memory_order_relaxed);
}

Pfn FrameAllocator::Borrow(unsigned order) {
  if (order > kReserveOrderMax) return 0;
  std::lock_guard lock(reserve_mutex_);
  if (reserve_[order].empty()) return 0;
  const Pfn pfn = reserve_[order].back();
  reserve_[order].pop_back();
  reserve_short_.store(true, std::memory_order_relaxed);
  return pfn;
}

// Tops up the reserve. While it is short, what is left is for exchanges, unless plenty is free and
// only the large runs are missing.
bool FrameAllocator::MayGrow() {
  if (!reserve_short_.load(std::memory_order_relaxed)) return true;
  const uint64_t plenty = 128 * reserve_unit_;
  const bool now = short_allocations_.fetch_add(1, std::memory_order_relaxed) % 64 == 0;
  if (now || KnownFreeFrames() < plenty) FillReserve();
  return !reserve_short_.load(std::memory_order_relaxed) || KnownFreeFrames() >= plenty;
}

Pfn FrameAllocator::Allocate(unsigned order, AllocFor purpose) {
  const bool exchange = purpose == AllocFor::kExchange;
  Pfn pfn = MayGrow() || exchange ? Search(order) : 0;
  if (pfn == 0 && exchange) pfn = Borrow(order);
  if (pfn != 0) counters_.Add(Counter::kFramesAllocated, 1ull << order);
  return pfn;
}

// To the reserve if a run of this size or, for want of that, a smaller one is missing there.
void FrameAllocator::Repay(Pfn pfn, unsigned order) {
  if (order <= kReserveOrderMax && reserve_[order].size() < ReserveGoal(order)) {
    reserve_[order].push_back(pfn);
  } else if (order == 0 || ReserveIsFull(std::min(order - 1, kReserveOrderMax))) {
    FreeBits(pfn, order);
  } else {
    Repay(pfn, order - 1);
    Repay(pfn + (1ull << (order - 1)), order - 1);
  }
}

void FrameAllocator::Free(Pfn pfn, unsigned order) {
  if (!reserve_short_.load(std::memory_order_relaxed)) return FreeBits(pfn, order);
  std::lock_guard lock(reserve_mutex_);
  Repay(pfn, order);
}

void FrameAllocator::FreeBits(Pfn pfn, unsigned order) {
  BlockState& state = memmap_.TouchBlock(BlockOf(pfn));
  LatchHold hold(state.lock);
  SetRun(state.free_bits, static_cast<unsigned>(pfn & (kBlockFrames - 1)), order, true);
  state.free_frames.store(
      static_cast<uint16_t>(state.free_frames.load(std::memory_order_relaxed) + (1u << order)),
      std::memory_order_relaxed);
  memmap_.known_free_frames().fetch_add(1ull << order, std::memory_order_relaxed);
  state.no_order_from.store(kOrderMax + 1, std::memory_order_relaxed);
  NoteFree(state);
}

// REQUIRES: the block's lock is held.
void FrameAllocator::NoteFree(const BlockState& state) {
  uint64_t word = exhausted_.fetch_add(kOrderByte + 1);
  const auto order = static_cast<unsigned>(word & kOrderByte);
  if (order > kOrderMax || FindRun(state.free_bits, order) < 0) return;
  word = exhausted_.load();
  while (!exhausted_.compare_exchange_weak(word, (word & ~kOrderByte) | (kOrderMax + 1))) continue;
}

uint64_t FrameAllocator::CountFreeFrames() const {
  uint64_t sum = 0;
  for (Pfn pfn = 0; pfn < memmap_.frames();) {
    if (pfn % kSectionFrames == 0) memmap_.PrepareSection(SectionOf(pfn));
    const uint64_t word = IsReserved(pfn) ? 0 : memmap_.OwnerWordAt(pfn);
    if (word == 0 && !IsReserved(pfn)) sum++;
    pfn += word != 0 && OwnerIsValid(pfn, word) ? 1ull << UnpackOwner(word).order : 1;
  }
  return sum;
}

}  // namespace tuff
