#include "engine/leaf_walk.h"

#include <algorithm>

namespace tuff {

Status LeafWalk::Load(PageMap& map, const NodeView& node, size_t tail_count, uint64_t sequence) {
  Clear();
  leaf_.emplace(map, node);
  base_count_ = node.count();
  base_is_whole_ = leaf_->BaseIsWhole();
  return leaf_->GatherLog(tail_count, sequence, &records_, &log_);
}

void LeafWalk::Load(std::vector<RecordView> records) {
  Clear();
  records_ = std::move(records);
  log_.reserve(records_.size());
  for (const RecordView& record : records_) log_.push_back({KeyHead(record.key), &record});
}

void LeafWalk::Clear() {
  leaf_.reset();
  base_count_ = 0;
  log_.clear();
  at_ = At::kNowhere;
  base_read_ = SIZE_MAX;
  if (!status_.ok()) status_ = Status();
}

// Of a base that is not whole. A slot may lead to another record than its own, and then to one that
// is out of order.
bool LeafWalk::ReadDamagedBase(size_t i) {
  RecordView beside;
  if (!leaf_->ReadBase(i, &base_)) return false;
  const bool after = i == 0 || !leaf_->ReadBase(i - 1, &beside) || beside.key < base_.key;
  return TUFF_CHECK("walk.order",
                    after && (i + 1 >= base_count_ || !leaf_->ReadBase(i + 1, &beside) ||
                              base_.key < beside.key));
}

// Nothing is left in this direction.
void LeafWalk::End() {
  if (leaf_ && !base_is_whole_)
    status_ = NodeDamage(leaf_->node().pfn(), "node has a wrong checksum");
}

// False, and nowhere to stand, if it is damaged.
inline bool LeafWalk::ReadBase(size_t i) {
  if (base_read_ == i) return true;
  const NodeView& node = leaf_->node();
  if (base_is_whole_ ? ParseRecord(node.data(), node.RecordOffset(i), node.base_end(), &base_)
                     : ReadDamagedBase(i)) [[likely]] {
    base_read_ = i;
    base_head_ = KeyHead(base_.key);
    return true;
  }
  base_read_ = SIZE_MAX;
  at_ = At::kNowhere;
  status_ = leaf_->DamagedBase(i);
  return false;
}

bool LeafWalk::FindPlace(std::string_view bound) {
  const auto below = [](const RecordView& record, std::string_view key) {
    return CompareKeys(record.key, key) < 0;
  };
  const auto log_below = [&](const SortedLog& logged, std::string_view key) {
    return below(*logged.record, key);
  };
  log_at_ = static_cast<size_t>(std::lower_bound(log_.begin(), log_.end(), bound, log_below) -
                                log_.begin());
  base_at_ = 0;
  for (size_t end = base_count_; base_at_ < end;) {
    const size_t middle = (base_at_ + end) / 2;
    if (!ReadBase(middle)) return false;
    if (below(base_, bound)) {
      base_at_ = middle + 1;
    } else {
      end = middle;
    }
  }
  return true;
}

// To the first record from the two places on that is not deleted.
void LeafWalk::SettleForward() {
  for (;; StepOver()) {
    const bool in_base = base_at_ < base_count_;
    const bool in_log = log_at_ < log_.size();
    at_ = At::kNowhere;
    if (!in_base && !in_log) return End();
    if (in_base && !ReadBase(base_at_)) return;
    const int order = !in_base ? 1 : !in_log ? -1 : CompareBaseWith(log_[log_at_]);
    at_ = order < 0 ? At::kBase : order > 0 ? At::kLog : At::kBoth;
    if (record().type() != RecordType::kDelete) return;
  }
}

// To the last record in front of the two places that is not deleted.
void LeafWalk::SettleBackward() {
  do {
    const bool in_base = base_at_ > 0;
    const bool in_log = log_at_ > 0;
    at_ = At::kNowhere;
    if (!in_base && !in_log) return End();
    if (in_base && !ReadBase(base_at_ - 1)) return;
    const int order = !in_base ? -1 : !in_log ? 1 : CompareBaseWith(log_[log_at_ - 1]);
    if (order >= 0) base_at_--;
    if (order <= 0) log_at_--;
    at_ = order > 0 ? At::kBase : order < 0 ? At::kLog : At::kBoth;
  } while (record().type() == RecordType::kDelete);
}

}  // namespace tuff
