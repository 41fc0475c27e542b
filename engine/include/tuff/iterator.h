// Iterator: a walk over a store in key order, both ways.
//
// An iterator sees the store as it was at one moment: at the snapshot it was given, or when it was
// made. No later write shows or disturbs it, and it disturbs no writer.
// Ownership: an iterator pins the leaf it stands on; destroy it before Pool::Close.
// Thread-safety: none; use one iterator per thread.
#pragma once

#include <cassert>
#include <memory>
#include <string_view>

#include "tuff/status.h"

namespace tuff {

class Iterator {
 public:
  ~Iterator();
  Iterator(const Iterator&) = delete;
  Iterator& operator=(const Iterator&) = delete;

  /// True while standing on a record. After false, status() tells the end from a failure.
  bool Valid() const { return valid_; }

  void SeekToFirst();
  void SeekToLast();
  /// To the first key at or after `target` (and within the bounds).
  void Seek(std::string_view target);
  /// To the last key at or before `target` (and within the bounds).
  void SeekForPrev(std::string_view target);

  /// REQUIRES: Valid().
  void Next();
  /// REQUIRES: Valid().
  void Prev();

  /// The record's bytes, in the pool itself; they stay as they are until the iterator moves.
  /// REQUIRES: Valid().
  std::string_view key() const {
    assert(valid_);
    return key_;
  }
  std::string_view value() const {
    assert(valid_);
    return value_;
  }

  /// OK, or why the walk stopped (for instance Corruption, with the page-frame number).
  Status status() const;

 private:
  friend class Store;
  class Impl;
  explicit Iterator(std::unique_ptr<Impl> impl);
  template <typename Move>
  void Run(const Move& move);
  std::unique_ptr<Impl> impl_;
  // Where it stands.
  bool valid_ = false;
  std::string_view key_;
  std::string_view value_;
};

}  // namespace tuff
