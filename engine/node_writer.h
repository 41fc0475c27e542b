// Writing nodes: what goes into one, how large it gets, and its bytes, in memory beside the pool.
//
// Thread-safety: pure functions.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/node.h"

namespace tuff {

/// What all nodes have: identity and range. The views must outlive the call.
struct NodeIdentity {
  Pfn pfn = 0;
  uint64_t number = 0;
  uint32_t object_id = 0;
  unsigned level = 0;
  unsigned order = 0;
  uint64_t sequence_max = 0;
  std::string_view low;
  std::optional<std::string_view> high;
};

/// A child of an inner node that is to be written. The first one's `low` is the node's.
struct ChildEntry {
  std::string_view low;
  uint64_t word = 0;
};

/// About how many records a leaf is written for, at least: one leaf's change costs as many bytes as
/// it holds, and some fences. Under PAGE each fence is a sync, so leaves are larger.
inline constexpr size_t kRecordsPerLeaf = 16;
inline constexpr size_t kRecordsPerLeafUnderPage = 64;

/// The order of a leaf whose records have `average` bytes.
unsigned LeafOrderFor(size_t average, size_t records_per_leaf = kRecordsPerLeaf);

/// Bytes of a leaf's base, header and all.
size_t LeafBaseBytes(std::span<const RecordView> records, std::string_view low,
                     std::optional<std::string_view> high);
/// Writes a leaf with an empty log into `to` (kFrameSize << order bytes, zeroed here).
void WriteLeaf(std::byte* to, const NodeIdentity& id, std::span<const RecordView> records,
               uint64_t hash_seed);

/// Bytes of an inner node.
size_t InnerBytes(std::span<const ChildEntry> children, std::string_view low,
                  std::optional<std::string_view> high);
/// Writes an inner node into `to` (kFrameSize << order bytes, zeroed here).
void WriteInner(std::byte* to, const NodeIdentity& id, std::span<const ChildEntry> children,
                uint64_t hash_seed);

/// An inner node in which one child has been split, made by copying most of the old node's bytes as
/// they are: what WriteInner would make, without decoding every separator. The old node and the
/// separator must outlive it.
class InnerSplice {
 public:
  /// Child `at` of `old` is to become two; `separator` is the low fence of the second.
  InnerSplice(const NodeView& old, size_t at, std::string_view separator);

  /// False if the old node's bytes lie as no writer of ours lays them, though no check of
  /// VerifyNode minds: then they must not be taken as they are.
  bool possible() const { return possible_; }
  /// Bytes of the new node. REQUIRES: possible().
  size_t bytes() const;
  /// Writes it into `to` (kFrameSize << order bytes). REQUIRES: possible(); `id` has the old node's
  /// range, and an order that holds bytes().
  void Write(std::byte* to, const NodeIdentity& id, uint64_t left, uint64_t right,
             uint64_t hash_seed) const;

 private:
  const NodeView old_;
  const size_t at_;
  std::string_view tail_;  // of the separator, behind the prefix
  size_t text_bytes_ = 0;  // fences and separators' rests of the old node
  bool possible_ = false;
};

/// How a set of sorted records or children is laid into one node or two.
struct NodePlan {
  struct Part {
    size_t first = 0;
    size_t last = 0;  // behind the part's last element
    unsigned order = 0;
  };
  std::vector<Part> parts;
  std::string separator;  // low fence of the second part
};

/// A record of `bytes` bytes that is to be appended under `key` once the leaf is written.
struct PendingRecord {
  std::string_view key;
  size_t bytes = 0;
  bool shrinking = false;  // a delete: the leaf must not grow, for the pool may be full
  /// A batch's: all records that are to be appended, this first one among them, by key. A plan for
  /// them need not make room for all at once: a leaf that is split is planned again.
  std::span<const PendingRecord> group = {};
  size_t records_per_leaf = kRecordsPerLeaf;
};

/// What a leaf with `logged` logged records keeps free of puts, so that it can be rewritten in a
/// node of its own size together with any delete: each logged record may become one of the base,
/// and costs a fingerprint and a slot there. `key_bytes` is the length of its longest key.
constexpr size_t ShrinkRoom(size_t key_bytes, size_t logged) {
  return RecordBytes(key_bytes, 0) + 3 * logged + 16;
}
/// The same, and what the fence key of a split behind the last record takes.
constexpr size_t PutRoom(size_t longest_key, size_t key_bytes, size_t logged) {
  return ShrinkRoom(longest_key, logged) + Pad8(key_bytes) + 8;
}

/// Chooses orders so that about 16 to 32 records fit a leaf, leaving room in the log, for the
/// pending record in any case. A shrinking leaf goes into the smallest node that holds it.
/// Empty parts: nothing fits (an impossible record).
NodePlan PlanLeaf(std::span<const RecordView> records, std::string_view low,
                  std::optional<std::string_view> high, const PendingRecord& pending);
/// The order of an inner node of `bytes` with so many children; none: it must be split.
std::optional<unsigned> InnerOrderFor(size_t bytes, size_t children);
NodePlan PlanInner(std::span<const ChildEntry> children, std::string_view low,
                   std::optional<std::string_view> high);

/// True if the records, in a leaf of their own, would fill little of it: a candidate for merging.
bool LeafIsThin(std::span<const RecordView> records, size_t records_per_leaf = kRecordsPerLeaf);
bool InnerIsThin(std::span<const ChildEntry> children, std::string_view low,
                 std::optional<std::string_view> high);

/// The shortest string above `left` and not above `right`. REQUIRES: left < right.
std::string_view ShortestSeparator(std::string_view left, std::string_view right);

}  // namespace tuff
