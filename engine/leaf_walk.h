// LeafWalk: steps through what a reader sees of one leaf, in key order, both ways.
//
// Base and log are merged step by step. The base is verified at once, by its one checksum, at the
// speed of wide vectors; if that is wrong, by each record's when it is come to, so that a walk gets
// as far as it can. Such a walk ends with Corruption in any case: what is damaged may be what says
// how many records there are.
//
// Ownership: none; the leaf must stay pinned. Thread-safety: none.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "engine/leaf.h"

namespace tuff {

class LeafWalk {
 public:
  /// Of the leaf's first `tail_count` logged records, those at or below `sequence`; of its base,
  /// everything. Errors: Corruption (a logged record).
  Status Load(PageMap& map, const NodeView& node, size_t tail_count, uint64_t sequence);
  /// Of records that were gathered otherwise: by key, one for each.
  void Load(std::vector<RecordView> records);
  void Clear();

  bool Valid() const { return at_ != At::kNowhere; }
  /// REQUIRES: Valid().
  const RecordView& record() const { return at_ == At::kBase ? base_ : *log_[log_at_].record; }

  // After a move it is not Valid() at the end of the leaf, and at a damaged record: status() tells.

  void SeekToFirst() {
    base_at_ = log_at_ = 0;
    SettleForward();
  }
  void SeekToLast() {
    base_at_ = base_count_;
    log_at_ = log_.size();
    SettleBackward();
  }
  /// To the first key at or above `bound`.
  void SeekTo(std::string_view bound) {
    if (FindPlace(bound)) SettleForward();
  }
  /// To the last key below `bound`.
  void SeekBefore(std::string_view bound) {
    if (FindPlace(bound)) SettleBackward();
  }
  /// REQUIRES: Valid().
  void Next() {
    StepOver();
    SettleForward();
  }
  void Prev() { SettleBackward(); }
  const Status& status() const { return status_; }

 private:
  // Where the present record lies; kBoth: in the log, and an older one in the base.
  enum class At : uint8_t { kNowhere, kBase, kLog, kBoth };

  bool ReadBase(size_t i);
  bool ReadDamagedBase(size_t i);
  void End();
  int CompareBaseWith(const SortedLog& logged) const {
    if (base_head_ != logged.head) return base_head_ < logged.head ? -1 : 1;
    return base_.key.compare(logged.record->key);
  }
  bool FindPlace(std::string_view bound);
  void SettleForward();
  void SettleBackward();
  void StepOver() {
    if (at_ != At::kLog) base_at_++;
    if (at_ != At::kBase) log_at_++;
  }

  std::optional<Leaf> leaf_;  // of the base
  size_t base_count_ = 0;
  bool base_is_whole_ = false;
  std::vector<RecordView> records_;  // of the log, verified
  std::vector<SortedLog> log_;       // of those, what can be seen; deletes among them
  size_t base_at_ = 0;               // the first in the base that is not below the present record
  size_t log_at_ = 0;                // the same in the log
  At at_ = At::kNowhere;
  RecordView base_;  // base record base_read_, verified
  uint64_t base_head_ = 0;
  size_t base_read_ = SIZE_MAX;
  Status status_;
};

}  // namespace tuff
