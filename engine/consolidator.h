// Consolidator: a thread that rewrites leaves whose logs are full before the next put must.
//
// A put that leaves no room for another like it notes its leaf here and returns; where a processor
// is idle, the leaf has been consolidated or split when the next put comes to it. Otherwise that
// put does it: notes are hints that may be lost. To recovery the thread is a writer like others.
// Why and how much: docs/decisions/0009-background-consolidation.md.
// Thread-safety: Note from any thread, also with a latch held; mutex_ guards the notes.
// Ownership: borrows trees; Stop before they go.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "engine/tree.h"

namespace tuff {

class Consolidator {
 public:
  Consolidator() = default;
  ~Consolidator() { Stop(); }
  Consolidator(const Consolidator&) = delete;
  Consolidator& operator=(const Consolidator&) = delete;

  /// A leaf that has no room for a put of `record_bytes` with a key of `key_bytes`.
  struct Note {
    Tree* tree;
    NodeView leaf;
    uint64_t number;  // the leaf's
    size_t key_bytes;
    size_t record_bytes;
  };
  /// Forgotten if there are too many.
  void Take(const Note& note);
  /// Waits until all that has been noted is done.
  void AwaitIdle();
  /// Who holds it finds the thread between two leaves.
  std::mutex& step_mutex() { return step_mutex_; }
  void Stop();

 private:
  static constexpr size_t kNotes = 256;

  void Run();
  void StayAway(std::unique_lock<std::mutex>* lock);

  std::mutex step_mutex_;  // before mutex_ and all latches
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Note, kNotes> notes_;  // a ring; guarded by mutex_, as what follows
  size_t first_ = 0;
  size_t count_ = 0;
  std::thread worker_;
  std::chrono::milliseconds away_for_{1};  // the next time
  bool asleep_ = false;                    // must be woken
  bool busy_ = false;
  bool stop_ = false;
  std::atomic<bool> away_{false};  // takes no notes; set with mutex_ held
};

}  // namespace tuff
