// The persistence recorder: what a run of the engine stored, flushed and fenced, and what the
// medium may therefore hold if power fails at any moment of it.
//
//   Recorder recorder;
//   SetStepObserver(&recorder);
//   ... the operations ...
//   SetStepObserver(nullptr);
//   MemoryModel model(granularity, read_line);
//   for (const PersistEvent& event : recorder.Take()) model.Apply(event);  // look at lines()
//
// The model, which is what the crash tests assume of memory:
//   BYTE        a line's stores are durable once the thread that made them fences
//   CACHE_LINE  a line's stores are durable once a thread has flushed it behind them and then
//   fences
//     In both, an unfenced line may lie on the medium with any prefix of its stores ("within one
//     cache line x86 keeps store order"); lines are independent of each other.
//   PAGE        a fence syncs the pages that its thread has flushed since its last fence, with all
//     that any thread has stored there. In an unsynced line each 8-byte word may hold any value it
//     has had since the last sync ("as 8-byte words, in any order across words unless fenced").
// A store is taken apart into aligned words of 8 bytes, ascending; words that change nothing are
// left out. A thread's fence is taken to be done when it begins: what other threads do meanwhile
// does not depend on it. Nested windows of one thread count as one under PAGE.
//
// Ownership: a Recorder owns its log; a MemoryModel copies what it needs of the events.
// Thread-safety: Recorder: all functions from any thread. MemoryModel: none.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "pagemap/steps.h"
#include "tuff/options.h"

namespace tuff {

struct PersistEvent {
  enum class Kind : uint8_t { kStore, kFlush, kFence, kPoint, kMark };
  Kind kind = Kind::kMark;
  unsigned thread = 0;          // unique among all threads there have been
  const Step* step = nullptr;   // kFlush, kFence, kPoint
  uint64_t offset = 0;          // kStore, kFlush: byte of the pool
  size_t bytes = 0;             // kFlush
  std::vector<std::byte> data;  // kStore
  int mark = 0;                 // kMark: the test's own
};

class Recorder : public StepObserver {
 public:
  /// Watches the pool mapped at `base`, `bytes` long; with a null base every mapping, as when the
  /// pool is yet to be opened.
  explicit Recorder(const std::byte* base = nullptr, uint64_t bytes = ~0ull)
      : base_(base), bytes_(bytes) {}

  /// From now on every flush or fence of this id is left out: a mutant.
  void LeaveOut(const std::string& id);
  /// How many were.
  uint64_t left_out() const;

  /// Notes something of the test's own between the events.
  void Mark(int mark);

  /// The events so far; the log is empty then.
  std::vector<PersistEvent> Take();

  void OnPoint(const Step& step) override;
  void OnStore(const std::byte* base, uint64_t offset, std::span<const std::byte> bytes) override;
  bool OnFlush(const Step& step, const std::byte* base, uint64_t offset, size_t n) override;
  bool OnFence(const Step& step, const std::byte* base) override;

 private:
  bool Watches(const std::byte* base) const { return base_ == nullptr || base == base_; }
  bool Add(PersistEvent event);

  const std::byte* const base_;
  const uint64_t bytes_;
  mutable std::mutex mutex_;
  std::vector<PersistEvent> events_;  // guarded by mutex_
  std::string left_out_id_;           // guarded by mutex_
  uint64_t left_out_ = 0;             // guarded by mutex_
};

class MemoryModel {
 public:
  static constexpr size_t kLineSize = 64;
  using LineBytes = std::array<std::byte, kLineSize>;

  /// One store to (a part of) an aligned 8-byte word of a line.
  struct WordStore {
    uint8_t at = 0;  // byte of the line
    uint8_t bytes = 0;
    std::array<std::byte, 8> value{};
  };
  struct Line {
    LineBytes durable{};
    LineBytes stored{};              // as the program sees it
    std::vector<WordStore> pending;  // stored since, in order; empty: the line is clean
    // Stores (a prefix of `pending`) that a thread's next fence makes durable.
    std::map<unsigned, size_t> flushed;
  };
  /// Gives the durable bytes of the line at `offset` before the first event.
  using ReadLine = std::function<LineBytes(uint64_t offset)>;

  MemoryModel(Granularity granularity, ReadLine read_line)
      : granularity_(granularity), read_line_(std::move(read_line)) {}

  void Apply(const PersistEvent& event);

  /// The process is killed, the machine goes on: what is stored stays stored, but nobody will ever
  /// fence what has been flushed.
  void Kill();

  Granularity granularity() const { return granularity_; }
  /// Every line that was ever stored to, by offset.
  const std::map<uint64_t, Line>& lines() const { return lines_; }
  /// Offsets of the lines with pending stores.
  const std::set<uint64_t>& dirty() const { return dirty_; }
  /// Grows with every change of what the medium may hold.
  uint64_t version() const { return version_; }

  /// The line if the first n pending stores have reached the medium.
  static LineBytes AfterPrefix(const Line& line, size_t n);
  static void Put(const WordStore& store, LineBytes* bytes);

 private:
  void Store(unsigned thread, uint64_t offset, std::span<const std::byte> bytes);
  void Flush(unsigned thread, uint64_t offset, size_t n);
  void Fence(unsigned thread);
  Line& LineAt(uint64_t offset);
  void MakeDurable(uint64_t offset, Line* line, size_t n);

  Granularity granularity_;
  ReadLine read_line_;
  std::map<uint64_t, Line> lines_;
  std::set<uint64_t> dirty_;
  // What a thread's next fence concerns: offsets of lines, or [start, end) of pages under PAGE.
  std::map<unsigned, std::set<uint64_t>> flushed_lines_;
  std::map<unsigned, std::vector<std::pair<uint64_t, uint64_t>>> flushed_pages_;
  uint64_t version_ = 0;
};

}  // namespace tuff
