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
      reserve_runs_(std::clamp<uint64_t>(memmap.frames() / 4096, 4, 32)) {
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
  return 0;
}

void FrameAllocator::FillReserve() {
  std::lock_guard lock(reserve_mutex_);
  while (reserve_.size() < reserve_runs_) {
    const Pfn pfn = Search(kReserveOrder);
    if (pfn == 0) return;
    reserve_.push_back(pfn);
  }
  for (const auto& [pfn, order] : reserve_parts_) FreeBits(pfn, order);
  reserve_parts_.clear();
  reserve_short_.store(false, std::memory_order_relaxed);
}

Pfn FrameAllocator::TakeReserve(unsigned order, AllocFor purpose) {
  if (order > kReserveOrder) return 0;
  std::lock_guard lock(reserve_mutex_);
  // The smallest part that will do. A float of single frames does not break up larger ones.
  const bool whole_reserve = purpose == AllocFor::kShrink;
  auto part = reserve_parts_.end();
  for (auto it = reserve_parts_.begin(); it != reserve_parts_.end(); ++it) {
    if (it->second < order || (order == 0 && it->second > 0 && !whole_reserve)) continue;
    if (part == reserve_parts_.end() || it->second < part->second) part = it;
  }
  std::pair<Pfn, unsigned> run;
  if (part != reserve_parts_.end()) {
    run = *part;
    reserve_parts_.erase(part);
  } else if (reserve_.size() > (whole_reserve ? 0 : reserve_runs_ / 2)) {
    run = {reserve_.back(), kReserveOrder};
    reserve_.pop_back();
  } else {
    return 0;
  }
  reserve_short_.store(true, std::memory_order_relaxed);
  while (run.second > order) {  // split in halves, as a buddy allocator does
    run.second--;
    reserve_parts_.insert(reserve_parts_.begin(), {run.first + (1ull << run.second), run.second});
  }
  return run.first;
}

// Tops up the reserve. While it is short, what is left is for shrinking, unless plenty is free and
// only the large runs are missing.
bool FrameAllocator::MayGrow() {
  if (!reserve_short_.load(std::memory_order_relaxed)) return true;
  const uint64_t plenty = 4 * (reserve_runs_ << kReserveOrder);
  const bool now = short_allocations_.fetch_add(1, std::memory_order_relaxed) % 64 == 0;
  if (now || KnownFreeFrames() < plenty) FillReserve();
  return !reserve_short_.load(std::memory_order_relaxed) || KnownFreeFrames() >= plenty;
}

Pfn FrameAllocator::Allocate(unsigned order, AllocFor purpose) {
  Pfn pfn = 0;
  if (MayGrow() || purpose != AllocFor::kGrow) pfn = Search(order);
  if (pfn == 0 && purpose != AllocFor::kGrow) pfn = TakeReserve(order, purpose);
  if (pfn != 0) counters_.Add(Counter::kFramesAllocated, 1ull << order);
  return pfn;
}

// What a shrinking leaf leaves behind is as large as what it took from the reserve: it goes back
// there, or single frames would soon have eaten all larger runs of a full pool.
bool FrameAllocator::GiveToReserve(Pfn pfn, unsigned order) {
  if (order == 0 || order > kReserveOrder) return false;
  std::lock_guard lock(reserve_mutex_);
  if (!reserve_short_.load(std::memory_order_relaxed)) return false;
  uint64_t frames = reserve_.size() << kReserveOrder;
  for (const auto& [first, part_order] : reserve_parts_) frames += 1ull << part_order;
  if (frames + (1ull << order) > reserve_runs_ << kReserveOrder) return false;
  reserve_parts_.emplace_back(pfn, order);
  return true;
}

void FrameAllocator::Free(Pfn pfn, unsigned order) {
  if (reserve_short_.load(std::memory_order_relaxed) && GiveToReserve(pfn, order)) return;
  FreeBits(pfn, order);
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
