#include "pagemap/limbo.h"

#include <algorithm>
#include <memory>

#include "pagemap/rcu.h"

namespace tuff {

struct Limbo::Batch {
  Limbo* limbo;
  std::vector<Run> runs;
};

Limbo::~Limbo() { Reclaim(); }

void Limbo::Add(const Run* runs, size_t n) {
  for (size_t i = 0; i < n; i++) counters_.Add(Counter::kFramesFreed, 1ull << runs[i].order);
  std::vector<Run> full;
  {
    std::lock_guard lock(mutex_);
    incoming_.insert(incoming_.end(), runs, runs + n);
    for (size_t i = 0; i < n; i++) frames_ += 1ull << runs[i].order;
    if (incoming_.size() < kBatchRuns) return;
    full.swap(incoming_);
    // A run whose last two pins went at the same moment has been left here.
    std::erase_if(pinned_, [&](const Run& run) {
      if (memmap_.At(run.pfn).pins.load(std::memory_order_seq_cst) != 0) return false;
      full.push_back(run);
      return true;
    });
  }
  Send(std::move(full));
}

void Limbo::Send(std::vector<Run> runs) {
  auto* batch = new Batch{this, std::move(runs)};
  batches_.fetch_add(1, std::memory_order_relaxed);
  if (!RcuDefer(GraceOver, batch)) {  // no memory: wait among the incoming for the next try
    std::lock_guard lock(mutex_);
    incoming_.insert(incoming_.end(), batch->runs.begin(), batch->runs.end());
    batches_.fetch_sub(1, std::memory_order_relaxed);
    delete batch;
  }
}

void Limbo::GraceOver(void* context) {
  std::unique_ptr<Batch> batch(static_cast<Batch*>(context));
  for (const Run& run : batch->runs) batch->limbo->Release(run);
  // The last access: a limbo without batches may go.
  batch->limbo->batches_.fetch_sub(1, std::memory_order_release);
}

void Limbo::Release(const Run& run) {
  Descriptor& descriptor = memmap_.At(run.pfn);
  // No new pin can come: the run was unreachable before its grace period began. kOnceMore first,
  // so that an unpin that comes between the two lines below is not missed.
  descriptor.Set(Descriptor::kOnceMore);
  if (descriptor.pins.load(std::memory_order_seq_cst) != 0) {
    std::lock_guard lock(mutex_);
    if (descriptor.pins.load(std::memory_order_seq_cst) != 0) {
      pinned_.push_back(run);
      return;
    }
  }
  descriptor.Clear(Descriptor::kOnceMore);
  frames_ -= 1ull << run.order;
  released_ += 1ull << run.order;
  allocator_.Free(run.pfn, run.order);
}

void Limbo::Unpin(Pfn head) {
  Descriptor& descriptor = memmap_.At(head);
  if (descriptor.pins.load(std::memory_order_relaxed) > 1 ||
      !descriptor.Has(Descriptor::kOnceMore)) {
    // Not the last pin of a run in limbo. The check is repeated by whoever reclaims.
    descriptor.pins.fetch_sub(1, std::memory_order_seq_cst);
    return;
  }
  Run run{};
  {
    std::lock_guard lock(mutex_);
    if (descriptor.pins.fetch_sub(1, std::memory_order_seq_cst) != 1) return;
    auto it =
        std::find_if(pinned_.begin(), pinned_.end(), [&](const Run& r) { return r.pfn == head; });
    if (it == pinned_.end()) return;
    run = *it;
    pinned_.erase(it);
  }
  Release(run);
}

uint64_t Limbo::Reclaim() {
  const uint64_t before = released_.load();
  std::lock_guard reclaim_lock(reclaim_mutex_);
  std::vector<Run> runs;
  {
    std::lock_guard lock(mutex_);
    runs.swap(incoming_);
  }
  // Waiting here takes microseconds; a callback, and so a barrier, milliseconds.
  if (!runs.empty()) RcuSynchronize();
  for (const Run& run : runs) Release(run);
  runs.clear();
  if (batches_.load(std::memory_order_acquire) != 0) RcuBarrier();
  {
    std::lock_guard lock(mutex_);
    runs.swap(pinned_);
  }
  for (const Run& run : runs) Release(run);
  return released_.load() - before;
}

}  // namespace tuff
