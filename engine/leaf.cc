#include "engine/leaf.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/log_walk.h"
#include "engine/node_writer.h"

namespace tuff {
namespace {

uint8_t KeyUnits(size_t key_bytes) { return static_cast<uint8_t>(Pad8(key_bytes) / 8); }
static_assert(kKeySizeMax / 8 <= 255);

}  // namespace

size_t Leaf::TailOffset(size_t i) const {
  const size_t entry = TailDescriptor(i).tail_offset[i % Descriptor::kTailSlots];
  return (entry & (Descriptor::kTailInGroup - 1u)) * 8;
}

bool Leaf::LoggedRecord(size_t i, RecordView* record) const {
  const uint16_t entry = TailDescriptor(i).tail_offset[i % Descriptor::kTailSlots];
  const size_t offset = (entry & (Descriptor::kTailInGroup - 1u)) * 8;
  const bool in_group = (entry & Descriptor::kTailInGroup) != 0;
  return TUFF_CHECK("log.record", ReadRecord(node_.data(), offset, node_.bytes(),
                                             SeedAt(offset + (in_group ? kInGroup : 0)), record));
}

bool Leaf::ReadBase(size_t i, RecordView* record) const {
  const size_t at = node_.RecordOffset(i);
  return TUFF_CHECK("base.record",
                    ReadRecord(node_.data(), at, node_.base_end(), SeedAt(at), record));
}

bool Leaf::MayPass() { return TUFF_CHECK("find.base", false); }

void Leaf::Prefetch(std::string_view key) const {
  const uint8_t wanted = Fingerprint(key);
  for (size_t i = tail_count(); i-- > 0;) {
    if (TailDescriptor(i).tail_fingerprint[i % Descriptor::kTailSlots] != wanted) continue;
    const std::byte* at = node_.data() + TailOffset(i);
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64);
  }
  AnyMatch(node_.fingerprints(), node_.count(), wanted, [&](size_t i) {
    const std::byte* at = node_.data() + node_.RecordOffset(i);
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64);
    return false;
  });
}

Status Leaf::DamagedLog(size_t i) const {
  return NodeDamage(node_.pfn(), fmt::format("logged record {} is damaged", i));
}

Status Leaf::DamagedBase(size_t i) const {
  return NodeDamage(node_.pfn(), fmt::format("base record {} is damaged", i));
}

// Reads the logged records, and sorts them.
Status Leaf::SortLog(size_t tail_count, std::vector<RecordView>* records,
                     std::vector<SortedLog>* sorted) const {
  assert(tail_count <= kTailSlotsMax);
  if (records->size() < tail_count) records->resize(tail_count);
  sorted->clear();
  sorted->reserve(tail_count);
  for (size_t i = 0; i < tail_count; i++) {
    RecordView& record = (*records)[i];
    if (!LoggedRecord(i, &record)) return DamagedLog(i);
    sorted->push_back({KeyHead(record.key), &record});
  }
  std::sort(sorted->begin(), sorted->end());
  return Status();
}

Status Leaf::GatherLog(size_t tail_count, uint64_t sequence, std::vector<RecordView>* records,
                       std::vector<SortedLog>* sorted) const {
  if (Status s = SortLog(tail_count, records, sorted); !s.ok()) return s;
  if (sequence != ~0ull) {
    std::erase_if(*sorted, [&](const SortedLog& logged) {
      return SequenceOf(logged.record->sequence_and_type) > sequence;
    });
  }
  const auto same_key = [](const SortedLog& a, const SortedLog& b) {
    return a.head == b.head && a.record->key == b.record->key;
  };
  sorted->erase(std::unique(sorted->begin(), sorted->end(), same_key), sorted->end());
  return Status();
}

bool Leaf::BaseIsWhole() const {
  return TUFF_CHECK("base.whole", NodeIsWhole(node_, map_.hash_seed()));
}

// A header damaged since the mount might name fewer records than there are.
Status Leaf::CheckBase() const {
  return BaseIsWhole() ? Status() : NodeDamage(node_.pfn(), "node has a wrong checksum");
}

Status Leaf::GatherAll(size_t tail_count, std::vector<RecordView>* records) const {
  std::vector<RecordView> log;
  std::vector<SortedLog> sorted;
  if (Status s = SortLog(tail_count, &log, &sorted); !s.ok()) return s;
  records->clear();
  records->reserve(node_.count() + tail_count);
  auto logged = sorted.begin();
  for (size_t i = 0; i < node_.count(); i++) {
    RecordView base;
    if (!ReadBase(i, &base)) return DamagedBase(i);
    for (; logged != sorted.end() && CompareKeys(logged->record->key, base.key) <= 0; ++logged) {
      records->push_back(*logged->record);
    }
    records->push_back(base);
  }
  for (; logged != sorted.end(); ++logged) records->push_back(*logged->record);
  return CheckBase();
}

Status Leaf::GatherAt(size_t tail_count, uint64_t sequence, bool with_deletes,
                      std::vector<RecordView>* records) const {
  // All of the node will be read, in an order that the processor does not guess.
  const size_t end = std::min(tail_end_hint() + 192, node_.bytes());
  for (size_t at = 0; at < end; at += 64) __builtin_prefetch(node_.data() + at);
  std::vector<RecordView> log;
  std::vector<SortedLog> sorted;
  if (Status s = GatherLog(tail_count, sequence, &log, &sorted); !s.ok()) return s;
  records->clear();
  records->reserve(node_.count() + tail_count);
  const auto take = [&](const RecordView& record) {
    if (with_deletes || record.type() != RecordType::kDelete) records->push_back(record);
  };
  auto logged = sorted.begin();
  for (size_t i = 0; i < node_.count(); i++) {
    RecordView base;
    if (!ReadBase(i, &base)) return DamagedBase(i);
    const uint64_t head = KeyHead(base.key);
    int order = 1;  // of the log's next key against this one
    for (; logged != sorted.end(); ++logged) {
      order = logged->head < head   ? -1
              : logged->head > head ? 1
                                    : logged->record->key.compare(base.key);
      if (order >= 0) break;
      take(*logged->record);
    }
    const bool newer = logged != sorted.end() && order == 0;
    if (!newer && SequenceOf(base.sequence_and_type) <= sequence) take(base);
  }
  for (; logged != sorted.end(); ++logged) take(*logged->record);
  return CheckBase();
}

uint64_t Leaf::SequenceMax() const {
  uint64_t max = node_.header().sequence_max;
  const size_t n = tail_count();
  if (n == 0) return max;
  RecordView last;  // numbers grow along the log
  if (ParseRecord(node_.data(), TailOffset(n - 1), node_.bytes(), &last)) {
    max = std::max(max, SequenceOf(last.sequence_and_type));
  }
  return max;
}

bool Leaf::HasRoom(size_t bytes, size_t records) const {
  return tail_count() + records <= TailSlots(node_.order()) && tail_end() + bytes <= node_.bytes();
}

bool Leaf::HasRoomForPut(size_t key_bytes, size_t bytes, size_t records) const {
  const size_t longest = std::max(size_t{head_.tail_key_max} * 8, key_bytes);
  return HasRoom(bytes + PutRoom(longest, key_bytes, tail_count() + records), records);
}

void Leaf::Publish(std::string_view key, size_t offset, size_t bytes, bool in_group) {
  const size_t i = head_.tail_count.load(std::memory_order_relaxed);
  Descriptor& descriptor = TailDescriptor(i);
  head_.tail_key_max = std::max(head_.tail_key_max, KeyUnits(key.size()));
  head_.tail_end = static_cast<uint16_t>((offset + bytes) / 8);
  InOrder(
      TUFF_IN_ORDER("tail.order"),
      [&] {
        descriptor.tail_offset[i % Descriptor::kTailSlots] =
            static_cast<uint16_t>(offset / 8 | (in_group ? Descriptor::kTailInGroup : 0u));
        descriptor.tail_fingerprint[i % Descriptor::kTailSlots] = Fingerprint(key);
      },
      [&] { head_.tail_count.store(static_cast<uint16_t>(i + 1), std::memory_order_release); });
  AssertState();
}

void Leaf::AssertState() const {
#ifndef NDEBUG
  assert(head_.latch.IsLocked());  // T4
  assert(tail_count() <= TailSlots(node_.order()));
  assert(tail_end() <= node_.bytes());
  size_t end = node_.base_end();
  bool in_place = tail_end() >= end;
  for (size_t i = 0; i < tail_count() && in_place; i++) {  // T2: records, one behind the other
    RecordView record;
    if (TailOffset(i) == end + kGroupBytes) end += kGroupBytes;
    in_place = TailOffset(i) == end && ParseRecord(node_.data(), end, node_.bytes(), &record) &&
               node_.Covers(record.key);
    end += in_place ? record.bytes : 0;
  }
  assert((in_place && end == tail_end()) || IsDamaged());
#endif
}

#ifndef NDEBUG
// The medium's bytes may have been damaged since they were checked, which is no mistake of ours.
bool Leaf::IsDamaged() const {
  if (!BaseIsWhole()) return true;
  for (size_t i = 0; i < tail_count(); i++) {
    RecordView record;
    if (!LoggedRecord(i, &record)) return true;
  }
  return false;
}
#endif

void Leaf::ResetTail(Descriptor& head, size_t base_end, size_t key_bytes) {
  head.tail_end = static_cast<uint16_t>(base_end / 8);
  head.tail_key_max = KeyUnits(key_bytes);
  if (TUFF_ZERO("tail.reset")) head.tail_count.store(0, std::memory_order_release);
}

Status Leaf::BuildTail() {
  if (tail_built()) return Status();
  size_t longest_key = 0;
  RecordView base;
  for (size_t i = 0; i < node_.count() && node_.BaseRecord(i, &base); i++) {
    longest_key = std::max(longest_key, base.key.size());
  }
  ResetTail(head_, node_.base_end(), longest_key);
  std::vector<LogRecord> records;
  const size_t at = WalkLog(node_, map_.hash_seed(), TailSlots(node_.order()), &records);
  const bool torn = !IsZeroFrom(node_, at);
  // A crash tears the last record only, and only in a pool that has crashed.
  if (torn && (!TUFF_CHECK("log.crashed", map_.crashed_since_scrub()) ||
               !TUFF_CHECK("log.behind", !ValidRecordBehind(node_, map_.hash_seed(), at)))) {
    return NodeDamage(node_.pfn(), fmt::format("log is damaged at byte {} of the node", at));
  }
  if (map_.crashed_since_scrub() && !map_.read_only() && !records.empty() &&
      map_.domain().medium().granularity() != Granularity::kPage) {
    // A killed process leaves valid bytes that are only in the cache (I3), and the mounts since
    // then may not have looked here. Under PAGE the first of them has synced all.
    SEQUENCE_POINT("tail.1");
    WriteWindow window(map_.domain());
    TUFF_FLUSH("tail.2", window, OffsetOf(node_.pfn()) + node_.base_end(), at - node_.base_end());
    if (Status s = TUFF_FENCE("tail.3", window); !s.ok()) return s;
    CRASH_POINT("tail.4");
  }
  for (const auto& [record, in_group] : records) {
    Publish(record.key, record.offset, record.bytes, in_group);
  }
  head_.Set(Descriptor::kTailBuilt | (torn ? Descriptor::kTornTail : 0));
  map_.counters().Add(Counter::kTailsBuilt);
  return Status();
}

Status Leaf::CutTornTail() {
  if (!head_.Has(Descriptor::kTornTail)) return Status();
  const size_t at = tail_end();
  WriteWindow window(map_.domain());
  if (TUFF_ZERO("tail.zero")) window.Zero(OffsetOf(node_.pfn()) + at, node_.bytes() - at);
  CRASH_POINT("tail.5");
  TUFF_FLUSH("tail.6", window, OffsetOf(node_.pfn()) + at, node_.bytes() - at);
  if (Status s = TUFF_FENCE("tail.7", window); !s.ok()) return s;
  CRASH_POINT("tail.8");
  head_.Clear(Descriptor::kTornTail);
  map_.counters().Add(Counter::kTornTailsCut);
  return Status();
}

}  // namespace tuff
