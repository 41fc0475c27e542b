#include "pagemap/window.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "pagemap/pfn.h"

namespace tuff {

Status PersistDomain::WhyNotWritable() const {
  if (medium_->read_only()) {
    return Status(Code::kReadOnly, fmt::format("{}: opened read-only", medium_->path()));
  }
  if (failed()) {
    return Status(Code::kReadOnly,
                  fmt::format("{}: a sync failed, so the pool is read-only until it is opened "
                              "again; check the medium first",
                              medium_->path()));
  }
  return Status();
}

Status PersistDomain::EndOverlay() {
  overlay_ = false;
  return overlay_status_.ok() ? medium_->SealPrivate() : overlay_status_;
}

// Where to store; null if the overlay has no memory for it.
std::byte* WriteWindow::Target(uint64_t offset, size_t n) {
  assert(offset + n <= domain_.medium().bytes());
  if (domain_.overlay()) [[unlikely]] {
    if (Status s = domain_.medium_->MakePrivate(offset, n); !s.ok()) {
      domain_.overlay_status_ = std::move(s);
      return nullptr;
    }
  }
  return domain_.medium().mutable_base() + offset;
}

// Under PAGE. A store that cannot be made is as bad as a sync that fails: whoever gets a latch or a
// lane from the thread that met it must neither write over what that has left nor commit.
void WriteWindow::Write(uint64_t offset, const void* from, size_t n) {
  assert(offset + n <= domain_.medium().bytes());
  if (domain_.failed()) [[unlikely]]
    return;  // the fence will tell
  if (const int error = domain_.medium().Write(offset, from, n); error != 0) [[unlikely]] {
    write_error_ = error;
    domain_.MarkFailed();
  }
  if (StepObserver* observer = Observer(); observer != nullptr) [[unlikely]] {
    observer->OnStore(domain_.base(), offset, {static_cast<const std::byte*>(from), n});
  }
}

void WriteWindow::Store(uint64_t offset, const void* from, size_t n) {
  if (StoresByWrite()) return Write(offset, from, n);
  std::byte* const to = Target(offset, n);
  if (to == nullptr) return;
  std::memcpy(to, from, n);
  if (StepObserver* observer = Observer(); observer != nullptr) [[unlikely]] {
    observer->OnStore(domain_.base(), offset, {to, n});
  }
}

void WriteWindow::Store64(uint64_t offset, uint64_t value) {
  assert(offset % 8 == 0);
  auto* const word = reinterpret_cast<uint64_t*>(Target(offset, 8));
  if (word == nullptr) return;
  if (StepObserver* observer = Observer(); observer != nullptr) [[unlikely]] {
    // Told first: once the store is made, another thread may build on it.
    const auto bytes = std::as_bytes(std::span(&value, 1));
    observer->OnStore(domain_.base(), offset, bytes);
  }
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

void WriteWindow::StoreUnread64(uint64_t offset, uint64_t value) {
  assert(offset % 8 == 0);
  if (StoresByWrite()) return Write(offset, &value, sizeof value);
  Store64(offset, value);
}

void WriteWindow::Zero(uint64_t offset, size_t n) {
  static constexpr std::array<std::byte, kFrameSize> kZeros{};
  if (StoresByWrite()) {
    for (size_t done = 0; done < n; done += kZeros.size()) {
      Write(offset + done, kZeros.data(), std::min(kZeros.size(), n - done));
    }
    return;
  }
  std::byte* const to = Target(offset, n);
  if (to == nullptr) return;
  std::memset(to, 0, n);
  if (StepObserver* observer = Observer(); observer != nullptr) [[unlikely]] {
    observer->OnStore(domain_.base(), offset, {to, n});
  }
}

void WriteWindow::Copy(const Step& step, uint64_t offset, const void* from, size_t n) {
  if (domain_.overlay()) [[unlikely]]
    return Store(offset, from, n);
  if (StoresByWrite()) {
    Write(offset, from, n);
    return Flush(step, offset, n);
  }
  std::byte* const to = Target(offset, n);
  StepObserver* const observer = GetStepObserver();
  if (observer == nullptr) [[likely]] {
    domain_.medium().CopyFlushed(to, from, n);
  } else {
    std::memcpy(to, from, n);
    observer->OnStore(domain_.base(), offset, {to, n});
    if (!observer->OnFlush(step, domain_.base(), offset, n)) return;
    domain_.medium().Flush(to, n);
  }
  GatherPages(offset, n);
}

void WriteWindow::Flush(const Step& step, uint64_t offset, size_t n) {
  if (domain_.overlay()) [[unlikely]]
    return;
  StepObserver* const observer = GetStepObserver();
  if (observer != nullptr && !observer->OnFlush(step, domain_.base(), offset, n)) [[unlikely]] {
    return;
  }
  domain_.medium().Flush(domain_.base() + offset, n);
  GatherPages(offset, n);
}

void WriteWindow::GatherPages(uint64_t offset, size_t n) {
  const bool page = domain_.medium().granularity() == Granularity::kPage;
  const uint64_t unit = page ? kFrameSize : 64;
  const Range range{offset & ~(unit - 1), (offset + n + unit - 1) & ~(unit - 1)};
  domain_.counters().Add(Counter::kFlushes);
  domain_.counters().Add(Counter::kFlushedBytes, range.end - range.start);
  if (!page) return;
  for (unsigned i = 0; i < range_count_; i++) {
    if (range.start > ranges_[i].end || range.end < ranges_[i].start) continue;
    ranges_[i].start = std::min(ranges_[i].start, range.start);
    ranges_[i].end = std::max(ranges_[i].end, range.end);
    return;
  }
  if (range_count_ == ranges_.size()) {
    sync_all_ = true;
  } else {
    ranges_[range_count_++] = range;
  }
}

Status WriteWindow::Fence(const Step& step) {
  if (domain_.overlay()) [[unlikely]]
    return domain_.overlay_status_;
  StepObserver* const observer = GetStepObserver();
  if (observer != nullptr && !observer->OnFence(step, domain_.base())) [[unlikely]] {
    return Status();
  }
  domain_.counters().Add(Counter::kFences);
  if (domain_.medium().granularity() != Granularity::kPage) {
    domain_.medium().Drain();
    return Status();
  }
  if (write_error_ != 0) return ErrnoStatus(write_error_, "pwrite", domain_.medium().path());
  Status s = domain_.CheckWritable();
  if (!s.ok()) return s;  // another window's
  if (range_count_ > 0) {
    const bool whole = range_count_ > 1 || sync_all_;
    s = domain_.sync_group().Sync(domain_.medium(), {ranges_[0].start, ranges_[0].end, whole},
                                  domain_.counters());
  }
  range_count_ = 0;
  sync_all_ = false;
  if (!s.ok()) domain_.MarkFailed();
  return s;
}

}  // namespace tuff
