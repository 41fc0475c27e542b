// Cursor: a walk over a tree in key order; what Iterator is made of.
//
// Holds one leaf at a time, pinned and gathered; never stays inside a read section.
// Thread-safety: none. Ownership: borrows the tree.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/tree.h"
#include "tuff/options.h"

namespace tuff {

class Cursor {
 public:
  Cursor(Tree& tree, const ReadOptions& options);
  ~Cursor() { Release(); }
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  bool Valid() const { return valid_; }
  void SeekToFirst();
  void SeekToLast();
  void Seek(std::string_view target);
  void SeekForPrev(std::string_view target);
  void Next();
  void Prev();
  std::string_view key() const { return records_[index_].key; }
  std::string_view value() const { return records_[index_].value; }
  const Status& status() const { return status_; }

 private:
  /// To the first key at or above `bound`, within the upper bound.
  void Forward(std::string bound);
  /// To the last key below `bound`, within the lower bound.
  void Backward(std::string bound);
  bool LoadLeaf(std::string_view key, SeekTo seek);
  void StandOn(size_t index);
  void Release();

  Tree& tree_;
  std::string lower_;
  std::string upper_;
  bool has_upper_ = false;
  bool empty_range_ = false;
  LeafSnapshot leaf_;
  std::vector<RecordView> records_;
  size_t index_ = 0;
  bool valid_ = false;
  Status status_;
};

}  // namespace tuff
