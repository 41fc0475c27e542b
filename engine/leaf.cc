#include "engine/leaf.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/node_writer.h"

namespace tuff {
namespace {

bool IsZero(const std::byte* from, const std::byte* to) {
  return std::all_of(from, to, [](std::byte b) { return b == std::byte{0}; });
}

uint8_t KeyUnits(size_t key_bytes) { return static_cast<uint8_t>(Pad8(key_bytes) / 8); }
static_assert(kKeySizeMax / 8 <= 255);

}  // namespace

size_t Leaf::TailOffset(size_t i) const {
  return size_t{TailDescriptor(i).tail_offset[i % Descriptor::kTailSlots]} * 8;
}

Result<bool> Leaf::Find(std::string_view key, RecordView* record) const {
  const uint8_t wanted = Fingerprint(key);
  for (size_t i = tail_count(); i-- > 0;) {
    if (TailDescriptor(i).tail_fingerprint[i % Descriptor::kTailSlots] != wanted) continue;
    // A candidate whose key differs is checked as well: its key may be what is damaged.
    if (!ParseRecord(node_.data(), TailOffset(i), node_.bytes(), record) ||
        CandidateIsDamaged(*record)) {
      return NodeDamage(node_.pfn(), fmt::format("logged record {} is damaged", i));
    }
    if (record->key == key) return true;
  }
  bool damaged = false;
  size_t index = 0;
  const bool found = AnyMatch(node_.fingerprints(), node_.count(), wanted, [&](size_t i) {
    index = i;
    if (!node_.BaseRecord(i, record)) return damaged = true;
    if (CandidateIsDamaged(*record)) return damaged = true;
    return record->key == key;
  });
  if (damaged) return NodeDamage(node_.pfn(), fmt::format("base record {} is damaged", index));
  return found;
}

Status Leaf::Gather(size_t tail_count, std::vector<RecordView>* records) const {
  // All of the node will be read, in an order that the processor does not guess.
  for (size_t at = 0; at < node_.bytes(); at += 64) __builtin_prefetch(node_.data() + at);
  // Logged records by key; of one key's, the newest (which is the last) only.
  std::vector<RecordView> log(tail_count);
  for (size_t i = 0; i < tail_count; i++) {
    if (!ParseRecord(node_.data(), TailOffset(i), node_.bytes(), &log[i]) ||
        CandidateIsDamaged(log[i])) {
      return NodeDamage(node_.pfn(), fmt::format("logged record {} is damaged", i));
    }
  }
  std::sort(log.begin(), log.end(), [](const RecordView& a, const RecordView& b) {
    const int order = a.key.compare(b.key);
    return order != 0 ? order < 0 : a.offset > b.offset;
  });
  log.erase(std::unique(log.begin(), log.end(),
                        [](const RecordView& a, const RecordView& b) { return a.key == b.key; }),
            log.end());

  records->clear();
  records->reserve(node_.count() + log.size());
  auto logged = log.begin();
  const auto take_log = [&] {
    if (logged->type() != RecordType::kDelete) records->push_back(*logged);
    ++logged;
  };
  for (size_t i = 0; i < node_.count(); i++) {
    RecordView base;
    if (!node_.BaseRecord(i, &base) || CandidateIsDamaged(base)) {
      return NodeDamage(node_.pfn(), fmt::format("base record {} is damaged", i));
    }
    while (logged != log.end() && logged->key < base.key) take_log();
    if (logged != log.end() && logged->key == base.key) {
      take_log();
    } else {
      records->push_back(base);
    }
  }
  while (logged != log.end()) take_log();
  return Status();
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

bool Leaf::HasRoom(size_t bytes) const {
  return tail_count() < TailSlots(node_.order()) && tail_end() + bytes <= node_.bytes();
}

bool Leaf::HasRoomForPut(size_t key_bytes, size_t bytes) const {
  // And for the fence key of a split behind the last record.
  const size_t longest = std::max(size_t{head_.tail_key_max} * 8, key_bytes);
  const size_t spare = ShrinkRoom(longest, tail_count() + 1) + Pad8(key_bytes) + 8;
  return HasRoom(bytes + spare);
}

void Leaf::Publish(std::string_view key, size_t offset, size_t bytes) {
  const size_t i = head_.tail_count.load(std::memory_order_relaxed);
  Descriptor& descriptor = TailDescriptor(i);
  descriptor.tail_offset[i % Descriptor::kTailSlots] = static_cast<uint16_t>(offset / 8);
  descriptor.tail_fingerprint[i % Descriptor::kTailSlots] = Fingerprint(key);
  head_.tail_key_max = std::max(head_.tail_key_max, KeyUnits(key.size()));
  head_.tail_end = static_cast<uint16_t>((offset + bytes) / 8);
  head_.tail_count.store(static_cast<uint16_t>(i + 1), std::memory_order_release);
  AssertState();
}

void Leaf::AssertState() const {
#ifndef NDEBUG
  assert(head_.latch.IsLocked());  // T4
  assert(tail_count() <= TailSlots(node_.order()));
  assert(tail_end() >= node_.base_end() && tail_end() <= node_.bytes());
  size_t end = node_.base_end();
  for (size_t i = 0; i < tail_count(); i++) {  // T2: records, one behind the other
    RecordView record;
    assert(TailOffset(i) == end);
    assert(ParseRecord(node_.data(), end, node_.bytes(), &record) && node_.Covers(record.key));
    end += record.bytes;
  }
  assert(end == tail_end());
#endif
}

void Leaf::ResetTail(Descriptor& head, const NodeView& node) {
  head.tail_end = node.header().base_end;
  head.tail_key_max = 0;
  RecordView record;
  for (size_t i = 0; node.is_leaf() && i < node.count() && node.BaseRecord(i, &record); i++) {
    head.tail_key_max = std::max(head.tail_key_max, KeyUnits(record.key.size()));
  }
  head.tail_count.store(0, std::memory_order_release);
}

bool Leaf::ValidRecordBehind(size_t offset) const {
  for (size_t at = offset + 8; at + sizeof(RecordHeader) <= node_.bytes(); at += 8) {
    RecordView record;
    if (ParseRecord(node_.data(), at, node_.bytes(), &record) && !CandidateIsDamaged(record)) {
      return true;
    }
  }
  return false;
}

Status Leaf::BuildTail() {
  if (tail_built()) return Status();
  ResetTail(head_, node_);
  const std::byte* const end = node_.data() + node_.bytes();
  size_t at = node_.base_end();
  bool torn = false;
  uint64_t last_sequence = node_.header().sequence_max;
  std::vector<RecordView> records;
  while (!IsZero(node_.data() + at, end)) {
    RecordView record;
    const bool whole = ParseRecord(node_.data(), at, node_.bytes(), &record) &&
                       !CandidateIsDamaged(record) && records.size() < TailSlots(node_.order()) &&
                       SequenceOf(record.sequence_and_type) > last_sequence &&
                       node_.Covers(record.key);
    if (whole) {
      records.push_back(record);
      last_sequence = SequenceOf(record.sequence_and_type);
      at += record.bytes;
      continue;
    }
    // A crash tears the last record only, and only in a pool that has crashed.
    if (!map_.crashed_since_scrub() || ValidRecordBehind(at)) {
      return NodeDamage(node_.pfn(), fmt::format("log is damaged at byte {} of the node", at));
    }
    torn = true;
    break;
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
  for (const RecordView& record : records) Publish(record.key, record.offset, record.bytes);
  head_.Set(Descriptor::kTailBuilt | (torn ? Descriptor::kTornTail : 0));
  map_.counters().Add(Counter::kTailsBuilt);
  return Status();
}

Status Leaf::CutTornTail() {
  if (!head_.Has(Descriptor::kTornTail)) return Status();
  const size_t at = tail_end();
  WriteWindow window(map_.domain());
  window.Zero(OffsetOf(node_.pfn()) + at, node_.bytes() - at);
  CRASH_POINT("tail.5");
  TUFF_FLUSH("tail.6", window, OffsetOf(node_.pfn()) + at, node_.bytes() - at);
  if (Status s = TUFF_FENCE("tail.7", window); !s.ok()) return s;
  CRASH_POINT("tail.8");
  head_.Clear(Descriptor::kTornTail);
  map_.counters().Add(Counter::kTornTailsCut);
  return Status();
}

}  // namespace tuff
