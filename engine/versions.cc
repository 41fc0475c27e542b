#include "engine/versions.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <thread>

#include "pagemap/rcu.h"

namespace tuff {
namespace {

uint64_t CoarseNowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

// What a kept version takes, bookkeeping included, as nearly as one can say.
uint64_t BytesOf(const KeptVersion& version) {
  return sizeof(KeptVersion) + 2 * version.key.size() + version.value.size() + 160;
}

// A moment's wait for another thread: a durable append takes a microsecond, a sync a millisecond.
class Patience {
 public:
  void Wait() {
    if (++rounds_ < 200) {
      __builtin_ia32_pause();
    } else if (rounds_ < 400) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }

 private:
  int rounds_ = 0;
};

}  // namespace

Versions::Versions(PageMap& map, uint64_t memory_bytes_max)
    : map_(map), memory_bytes_max_(memory_bytes_max) {}

Versions::WriterMark::WriterMark(Versions* versions, uint32_t object_id)
    : versions_(versions), slot_(ThreadSlot()) {
  if (versions_ == nullptr) return;
  if (slot_ == kThreadSlots) versions_->overflow_mutex_.lock();
  unsigned used = versions_->slots_used_.load(std::memory_order_relaxed);
  while (used <= slot_ && !versions_->slots_used_.compare_exchange_weak(
                              used, slot_ + 1, std::memory_order_relaxed)) {
  }
  Slot& slot = versions_->slots_[slot_];
  slot.mark.store(++slot.marks << 32 | object_id, std::memory_order_release);
}

Versions::WriterMark::~WriterMark() {
  if (versions_ == nullptr) return;
  versions_->slots_[slot_].mark.store(0, std::memory_order_release);
  if (slot_ == kThreadSlots) versions_->overflow_mutex_.unlock();
}

Versions::InFlight::InFlight(Versions* versions) : versions_(versions), slot_(ThreadSlot()) {
  if (versions_ == nullptr) return;
  assert(versions_->slots_[slot_].mark.load() != 0);
  // Shown to whoever sees the number taken: taking it releases, and reading the counter acquires.
  if (TUFF_ORDER("version.bound")) {
    versions_->slots_[slot_].bound.store(versions_->map_.NumberBound(), std::memory_order_relaxed);
  }
  SEQUENCE_POINT("version.shown");
}

Versions::InFlight::~InFlight() {
  if (versions_ == nullptr) return;
  Slot& slot = versions_->slots_[slot_];
  if (pending_) {
    slot.pending.store(0, std::memory_order_release);
    versions_->pending_count_.fetch_sub(1, std::memory_order_release);
  }
  slot.bound.store(kNothing, std::memory_order_release);
}

void Versions::InFlight::Pend(uint64_t number) {
  if (versions_ == nullptr) return;
  versions_->slots_[slot_].pending.store(number, std::memory_order_release);
  versions_->pending_count_.fetch_add(1, std::memory_order_acq_rel);
  pending_ = true;
}

bool Versions::FindPending(uint64_t sequence) const {
  for (const Slot& slot : slots_) {
    if (slot.pending.load(std::memory_order_acquire) == sequence) return true;
  }
  return false;
}

void Versions::AwaitWriters(uint32_t object_id) const {
  for (const Slot& slot : slots_) {
    const uint64_t seen = slot.mark.load(std::memory_order_acquire);
    const auto object = static_cast<uint32_t>(seen);
    if (seen == 0 || (object != object_id && object != WriterMark::kAllObjects)) continue;
    for (Patience patience; slot.mark.load(std::memory_order_acquire) == seen;) patience.Wait();
  }
}

void Versions::AwaitBelow(uint64_t sequence) const {
  const unsigned used = slots_used_.load(std::memory_order_acquire);
  for (unsigned i = 0; i < used; i++) {
    const Slot& slot = slots_[i];
    for (Patience patience; slot.bound.load(std::memory_order_acquire) <= sequence;) {
      patience.Wait();
    }
  }
}

Result<uint64_t> Versions::Register() { return RegisterAs(false); }
void Versions::Unregister(uint64_t sequence) { UnregisterAs(sequence, false); }

Result<uint64_t> Versions::RegisterAs(bool taken) {
  assert(!InRcuReadSection());
  uint64_t sequence = 0;
  try {
    std::lock_guard lock(registry_mutex_);
    sequence = map_.NumberBound() - 1;
    if (!registered_.empty() && registered_.back().sequence == sequence) {
      registered_.back().readers++;
    } else {
      registered_.push_back({sequence, 1, 0, CoarseNowNs()});
    }
    if (taken) {
      registered_.back().taken++;
      taken_++;
      ShowStatus(taken_ == 1);
    }
  } catch (const std::bad_alloc&) {
    return Status(Code::kNoMemory, "out of memory");
  }
  SEQUENCE_POINT("version.registered");
  if (TUFF_ORDER("version.wait")) AwaitBelow(sequence);
  return sequence;
}

void Versions::Share(uint64_t sequence) {
  std::lock_guard lock(registry_mutex_);
  for (Registered& r : registered_) {
    if (r.sequence == sequence) {
      r.readers++;
      return;
    }
  }
  assert(false && "a snapshot is used after its release");
}

void Versions::UnregisterAs(uint64_t sequence, bool taken) {
  std::unique_lock lock(registry_mutex_);
  const auto it = std::find_if(registered_.rbegin(), registered_.rend(),
                               [&](const Registered& r) { return r.sequence == sequence; });
  if (it == registered_.rend()) {
    assert(false && "a snapshot is released twice");
    return;
  }
  if (taken) {
    it->taken--;
    taken_--;
  }
  const bool last = --it->readers == 0;
  if (last) registered_.erase(std::next(it).base());
  if (taken) ShowStatus(taken_ == 0);
  if (!last) return;
  // A little at a time, so that writers need not wait. Nothing more is attached to this number.
  while (!attached_.empty() && LetGoSome(sequence)) {
    lock.unlock();
    lock.lock();
  }
}

Result<const Snapshot*> Versions::Take() {
  void* const place = ::operator new(sizeof(Snapshot), std::nothrow);
  if (place == nullptr) return Status(Code::kNoMemory, "out of memory");
  auto sequence = RegisterAs(true);
  if (!sequence.ok()) {
    ::operator delete(place);
    return sequence.TakeStatus();
  }
  return static_cast<const Snapshot*>(new (place) Snapshot(*sequence));
}

void Versions::Release(const Snapshot* snapshot) {
  if (snapshot == nullptr) return;
  UnregisterAs(snapshot->sequence(), true);
  ::operator delete(const_cast<Snapshot*>(snapshot));
}

Versions::Summary Versions::Summarize() const {
  std::lock_guard lock(registry_mutex_);
  Summary summary;
  const uint64_t now = CoarseNowNs();
  for (const Registered& r : registered_) {
    summary.snapshots += r.readers;
    summary.age_ns_max = std::max(summary.age_ns_max, now - r.since_ns);
    if (r.taken > 0) {
      summary.taken_age_ns_max = std::max(summary.taken_age_ns_max, now - r.since_ns);
    }
  }
  summary.taken = taken_;
  summary.versions = versions_.load(std::memory_order_relaxed);
  summary.bytes = bytes_.load(std::memory_order_relaxed);
  summary.expired = expired_count_;
  return summary;
}

// For `tuff info` of another process: at once if there has been a first or a last snapshot, else
// now and then. REQUIRES: registry_mutex_ is held.
void Versions::ShowStatus(bool now) {
  constexpr uint64_t kEveryNs = 500000000;
  const uint64_t time = CoarseNowNs();
  if (!now && time - shown_ns_ < kEveryNs) return;
  shown_ns_ = time;
  LiveStatus status{};
  status.snapshots = taken_;
  for (const Registered& r : registered_) {
    if (r.taken == 0) continue;
    status.oldest_taken_ns = NowNs() - (time - r.since_ns);
    break;
  }
  status.kept_versions = versions_.load(std::memory_order_relaxed);
  status.kept_bytes = bytes_.load(std::memory_order_relaxed);
  map_.ShowStatus(status);
}

bool Versions::HasSnapshots() const {
  std::lock_guard lock(registry_mutex_);
  return !registered_.empty();
}

uint64_t Versions::NeededBy(uint64_t from, uint64_t to) const {
  auto it = std::lower_bound(registered_.begin(), registered_.end(), to,
                             [](const Registered& r, uint64_t n) { return r.sequence < n; });
  if (it == registered_.begin()) return 0;
  --it;
  const uint64_t floor = std::max(from, expired_below_.load(std::memory_order_relaxed));
  return it->sequence >= floor ? it->sequence : 0;
}

void Versions::Retain(uint32_t object_id, std::span<const RecordView> records, uint64_t filled_at) {
  std::lock_guard lock(registry_mutex_);
  for (size_t i = 1; i < records.size(); i++) {
    const RecordView& record = records[i];
    const RecordView& newer = records[i - 1];
    if (record.key != newer.key || record.type() != RecordType::kPut) continue;
    const uint64_t next = SequenceOf(newer.sequence_and_type);
    const uint64_t sequence = std::max(SequenceOf(record.sequence_and_type), filled_at);
    const uint64_t needed_by = NeededBy(sequence, next);
    if (needed_by == 0) continue;
    try {
      Keep(object_id, record, sequence, next, needed_by);
    } catch (const std::bad_alloc&) {
      while (expired_below_.load(std::memory_order_relaxed) <= needed_by) ExpireOldest();
    }
  }
  while (memory_bytes_max_ != 0 && bytes_.load(std::memory_order_relaxed) > memory_bytes_max_) {
    ExpireOldest();
  }
  if (taken_ > 0) ShowStatus(false);
}

void Versions::Keep(uint32_t object_id, const RecordView& record, uint64_t sequence, uint64_t next,
                    uint64_t needed_by) {
  auto kept = std::make_shared<const KeptVersion>(
      KeptVersion{std::string(record.key), std::string(record.value), sequence, next});
  auto& attached = attached_[needed_by];
  if (attached.size() == attached.capacity()) attached.reserve(2 * attached.size() + 16);
  std::unique_lock lock(table_mutex_);
  auto it = table_.find(KeyView{object_id, record.key});
  if (it == table_.end()) it = table_.try_emplace(Key{object_id, std::string(record.key)}).first;
  auto& versions = it->second;
  // An earlier attempt at rewriting the leaf may have kept it already.
  if (std::any_of(versions.begin(), versions.end(),
                  [&](const KeptVersionPtr& v) { return v->sequence == sequence; })) {
    return;
  }
  versions.push_back(kept);
  versions_.fetch_add(1, std::memory_order_relaxed);
  bytes_.fetch_add(BytesOf(*kept), std::memory_order_relaxed);
  attached.emplace_back(it, sequence);
}

// What was kept for a number that is no longer registered goes, or on to the next lower number that
// needs it. False: that was all.
bool Versions::LetGoSome(uint64_t sequence) {
  constexpr size_t kSome = 512;
  const auto it = attached_.find(sequence);
  if (it == attached_.end()) return false;
  auto& list = it->second;
  std::unique_lock lock(table_mutex_);
  for (size_t n = 0; n < kSome && !list.empty(); n++) {
    const auto [at, version] = list.back();
    list.pop_back();
    const uint64_t lower = NeededBy(version, sequence);
    if (lower == 0) {
      EraseVersion(at, version);
      continue;
    }
    try {
      attached_[lower].emplace_back(at, version);
    } catch (const std::bad_alloc&) {
      // Stays in the table until its object is forgotten: a leak, but a right answer.
    }
  }
  if (!list.empty()) return true;
  attached_.erase(it);
  return false;
}

void Versions::EraseVersion(Table::iterator at, uint64_t sequence) {
  std::erase_if(at->second, [&](const KeptVersionPtr& version) {
    if (version->sequence != sequence) return false;
    versions_.fetch_sub(1, std::memory_order_relaxed);
    bytes_.fetch_sub(BytesOf(*version), std::memory_order_relaxed);
    return true;
  });
  if (at->second.empty()) table_.erase(at);
}

void Versions::ExpireOldest() {
  const uint64_t floor = expired_below_.load(std::memory_order_relaxed);
  const auto it = std::find_if(registered_.begin(), registered_.end(),
                               [&](const Registered& r) { return r.sequence >= floor; });
  assert(it != registered_.end());
  expired_count_ += it->readers;
  expired_below_.store(it->sequence + 1, std::memory_order_release);
  while (LetGoSome(it->sequence)) {
  }
}

Status Versions::CheckExpired(uint64_t sequence) const {
  if (sequence >= expired_below_.load(std::memory_order_acquire)) return Status();
  return Status(Code::kExpired,
                fmt::format("{}: what the snapshot needs had to be given up for want of memory; "
                            "take a new one, or raise version_memory_bytes_max",
                            map_.path()));
}

Result<KeptVersionPtr> Versions::Find(uint32_t object_id, std::string_view key,
                                      uint64_t sequence) const {
  KeptVersionPtr found;
  {
    std::shared_lock lock(table_mutex_);
    const auto it = table_.find(KeyView{object_id, key});
    if (it != table_.end()) {
      for (const KeptVersionPtr& version : it->second) {
        if (version->sequence <= sequence && sequence < version->next) found = version;
      }
    }
  }
  if (Status s = CheckExpired(sequence); !s.ok()) return s;
  return found;
}

Status Versions::FindAll(uint32_t object_id, std::string_view low, const std::string_view* high,
                         uint64_t sequence, std::vector<KeptVersionPtr>* found) const {
  found->clear();
  {
    std::shared_lock lock(table_mutex_);
    for (auto it = table_.lower_bound(KeyView{object_id, low}); it != table_.end(); ++it) {
      if (it->first.object_id != object_id || (high != nullptr && it->first.key >= *high)) break;
      for (const KeptVersionPtr& version : it->second) {
        if (version->sequence <= sequence && sequence < version->next) found->push_back(version);
      }
    }
  }
  return CheckExpired(sequence);
}

void Versions::Forget(uint32_t object_id) {
  std::lock_guard registry_lock(registry_mutex_);
  std::unique_lock lock(table_mutex_);
  const auto first = table_.lower_bound(KeyView{object_id, ""});
  auto last = first;
  for (; last != table_.end() && last->first.object_id == object_id; ++last) {
    for (const KeptVersionPtr& version : last->second) {
      versions_.fetch_sub(1, std::memory_order_relaxed);
      bytes_.fetch_sub(BytesOf(*version), std::memory_order_relaxed);
    }
  }
  for (auto& [sequence, list] : attached_) {
    std::erase_if(list,
                  [&](const auto& entry) { return entry.first->first.object_id == object_id; });
  }
  table_.erase(first, last);
}

}  // namespace tuff
