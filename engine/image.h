// PoolImage: a pool's file as it lies there, damaged or not, for who looks at it from outside.
//
// Believes nothing: what a superblock should tell, and neither copy does, is found again from the
// frames (the size from the file's, the hash seed from the checksums of the nodes). The file is
// mapped read-only; changes go into an overlay (PersistDomain::BeginOverlay), never into the file.
//
// Ownership: owns the mapping, the file descriptor and its lock. Thread-safety: const functions
// from any thread.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "engine/node.h"
#include "pagemap/frame_format.h"
#include "pagemap/pool_file.h"
#include "pagemap/superblock_format.h"
#include "pagemap/window.h"

namespace tuff {

class PoolImage {
 public:
  struct Options {
    /// Also of a pool that another process writes: what is seen is a moment's view, and may look
    /// damaged where it changes.
    bool also_in_use = false;
    /// Locks it as a writer does, so that the overlay can be written into the file.
    bool for_repair = false;
    /// A truncated pool as long as it was: where the file ends, zeros. Not if less than a 64th of
    /// it is left, for then the superblock may lie.
    bool padded = false;
  };
  /// Errors: NotFound, Permission, Io; Locked (in use); NotSupported (a later format, or, for
  /// repair, features that this tuff can only read); Corruption: not a pool, for the file is too
  /// short, or neither superblocks nor nodes are found in it.
  static Result<std::unique_ptr<PoolImage>> Open(const std::string& path, const Options& options);

  PersistDomain& domain() { return *domain_; }
  const std::byte* base() const { return domain_->base(); }
  const Medium& medium() const { return domain_->medium(); }
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  uint64_t file_bytes() const { return file_bytes_; }
  bool in_use() const { return in_use_; }

  /// The copy that counts; of a pool without one, what could be found out, the rest 0.
  const Superblock& superblock() const { return superblock_; }
  /// Copy 0 or 1 as it lies there.
  Superblock Copy(int copy) const;
  /// What is wrong with a copy.
  const Status& copy_status(int copy) const { return copy_status_[copy]; }
  /// Number of the copy that counts; -1: neither does.
  int best_copy() const { return best_copy_; }
  bool guessed() const { return best_copy_ < 0; }
  uint64_t hash_seed() const { return superblock_.hash_seed; }

  /// Frames that are there to be looked at; of a truncated pool that is not padded, less than the
  /// superblock says.
  uint64_t frames() const { return frames_; }
  bool truncated() const { return file_bytes_ < OffsetOf(superblock_.frames); }
  bool padded() const { return truncated() && frames_ == superblock_.frames; }
  /// True if all frames of the run are there, and none is one of the pool's tables.
  bool Holds(Pfn pfn, unsigned order) const {
    return pfn < frames_ && !IsReserved(pfn) && (1ull << order) <= frames_ - pfn;
  }
  /// REQUIRES: Holds(pfn, 0).
  uint64_t OwnerWordAt(Pfn pfn) const { return Load64(base() + OwnerWordOffset(pfn)); }
  /// Calls use(pfn, word) for each owner word of a section that is not 0, in order, valid or not.
  /// What was never written of a sparse file is not touched.
  template <typename Use>
  void ForEachOwnerWord(uint64_t section, const Use& use) const {
    const Pfn start = SectionStart(section);
    const uint64_t table = OffsetOf(FrameTablePfn(section));
    const uint64_t end = table + 8 * std::min(kSectionFrames, frames_ - start);
    for (uint64_t at = table; at < end;) {
      const Medium::Extent hole = medium().FindHole(at / kFrameSize * kFrameSize, end);
      for (; at < std::min(hole.start, end); at += 8) {
        const uint64_t word = Load64(base() + at);
        if (word != 0) use(start + (at - table) / 8, word);
      }
      at = std::max(at, hole.end);
    }
  }
  /// REQUIRES: Holds(pfn, order), and order <= kNodeOrderMax.
  NodeView NodeAt(Pfn pfn, unsigned order) const {
    return NodeView(base() + OffsetOf(pfn), pfn, order);
  }

 private:
  PoolImage() = default;
  Status Map(uint64_t padded_bytes);
  void ChooseCopy();
  Status Guess();

  std::string path_;
  FileDescriptor fd_;
  bool in_use_ = false;
  uint64_t file_bytes_ = 0;
  uint64_t frames_ = 0;
  std::unique_ptr<PersistDomain> domain_;
  Superblock superblock_{};
  Status copy_status_[2];
  int best_copy_ = -1;
};

}  // namespace tuff
