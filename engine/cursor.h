// Cursor: a walk over a tree in key order; what Iterator is made of.
//
// Holds one leaf at a time, pinned and gathered; never stays inside a read section.
// Thread-safety: none. Ownership: borrows the tree.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/leaf_walk.h"
#include "engine/tree.h"
#include "tuff/options.h"

namespace tuff {

class Cursor {
 public:
  /// Sees the tree at `sequence`, which must stay registered; or, with kNewest, each leaf at the
  /// moment when it comes to it.
  Cursor(Tree& tree, const ReadOptions& options, uint64_t sequence = kNewest);
  ~Cursor() { Release(); }
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  bool Valid() const { return valid_; }
  void SeekToFirst();
  void SeekToLast();
  void Seek(std::string_view target);
  void SeekForPrev(std::string_view target);
  void Next() {
    walk_.Next();
    if (walk_.Valid()) [[likely]]
      return Stand();
    NextLeaf();
  }
  void Prev() {
    walk_.Prev();
    if (walk_.Valid()) [[likely]]
      return Stand();
    PreviousLeaf();
  }
  std::string_view key() const { return walk_.record().key; }
  std::string_view value() const { return walk_.record().value; }
  const Status& status() const { return status_; }

 private:
  /// To the first key at or above `bound`, within the upper bound.
  void Forward(std::string_view bound);
  /// To the last key below `bound`, within the lower bound.
  void Backward(std::string_view bound);
  bool LoadLeaf(std::string_view key, SeekTo seek);
  bool CheckWalk();
  void NextLeaf();
  void PreviousLeaf();
  Status LoadWalk();
  Status GatherWithKept(std::vector<RecordView>* records);
  /// Where the walk stands is where the cursor stands, if that is within the bounds.
  void Stand() { valid_ = within_bounds_ || IsWithinBounds(walk_.record().key); }
  bool IsWithinBounds(std::string_view key) const {
    return key >= lower_ && (!has_upper_ || key < upper_);
  }
  void Release();

  Tree& tree_;
  const uint64_t sequence_;
  std::string lower_;
  std::string upper_;
  bool has_upper_ = false;
  bool empty_range_ = false;
  LeafSnapshot leaf_;
  std::vector<KeptVersionPtr> kept_;  // what walk_ goes over beside the leaf's
  LeafWalk walk_;                     // over leaf_
  bool within_bounds_ = false;        // all of leaf_
  bool valid_ = false;
  std::string bound_;  // of the seek under way
  Status status_;
};

}  // namespace tuff
