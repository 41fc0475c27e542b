#include "pagemap/lanes.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "pagemap/checksum.h"
#include "pagemap/frame_format.h"
#include "pagemap/rcu.h"
#include "pagemap/redo.h"

namespace tuff {
namespace {

constexpr size_t kChecksumFrom = offsetof(LaneEntry, decider);

uint64_t EntryChecksum(const std::byte* entry, size_t bytes, uint64_t state, unsigned lane,
                       uint64_t hash_seed) {
  return Checksum64(entry + kChecksumFrom, bytes - kChecksumFrom, hash_seed ^ Mix64(state + lane));
}

uint64_t LaneOffset(unsigned lane) { return OffsetOf(kLanesPfn + lane); }

bool RunIsSane(const LaneRun& run, uint64_t frames) {
  if (run.pfn >= frames || IsReserved(run.pfn) || !OwnerIsValid(run.pfn, run.owner)) return false;
  return run.pfn + (1ull << UnpackOwner(run.owner).order) <= frames;
}

bool PlaceIsSane(const LaneEntry& entry, uint64_t frames) {
  if (entry.decider == static_cast<uint16_t>(LaneDecider::kRedo))
    return true;  // seen to in redo.cc
  const Pfn pfn = entry.place >> kFrameShift;
  if (entry.place % 8 != 0 || pfn >= frames) return false;
  if (IsReserved(pfn) && pfn != kCatalogueAnchorPfn) return false;
  if (entry.decider == static_cast<uint16_t>(LaneDecider::kWord)) return true;
  return entry.decider == static_cast<uint16_t>(LaneDecider::kRecord) &&
         entry.record_bytes <= OffsetOf(frames) &&
         entry.place <= OffsetOf(frames) - entry.record_bytes;
}

using EntryVerdict = LaneReading::Verdict;

EntryVerdict ReadEntry(const std::byte* base, unsigned lane, uint64_t hash_seed, uint64_t frames,
                       LaneReading* live) {
  const std::byte* at = base + LaneOffset(lane);
  if (Load64(at) == 0) return EntryVerdict::kEmpty;
  LaneEntry& entry = live->entry;
  std::memcpy(&entry, at, sizeof entry);
  const size_t runs = size_t{entry.new_runs} + entry.old_runs;
  if (!TUFF_CHECK("lane.runs", runs <= kLaneRunsMax)) return EntryVerdict::kTorn;
  size_t bytes = sizeof entry + runs * sizeof(LaneRun);
  const bool redo = entry.decider == static_cast<uint16_t>(LaneDecider::kRedo);
  if (redo && entry.place == 0) {
    if (!TUFF_CHECK("lane.inline", entry.new_value <= kFrameSize - bytes)) {
      return EntryVerdict::kTorn;
    }
    bytes += entry.new_value;
  }
  if (!TUFF_CHECK("lane.checksum",
                  entry.checksum == EntryChecksum(at, bytes, entry.state, lane, hash_seed))) {
    return EntryVerdict::kTorn;
  }
  if (redo && !TUFF_CHECK("lane.redo", runs == 0 && entry.new_value != 0)) {
    return EntryVerdict::kBad;
  }
  live->new_runs.resize(entry.new_runs);
  live->old_runs.resize(entry.old_runs);
  const std::byte* from = at + sizeof entry;
  for (auto* list : {&live->new_runs, &live->old_runs}) {
    for (LaneRun& run : *list) {
      std::memcpy(&run, from, sizeof run);
      from += sizeof run;
      if (!TUFF_CHECK("lane.run", RunIsSane(run, frames))) return EntryVerdict::kBad;
    }
  }
  return TUFF_CHECK("lane.place", PlaceIsSane(entry, frames)) ? EntryVerdict::kLive
                                                              : EntryVerdict::kBad;
}

Status LaneDamage(const PersistDomain& domain, unsigned lane) {
  return Status(Code::kCorruption, fmt::format("{}: lane {} (pfn {}) is damaged; restore a backup",
                                               domain.medium().path(), lane, kLanesPfn + lane));
}

// Whether a live entry's change has happened. Nothing: what decides is damaged.
std::optional<bool> WasCommitted(const std::byte* base, const LaneEntry& entry,
                                 const RecordCheck& record_check) {
  if (entry.decider == static_cast<uint16_t>(LaneDecider::kRecord)) {
    return TUFF_CHECK("lane.record", record_check({base + entry.place, entry.record_bytes},
                                                  entry.record_seed, entry.new_value));
  }
  const uint64_t word = Load64(base + entry.place);
  if (!TUFF_CHECK("lane.word", word == entry.new_value || word == entry.old_value)) {
    return std::nullopt;
  }
  return word == entry.new_value;
}

Status RecoverLane(PersistDomain& domain, unsigned lane, const LaneReading& live,
                   const RecordCheck& record_check) {
  const LaneEntry& entry = live.entry;
  const std::byte* base = domain.base();
  const bool by_word = entry.decider == static_cast<uint16_t>(LaneDecider::kWord);
  WriteWindow window(domain);
  // A killed process leaves bytes that are only in the cache: make durable what is believed next.
  TUFF_FLUSH("recover.1", window, LaneOffset(lane), kFrameSize);
  TUFF_FLUSH("recover.2", window, entry.place, by_word ? 8 : entry.record_bytes);
  if (Status s = TUFF_FENCE("recover.3", window); !s.ok()) return s;
  CRASH_POINT("recover.4");

  const auto committed = WasCommitted(base, entry, record_check);
  if (!committed) {
    return Status(Code::kCorruption,
                  fmt::format("{}: lane {}: the word at {:#x} is neither the old nor the new one; "
                              "restore a backup",
                              domain.medium().path(), lane, entry.place));
  }
  const bool happened = *committed;
  for (const LaneRun& run : live.new_runs) {
    window.StoreUnread64(OwnerWordOffset(run.pfn), happened ? run.owner : 0);
    TUFF_FLUSH("recover.5", window, OwnerWordOffset(run.pfn), 8);
  }
  for (const LaneRun& run : live.old_runs) {
    window.StoreUnread64(OwnerWordOffset(run.pfn), happened ? 0 : run.owner);
    TUFF_FLUSH("recover.6", window, OwnerWordOffset(run.pfn), 8);
  }
  CRASH_POINT("recover.7");
  if (Status s = TUFF_FENCE("recover.8", window); !s.ok()) return s;
  domain.counters().Add(Counter::kLanesRecovered);
  return Status();
}

// A batch: its stores are made if all of their list is there.
Status RecoverRedo(PersistDomain& domain, unsigned lane, const LaneReading& live,
                   uint64_t hash_seed, uint64_t frames) {
  WriteWindow window(domain);
  TUFF_FLUSH("recover.17", window, LaneOffset(lane), kFrameSize);
  const auto stores =
      RedoLog::ReadStores(&window, domain.base(), live.entry, lane, hash_seed, frames);
  if (stores.empty()) return Status();  // torn before its commit
  if (Status s = TUFF_FENCE("recover.18", window); !s.ok()) return s;
  CRASH_POINT("recover.19");
  if (!RedoLog::Replay(window, stores, frames)) return LaneDamage(domain, lane);
  CRASH_POINT("recover.20");
  if (Status s = TUFF_FENCE("recover.21", window); !s.ok()) return s;
  domain.counters().Add(Counter::kBatchesReplayed);
  return Status();
}

}  // namespace

std::optional<unsigned> Lanes::TryAcquire() {
  const unsigned start = ThreadSlot() % kLanes;
  for (unsigned i = 0; i < kLanes; i++) {
    const unsigned lane = (start + i) % kLanes;
    if (TryAcquire(lane)) return lane;
  }
  return std::nullopt;
}

bool Lanes::TryAcquire(unsigned lane) {
  std::atomic<bool>& taken = holders_[lane].taken;
  return !taken.load(std::memory_order_relaxed) && !taken.exchange(true, std::memory_order_seq_cst);
}

unsigned Lanes::Acquire() {
  assert(!InRcuReadSection());
  for (;;) {
    const uint32_t seen = releases_.load(std::memory_order_acquire);
    if (const auto lane = TryAcquire(); lane) return *lane;
    waiters_.fetch_add(1, std::memory_order_seq_cst);
    bool any_free = false;
    for (const Holder& holder : holders_) {
      any_free |= !holder.taken.load(std::memory_order_seq_cst);
    }
    if (!any_free) releases_.wait(seen, std::memory_order_acquire);
    waiters_.fetch_sub(1, std::memory_order_relaxed);
  }
}

void Lanes::Release(unsigned lane) {
  holders_[lane].change.store(0, std::memory_order_release);
  holders_[lane].taken.store(false, std::memory_order_seq_cst);
  if (waiters_.load(std::memory_order_seq_cst) == 0) return;
  releases_.fetch_add(1, std::memory_order_release);
  releases_.notify_all();
}

void Lanes::AwaitChanges() const {
  assert(!InRcuReadSection());
  for (const Holder& holder : holders_) {
    const uint64_t seen = holder.change.load(std::memory_order_acquire);
    while (seen != 0 && holder.change.load(std::memory_order_acquire) == seen) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }
}

Status Lanes::Change(WriteWindow& window, unsigned lane, const LaneChange& change,
                     std::span<const RunBytes> fresh) {
  for (const RunBytes& run : fresh) {
    TUFF_COPY("change.1", window, OffsetOf(run.pfn), run.bytes, OffsetOf(1ull << run.order));
  }
  CRASH_POINT("change.2");
  Enter(window, lane, change);
  CRASH_POINT("change.3");
  if (Status s = TUFF_FENCE("change.4", window); !s.ok()) return s;  // F1
  CRASH_POINT("change.5");
  SetOwners(window, change);
  CRASH_POINT("change.6");
  window.Store64(change.place, change.new_value);
  CRASH_POINT("change.7");
  TUFF_FLUSH("change.8", window, change.place, 8);
  if (Status s = TUFF_FENCE("change.9", window); !s.ok()) return s;  // F2: committed
  CRASH_POINT("change.10");
  Retire(window, lane);
  CRASH_POINT("change.11");
  Status s = TUFF_FENCE("change.12", window);  // F3
  CRASH_POINT("change.13");
  holders_[lane].change.store(0, std::memory_order_release);  // whose holder may go on for long
  return s;
}

void Lanes::Enter(WriteWindow& window, unsigned lane, const LaneChange& change) {
  assert(change.new_runs.size() + change.old_runs.size() <= kLaneRunsMax);
  alignas(8) std::byte buffer[kFrameSize];
  LaneEntry entry{};
  entry.state = NextEntryNumber();
  holders_[lane].change.store(entry.state, std::memory_order_release);
  entry.decider = static_cast<uint16_t>(change.decider);
  entry.new_runs = static_cast<uint16_t>(change.new_runs.size());
  entry.old_runs = static_cast<uint16_t>(change.old_runs.size());
  entry.place = change.place;
  entry.old_value = change.old_value;
  entry.new_value = change.new_value;
  entry.record_seed = change.record_seed;
  entry.record_bytes = change.record_bytes;
  entry.object_id = change.object_id;
  size_t bytes = sizeof entry;
  std::memcpy(buffer, &entry, sizeof entry);
  for (const auto* list : {&change.new_runs, &change.old_runs}) {
    for (const LaneRun& run : *list) {
      std::memcpy(buffer + bytes, &run, sizeof run);
      bytes += sizeof run;
    }
  }
  entry.checksum = EntryChecksum(buffer, bytes, entry.state, lane, hash_seed_);
  std::memcpy(buffer, &entry, sizeof entry);
  TUFF_COPY("lane.1", window, LaneOffset(lane), buffer, bytes);
}

void Lanes::EnterRedo(WriteWindow& window, unsigned lane, uint64_t state,
                      std::span<const std::byte> stores, uint64_t first_chunk) {
  alignas(8) std::byte buffer[kFrameSize];
  holders_[lane].change.store(state, std::memory_order_release);
  LaneEntry entry{};
  entry.state = state;
  entry.decider = static_cast<uint16_t>(LaneDecider::kRedo);
  entry.place = first_chunk;
  entry.new_value = stores.size();
  size_t bytes = sizeof entry;
  std::memcpy(buffer, &entry, sizeof entry);
  if (first_chunk == 0) {
    assert(stores.size() <= kLaneInlineBytes);
    std::copy(stores.begin(), stores.end(), buffer + bytes);
    bytes += stores.size();
  }
  entry.checksum = EntryChecksum(buffer, bytes, state, lane, hash_seed_);
  std::memcpy(buffer, &entry, sizeof entry);
  TUFF_COPY("lane.5", window, LaneOffset(lane), buffer, bytes);
}

void Lanes::SetOwners(WriteWindow& window, const LaneChange& change) {
  for (const LaneRun& run : change.new_runs) {
    window.StoreUnread64(OwnerWordOffset(run.pfn), run.owner);
    TUFF_FLUSH("lane.2", window, OwnerWordOffset(run.pfn), 8);
  }
  for (const LaneRun& run : change.old_runs) {
    if (TUFF_RETIRE("lane.free")) window.StoreUnread64(OwnerWordOffset(run.pfn), 0);
    TUFF_FLUSH("lane.3", window, OwnerWordOffset(run.pfn), 8);
  }
}

void Lanes::Retire(WriteWindow& window, unsigned lane) {
  if (TUFF_RETIRE("lane.retire")) window.StoreUnread64(LaneOffset(lane), 0);
  TUFF_FLUSH("lane.4", window, LaneOffset(lane), 8);
}

LaneReading Lanes::Read(const std::byte* base, unsigned lane, uint64_t hash_seed, uint64_t frames,
                        const RecordCheck& record_check) {
  LaneReading reading;
  reading.verdict = ReadEntry(base, lane, hash_seed, frames, &reading);
  if (reading.verdict != EntryVerdict::kLive) return reading;
  if (reading.entry.decider != static_cast<uint16_t>(LaneDecider::kRedo)) {
    reading.committed = WasCommitted(base, reading.entry, record_check);
    return reading;
  }
  const auto list = RedoLog::ReadStores(nullptr, base, reading.entry, lane, hash_seed, frames);
  reading.committed = !list.empty();
  auto stores = RedoLog::ListStores(list, frames);
  if (stores) {
    reading.stores = std::move(*stores);
  } else {
    reading.committed.reset();
  }
  return reading;
}

Status Lanes::CheckEmpty(const PersistDomain& domain) {
  for (unsigned lane = 0; lane < kLanes; lane++) {
    if (!TUFF_CHECK("lane.empty", Load64(domain.base() + LaneOffset(lane)) == 0)) {
      return LaneDamage(domain, lane);
    }
  }
  return Status();
}

Status Lanes::Recover(PersistDomain& domain, uint64_t hash_seed, uint64_t frames,
                      const RecordCheck& record_check) {
  {
    // A killed process may have emptied a lane in the caches only: it must not come to life again.
    WriteWindow window(domain);
    for (unsigned lane = 0; lane < kLanes; lane++) {
      TUFF_FLUSH("recover.12", window, LaneOffset(lane), 8);
    }
    if (Status s = TUFF_FENCE("recover.13", window); !s.ok()) return s;
  }
  for (unsigned lane = 0; lane < kLanes; lane++) {
    if (Status s = RecoverOne(domain, lane, hash_seed, frames, record_check); !s.ok()) return s;
  }
  return Status();
}

Status Lanes::RecoverOne(PersistDomain& domain, unsigned lane, uint64_t hash_seed, uint64_t frames,
                         const RecordCheck& record_check) {
  LaneReading live;
  const EntryVerdict verdict = ReadEntry(domain.base(), lane, hash_seed, frames, &live);
  if (verdict == EntryVerdict::kEmpty) return Status();
  if (verdict == EntryVerdict::kBad) return LaneDamage(domain, lane);
  if (verdict == EntryVerdict::kLive) {
    const bool redo = live.entry.decider == static_cast<uint16_t>(LaneDecider::kRedo);
    Status s = redo ? RecoverRedo(domain, lane, live, hash_seed, frames)
                    : RecoverLane(domain, lane, live, record_check);
    if (!s.ok()) return s;
  }  // else torn in F1: nothing of it was done
  WriteWindow window(domain);
  if (TUFF_RETIRE("recover.retire")) window.StoreUnread64(LaneOffset(lane), 0);
  TUFF_FLUSH("recover.9", window, LaneOffset(lane), 8);
  if (Status s = TUFF_FENCE("recover.10", window); !s.ok()) return s;
  CRASH_POINT("recover.11");
  return Status();
}

}  // namespace tuff
