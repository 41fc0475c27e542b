#include "engine/cursor.h"

#include <algorithm>

namespace tuff {
namespace {

// The smallest string above all that begin with `prefix`; empty: there is none.
std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

}  // namespace

Cursor::Cursor(Tree& tree, const ReadOptions& options, uint64_t sequence)
    : tree_(tree), sequence_(sequence) {
  lower_ = options.lower_bound.value_or("");
  has_upper_ = options.upper_bound.has_value();
  upper_ = options.upper_bound.value_or("");
  if (options.prefix) {
    lower_ = std::max(lower_, *options.prefix);
    const std::string end = PrefixEnd(*options.prefix);
    if (!end.empty() && (!has_upper_ || end < upper_)) {
      upper_ = end;
      has_upper_ = true;
    }
  }
  empty_range_ = has_upper_ && upper_ <= lower_;
}

void Cursor::Release() {
  if (leaf_.node.data() == nullptr) return;
  tree_.Unpin(leaf_.node.pfn());
  leaf_.node = NodeView();
  walk_.Clear();
  kept_.clear();
}

Status Cursor::LoadWalk() {
  const NodeView& node = leaf_.node;
  if (tree_.versions() == nullptr ||
      (sequence_ >= node.header().sequence_max && sequence_ >= tree_.filled_at())) {
    return walk_.Load(tree_.map(), node, leaf_.tail_count, sequence_);
  }
  // Rewritten since: what is not in the leaf any more may be kept.
  std::vector<RecordView> records;
  Status s = GatherWithKept(&records);
  if (s.ok()) walk_.Load(std::move(records));
  return s;
}

Status Cursor::GatherWithKept(std::vector<RecordView>* records) {
  const NodeView& node = leaf_.node;
  const Leaf leaf(tree_.map(), node);
  std::vector<RecordView> seen;  // deletes, too: they hide what is kept
  if (Status s = leaf.GatherAt(leaf_.tail_count, sequence_, true, &seen); !s.ok()) return s;
  if (sequence_ < tree_.filled_at()) seen.clear();
  const std::string_view high = node.high();
  Status s = tree_.versions()->FindAll(tree_.object_id(), node.low(),
                                       node.has_high() ? &high : nullptr, sequence_, &kept_);
  if (!s.ok()) return s;
  records->reserve(seen.size() + kept_.size());
  auto from_leaf = seen.begin();
  const auto take = [&] {
    if (from_leaf->type() != RecordType::kDelete) records->push_back(*from_leaf);
    ++from_leaf;
  };
  for (const KeptVersionPtr& kept : kept_) {
    while (from_leaf != seen.end() && from_leaf->key < kept->key) take();
    if (from_leaf != seen.end() && from_leaf->key == kept->key) continue;  // newer
    RecordView record;
    record.key = kept->key;
    record.value = kept->value;
    record.sequence_and_type = PackSequence(kept->sequence, RecordType::kPut);
    records->push_back(record);
  }
  while (from_leaf != seen.end()) take();
  return Status();
}

// Takes hold of the leaf that a descent ends in. False: none, or status_ says why.
bool Cursor::LoadLeaf(std::string_view key, SeekTo seek) {
  Release();
  valid_ = false;
  status_ = tree_.PinLeaf(key, seek, &leaf_);
  if (!status_.ok() || leaf_.node.data() == nullptr) return false;
  const NodeView& node = leaf_.node;
  if (!TUFF_CHECK(
          "scan.range",
          node.IsRightFor(key, seek == SeekTo::kBefore))) {  // or the walk might not come to an end
    status_ = OfAnotherRange(node);
    return false;
  }
  within_bounds_ =
      node.low() >= lower_ && (!has_upper_ || (node.has_high() && node.high() <= upper_));
  status_ = LoadWalk();
  if (status_.ok() && leaf_.beside != 0) tree_.PrefetchNode(leaf_.beside, leaf_.lines);
  return status_.ok();
}

void Cursor::Forward(std::string_view bound) {
  valid_ = false;
  bound_ = bound;
  while (!empty_range_ && (!has_upper_ || bound_ < upper_) && LoadLeaf(bound_, SeekTo::kAt)) {
    bound_ <= leaf_.node.low() ? walk_.SeekToFirst() : walk_.SeekTo(bound_);
    if (walk_.Valid()) return Stand();
    if (!CheckWalk()) return;
    if (!leaf_.node.has_high()) return;
    bound_ = leaf_.node.high();
  }
}

void Cursor::Backward(std::string_view bound) {
  valid_ = false;
  bound_ = bound;
  while (!empty_range_ && bound_ > lower_ && LoadLeaf(bound_, SeekTo::kBefore)) {
    const NodeView& node = leaf_.node;
    node.has_high() && bound_ >= node.high() ? walk_.SeekToLast() : walk_.SeekBefore(bound_);
    if (walk_.Valid()) return Stand();
    if (!CheckWalk()) return;
    bound_ = node.low();
  }
}

void Cursor::Seek(std::string_view target) {
  leaf_.place = ParentSlot();
  Forward(std::max(std::string_view(lower_), target));
}

void Cursor::SeekToFirst() { Seek(lower_); }

void Cursor::SeekToLast() {
  leaf_.place = ParentSlot();
  // Above every key there can be.
  const std::string above_all(kKeySizeMax + 1, '\xff');
  Backward(has_upper_ ? upper_ : above_all);
}

void Cursor::SeekForPrev(std::string_view target) {
  leaf_.place = ParentSlot();
  // The last key at or before the target is the last one below its successor.
  std::string bound(target);
  bound.push_back('\0');
  if (has_upper_ && upper_ < bound) bound = upper_;
  Backward(bound);
}

// Why the walk has come to an end: false if a record is damaged.
bool Cursor::CheckWalk() {
  status_ = walk_.status();
  return status_.ok();
}

void Cursor::NextLeaf() {
  valid_ = false;
  if (CheckWalk() && leaf_.node.has_high()) Forward(leaf_.node.high());
}

void Cursor::PreviousLeaf() {
  valid_ = false;
  if (CheckWalk()) Backward(leaf_.node.low());
}

}  // namespace tuff
