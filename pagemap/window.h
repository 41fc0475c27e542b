// WriteWindow: the single door through which persistent bytes change (invariant I1).
//
//   WriteWindow window(domain);
//   window.Store(offset, &record, sizeof record);
//   TUFF_FLUSH("put.1", window, offset, sizeof record);
//   Status s = TUFF_FENCE("put.2", window);      // durable now, or the pool is read-only
//
// A window opens the write guard, is watched by the step observer, and counts flushes and fences.
// Open it as late as possible. Windows nest; a fence covers the flushes of its own window.
// Under PAGE a store or a sync may fail: from then on no window's fence succeeds.
// While a read-only medium is recovered (BeginOverlay to EndOverlay), windows store into private
// copies of its pages: nothing is persistent, so nothing is flushed, counted or observed.
// Thread-safety: a window belongs to the thread that made it. PersistDomain is shared.
#pragma once

#include <array>
#include <atomic>
#include <cassert>
#include <memory>
#include <span>

#include "pagemap/counters.h"
#include "pagemap/guard.h"
#include "pagemap/medium.h"
#include "pagemap/steps.h"
#include "pagemap/sync_group.h"

namespace tuff {

/// A medium with its guard and its counters: what windows open onto.
class PersistDomain {
 public:
  PersistDomain(std::unique_ptr<Medium> medium, std::unique_ptr<WriteGuard> guard)
      : medium_(std::move(medium)), guard_(std::move(guard)) {}

  const Medium& medium() const { return *medium_; }
  const std::byte* base() const { return medium_->base(); }
  WriteGuard* guard() const { return guard_.get(); }
  Counters& counters() { return counters_; }
  const Counters& counters() const { return counters_; }
  SyncGroup& sync_group() { return sync_group_; }

  /// Call before the first read in every public operation.
  void AdmitThread() const {
    if (guard_) guard_->Admit();
  }

  /// OK, or ReadOnly: opened so, or a sync has failed (invariant I9).
  Status CheckWritable() const {
    if (!medium_->read_only() && !failed()) [[likely]]
      return Status();
    return WhyNotWritable();
  }
  /// From here to EndOverlay windows may be opened on a read-only medium, which stays as it is.
  /// A store for which there is no memory is not made, and the next fence and EndOverlay tell.
  /// REQUIRES: the medium is read-only; no other thread uses the domain in between.
  void BeginOverlay() { overlay_ = true; }
  Status EndOverlay();
  bool overlay() const { return overlay_; }

  void MarkFailed() { failed_.store(true, std::memory_order_release); }
  bool failed() const { return failed_.load(std::memory_order_acquire); }

 private:
  Status WhyNotWritable() const;

  std::unique_ptr<Medium> medium_;
  std::unique_ptr<WriteGuard> guard_;
  Counters counters_;
  SyncGroup sync_group_;
  std::atomic<bool> failed_{false};
  bool overlay_ = false;
  Status overlay_status_;  // not OK: a store found no memory and was not made
  friend class WriteWindow;
};

class WriteWindow {
 public:
  explicit WriteWindow(PersistDomain& domain) : domain_(domain) {
    assert(!domain.medium().read_only() || domain.overlay());
    if (domain.guard() != nullptr) domain.guard()->Open();
  }
  ~WriteWindow() {
    if (domain_.guard() != nullptr) domain_.guard()->Close();
  }
  WriteWindow(const WriteWindow&) = delete;
  WriteWindow& operator=(const WriteWindow&) = delete;

  /// Stores n bytes at byte `offset` of the pool.
  void Store(uint64_t offset, const void* from, size_t n);
  /// One aligned 8-byte store, whole or not at all, with release order.
  void Store64(uint64_t offset, uint64_t value);
  /// The same for a word that nobody reads meanwhile who would act on half of it: cheaper under
  /// PAGE.
  void StoreUnread64(uint64_t offset, uint64_t value);
  void Zero(uint64_t offset, size_t n);

  // Use the macros below: they give the call its id.
  void Copy(const Step& step, uint64_t offset, const void* from, size_t n);
  void Flush(const Step& step, uint64_t offset, size_t n);
  [[nodiscard]] Status Fence(const Step& step);

 private:
  struct Range {
    uint64_t start, end;  // bytes, page-aligned
  };
  std::byte* Target(uint64_t offset, size_t n);
  bool StoresByWrite() const { return domain_.medium().stores_by_write() && !domain_.overlay(); }
  void Write(uint64_t offset, const void* from, size_t n);
  StepObserver* Observer() const { return domain_.overlay() ? nullptr : GetStepObserver(); }
  void GatherPages(uint64_t offset, size_t n);

  PersistDomain& domain_;
  // PAGE only: what the next fence has to sync. More ranges than fit: the whole file.
  std::array<Range, 6> ranges_;
  unsigned range_count_ = 0;
  bool sync_all_ = false;
  int write_error_ = 0;  // errno of a store that was not made; the next fence tells
};

/// An aligned 8-byte load with acquire order: child words, root words, owner words.
inline uint64_t Load64(const std::byte* at) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(at), __ATOMIC_ACQUIRE);
}

// Store and flush in one, past the caches where that is faster.
#define TUFF_COPY(id_, window, offset, from, n) \
  do {                                          \
    TUFF_STEP(step, id_, kFlush);               \
    (window).Copy(step, offset, from, n);       \
  } while (0)
#define TUFF_FLUSH(id_, window, offset, n) \
  do {                                     \
    TUFF_STEP(step, id_, kFlush);          \
    (window).Flush(step, offset, n);       \
  } while (0)
// Everything this window has flushed is durable when the value is OK.
#define TUFF_FENCE(id_, window)   \
  [](::tuff::WriteWindow& w) {    \
    TUFF_STEP(step, id_, kFence); \
    return w.Fence(step);         \
  }(window)

}  // namespace tuff
