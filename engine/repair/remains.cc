#include "engine/repair/remains.h"

#include <algorithm>

#include "engine/leaf.h"
#include "engine/log_walk.h"

namespace tuff {
namespace {

// Steps through bytes that hold records and damage.
class Rummage {
 public:
  Rummage(const NodeView& node, uint64_t hash_seed, std::vector<RecordView>* records)
      : node_(node), hash_seed_(hash_seed), records_(records) {}

  // Takes every valid record from byte `at` on. With `crashed`, those of a group that is not whole,
  // and that nothing valid follows, were torn: they never were.
  void Take(size_t at, bool crashed) {
    while (at + sizeof(RecordHeader) <= node_.bytes()) {
      size_t bytes = 0;
      RecordView record;
      if (FindGroup(node_.data(), at, node_.bytes(), Seed(at), &bytes)) {
        TakeGroup(at + kGroupBytes, at + kGroupBytes + bytes);
        at += kGroupBytes + bytes;
        believed_ = records_->size();
      } else if (ReadRecord(node_.data(), at, node_.bytes(), Seed(at), &record)) {
        records_->push_back(record);
        at += record.bytes;
        believed_ = records_->size();
      } else if (ReadRecord(node_.data(), at, node_.bytes(), Seed(at + kInGroup), &record)) {
        records_->push_back(record);
        at += record.bytes;
      } else {
        at += 8;
      }
    }
    if (crashed) records_->resize(std::max(believed_, first_));
  }

 private:
  uint64_t Seed(size_t at) const { return RecordSeed(hash_seed_, node_.number(), at); }

  // Of a group whose checksum is right.
  void TakeGroup(size_t at, size_t end) {
    RecordView record;
    while (at < end && ParseRecord(node_.data(), at, end, &record) &&
           VerifyRecord(record, Seed(at + kInGroup))) {
      records_->push_back(record);
      at += record.bytes;
    }
  }

  const NodeView& node_;
  const uint64_t hash_seed_;
  std::vector<RecordView>* const records_;
  const size_t first_ = records_->size();
  size_t believed_ = 0;  // records that are no part of a broken group, or have a valid one behind
};

// Later in the node is newer: the log lies behind the base.
void KeepNewest(std::vector<RecordView>* records) {
  std::sort(records->begin(), records->end(), [](const RecordView& a, const RecordView& b) {
    const int order = CompareKeys(a.key, b.key);
    return order != 0 ? order < 0 : a.offset > b.offset;
  });
  const auto same = [](const RecordView& a, const RecordView& b) { return a.key == b.key; };
  records->erase(std::unique(records->begin(), records->end(), same), records->end());
}

}  // namespace

Remains ReadWholeLeaf(const NodeView& node, uint64_t hash_seed, bool crashed) {
  Remains remains;
  remains.all_of_base = true;
  std::vector<RecordView>& records = remains.records;
  for (size_t i = 0; i < node.count(); i++) {
    RecordView record;
    if (node.BaseRecord(i, &record)) records.push_back(record);
  }
  std::vector<LogRecord> logged;
  const size_t end = WalkLog(node, hash_seed, TailSlots(node.order()), &logged);
  for (const LogRecord& one : logged) records.push_back(one.record);
  if (!IsZeroFrom(node, end) && (!crashed || ValidRecordBehind(node, hash_seed, end))) {
    remains.log_is_damaged = true;
    Rummage(node, hash_seed, &records).Take(end, crashed);
    std::erase_if(records, [&](const RecordView& record) { return !node.Covers(record.key); });
  }
  KeepNewest(&records);
  return remains;
}

Remains ReadDamagedLeaf(const NodeView& node, uint64_t hash_seed, bool crashed) {
  Remains remains;
  Rummage(node, hash_seed, &remains.records).Take(sizeof(NodeHeader), crashed);
  const auto in_base =
      std::count_if(remains.records.begin(), remains.records.end(),
                    [&](const RecordView& record) { return record.offset < node.base_end(); });
  remains.all_of_base = in_base > 0 && static_cast<size_t>(in_base) == node.count();
  KeepNewest(&remains.records);
  return remains;
}

}  // namespace tuff
