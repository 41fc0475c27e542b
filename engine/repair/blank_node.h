// Blanks: a node's bytes without what users have written, and with the same damage.
//
// Values become zeros of the same length, keys stay or become others (key_ranks.h), and checksums
// that were right are made right again. What cannot be decoded is left out: zeros, but for a word
// that keeps a torn or damaged log so.
// Ownership: borrows the ranks. Thread-safety: const functions from any thread.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "engine/node.h"
#include "engine/repair/key_ranks.h"

namespace tuff {

class NodeBlanker {
 public:
  /// What becomes of a value; null: zeros.
  using ValueOf = std::function<std::string(std::string_view key, std::string_view value)>;
  /// `ranks` null: keys stay. `frames`: child words lead to none beyond.
  NodeBlanker(uint64_t hash_seed, uint64_t frames, const KeyRanks* ranks, ValueOf value_of)
      : hash_seed_(hash_seed), frames_(frames), ranks_(ranks), value_of_(std::move(value_of)) {}

  /// Of a node that VerifyNode has said OK of. `withheld` is set if something could not be decoded.
  std::vector<std::byte> Whole(const NodeView& node, bool* withheld) const;
  /// Of one that is damaged: its header if it may be one, and records that are whole.
  std::vector<std::byte> Damaged(const NodeView& node, uint32_t object_id) const;
  /// Blanks what lies from byte `from` to `to` of the node into `copy`, which is as large.
  /// True if all of it was records and zeros. With `mark`, what is not, stays so.
  bool Records(const NodeView& node, size_t from, size_t to, bool mark, std::byte* copy) const;

  /// A child or root word; one that leads nowhere if it leads out of the pool.
  uint64_t ChildWord(uint64_t word) const { return ChildPfn(word) < frames_ ? word : ~0ull; }

  /// Calls use(key) for all keys of a node that Whole and Damaged write.
  static void ForEachKey(const NodeView& node, bool whole, uint64_t hash_seed,
                         const std::function<void(std::string_view)>& use);

 private:
  std::string KeyOf(std::string_view key) const {
    return ranks_ == nullptr ? std::string(key) : ranks_->Of(key);
  }
  void Record(const NodeView& node, const RecordView& record, size_t in_group,
              std::byte* copy) const;
  void Fences(const NodeView& node, std::byte* copy) const;
  void Leaf(const NodeView& node, std::byte* copy) const;
  void Inner(const NodeView& node, std::byte* copy) const;

  const uint64_t hash_seed_;
  const uint64_t frames_;
  const KeyRanks* const ranks_;
  const ValueOf value_of_;
};

}  // namespace tuff
