#include "pagemap/recorder.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>
#include <utility>

#include "pagemap/pfn.h"

namespace tuff {
namespace {

// Unlike ThreadSlot, never given to a second thread.
unsigned ThreadNumber() {
  static std::atomic<unsigned> next{1};
  thread_local const unsigned number = next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

constexpr uint64_t LineOf(uint64_t offset) {
  return offset & ~uint64_t{MemoryModel::kLineSize - 1};
}

}  // namespace

void Recorder::LeaveOut(const std::string& id) {
  std::lock_guard lock(mutex_);
  left_out_id_ = id;
}

uint64_t Recorder::left_out() const {
  std::lock_guard lock(mutex_);
  return left_out_;
}

std::vector<PersistEvent> Recorder::Take() {
  std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

// False if the event is one to be left out.
bool Recorder::Add(PersistEvent event) {
  event.thread = ThreadNumber();
  std::lock_guard lock(mutex_);
  const bool may_leave_out =
      event.kind == PersistEvent::Kind::kFlush || event.kind == PersistEvent::Kind::kFence;
  if (may_leave_out && event.step->id == left_out_id_) {
    left_out_++;
    return false;
  }
  events_.push_back(std::move(event));
  return true;
}

void Recorder::Mark(int mark) {
  PersistEvent event;
  event.kind = PersistEvent::Kind::kMark;
  event.mark = mark;
  Add(std::move(event));
}

void Recorder::OnPoint(const Step& step) {
  if (step.kind != StepKind::kCrashPoint) return;
  PersistEvent event;
  event.kind = PersistEvent::Kind::kPoint;
  event.step = &step;
  Add(std::move(event));
}

void Recorder::OnStore(const std::byte* base, uint64_t offset, std::span<const std::byte> bytes) {
  if (!Watches(base)) return;
  assert(offset + bytes.size() <= bytes_);
  PersistEvent event;
  event.kind = PersistEvent::Kind::kStore;
  event.offset = offset;
  event.data.assign(bytes.begin(), bytes.end());
  Add(std::move(event));
}

bool Recorder::OnFlush(const Step& step, const std::byte* base, uint64_t offset, size_t n) {
  if (!Watches(base)) return true;
  assert(offset + n <= bytes_);
  PersistEvent event;
  event.kind = PersistEvent::Kind::kFlush;
  event.step = &step;
  event.offset = offset;
  event.bytes = n;
  return Add(std::move(event));
}

bool Recorder::OnFence(const Step& step, const std::byte* base) {
  if (!Watches(base)) return true;
  PersistEvent event;
  event.kind = PersistEvent::Kind::kFence;
  event.step = &step;
  return Add(std::move(event));
}

void MemoryModel::Put(const WordStore& store, LineBytes* bytes) {
  std::memcpy(bytes->data() + store.at, store.value.data(), store.bytes);
}

MemoryModel::LineBytes MemoryModel::AfterPrefix(const Line& line, size_t n) {
  assert(n <= line.pending.size());
  LineBytes bytes = line.durable;
  for (size_t i = 0; i < n; i++) Put(line.pending[i], &bytes);
  return bytes;
}

MemoryModel::Line& MemoryModel::LineAt(uint64_t offset) {
  const auto [at, is_new] = lines_.try_emplace(offset);
  if (is_new) at->second.durable = at->second.stored = read_line_(offset);
  return at->second;
}

void MemoryModel::Store(unsigned thread, uint64_t offset, std::span<const std::byte> bytes) {
  const uint64_t end = offset + bytes.size();
  for (uint64_t at = offset; at < end;) {
    const uint64_t line_at = LineOf(at);
    const uint64_t line_end = std::min(end, line_at + kLineSize);
    Line& line = LineAt(line_at);
    while (at < line_end) {
      const uint64_t word_end = std::min(line_end, (at | 7) + 1);
      WordStore store;
      store.at = static_cast<uint8_t>(at - line_at);
      store.bytes = static_cast<uint8_t>(word_end - at);
      std::memcpy(store.value.data(), bytes.data() + (at - offset), store.bytes);
      if (std::memcmp(line.stored.data() + store.at, store.value.data(), store.bytes) != 0) {
        Put(store, &line.stored);
        line.pending.push_back(store);
        dirty_.insert(line_at);
        version_++;
      }
      at = word_end;
    }
    if (granularity_ == Granularity::kByte) Flush(thread, line_at, kLineSize);
  }
}

void MemoryModel::Flush(unsigned thread, uint64_t offset, size_t n) {
  if (granularity_ == Granularity::kPage) {
    flushed_pages_[thread].emplace_back(offset & ~(kFrameSize - 1),
                                        (offset + n + kFrameSize - 1) & ~(kFrameSize - 1));
    return;
  }
  for (auto at = dirty_.lower_bound(LineOf(offset)); at != dirty_.end() && *at < offset + n; ++at) {
    Line& line = lines_.at(*at);
    line.flushed[thread] = line.pending.size();
    flushed_lines_[thread].insert(*at);
  }
}

void MemoryModel::MakeDurable(uint64_t offset, Line* line, size_t n) {
  if (n == 0) return;
  line->durable = AfterPrefix(*line, n);
  line->pending.erase(line->pending.begin(), line->pending.begin() + static_cast<ptrdiff_t>(n));
  for (auto& [thread, flushed] : line->flushed) flushed -= std::min(flushed, n);
  if (line->pending.empty()) dirty_.erase(offset);
  version_++;
}

void MemoryModel::Fence(unsigned thread) {
  for (const uint64_t offset : std::exchange(flushed_lines_[thread], {})) {
    Line& line = lines_.at(offset);
    MakeDurable(offset, &line, line.flushed.at(thread));
    line.flushed.erase(thread);
  }
  for (const auto& [start, end] : std::exchange(flushed_pages_[thread], {})) {
    const std::vector<uint64_t> synced(dirty_.lower_bound(start), dirty_.lower_bound(end));
    for (const uint64_t offset : synced) {
      Line& line = lines_.at(offset);
      MakeDurable(offset, &line, line.pending.size());
    }
  }
}

void MemoryModel::Apply(const PersistEvent& event) {
  switch (event.kind) {
    case PersistEvent::Kind::kStore:
      return Store(event.thread, event.offset, event.data);
    case PersistEvent::Kind::kFlush:
      if (granularity_ != Granularity::kByte) Flush(event.thread, event.offset, event.bytes);
      return;
    case PersistEvent::Kind::kFence:
      return Fence(event.thread);
    case PersistEvent::Kind::kPoint:
    case PersistEvent::Kind::kMark:
      return;
  }
}

void MemoryModel::Kill() {
  flushed_lines_.clear();
  flushed_pages_.clear();
  for (auto& [offset, line] : lines_) line.flushed.clear();
  if (granularity_ != Granularity::kByte) return;
  // What is visible is durable there: no thread's store buffer is left.
  for (auto& [offset, line] : lines_) MakeDurable(offset, &line, line.pending.size());
}

}  // namespace tuff
