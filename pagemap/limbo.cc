#include "pagemap/limbo.h"

#include <algorithm>
#include <new>

#include "pagemap/lane_format.h"
#include "pagemap/rcu.h"

namespace tuff {

struct Limbo::Batch {
  Limbo* limbo;
  std::vector<Run> runs;
};

Limbo::Limbo(Memmap& memmap, FrameAllocator& allocator, Counters& counters)
    : memmap_(memmap), allocator_(allocator), counters_(counters) {
  for (auto* list : {&incoming_, &pinned_, &reclaiming_}) list->reserve(kBatchRuns + kLaneRunsMax);
}

Limbo::~Limbo() { Reclaim(); }

void Limbo::Add(const Run* runs, size_t n) {
  for (size_t i = 0; i < n; i++) counters_.Add(Counter::kFramesFreed, 1ull << runs[i].order);
  std::unique_ptr<Batch> batch;
  {
    std::lock_guard lock(mutex_);
    if (!Note(&incoming_, runs, n)) return;
    for (size_t i = 0; i < n; i++) frames_ += 1ull << runs[i].order;
    if (incoming_.size() < kBatchRuns) return;
    batch = TakeIncoming();
  }
  if (batch == nullptr) return;
  batches_.fetch_add(1, std::memory_order_relaxed);
  if (!TUFF_RETIRE("limbo.defer")) {
    GraceOver(batch.release());
    return;
  }
  if (RcuDefer(GraceOver, batch.get())) {
    (void)batch.release();
    return;
  }
  batches_.fetch_sub(1, std::memory_order_relaxed);
  std::lock_guard lock(mutex_);  // no memory: they wait for the next try
  Note(&incoming_, batch->runs.data(), batch->runs.size());
}

// False: there is no memory, and the list is as before.
bool Limbo::Note(std::vector<Run>* list, const Run* runs, size_t n) {
  try {
    list->insert(list->end(), runs, runs + n);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// What is to be deferred. Null: there is no memory, and they wait for the next try.
std::unique_ptr<Limbo::Batch> Limbo::TakeIncoming() {
  std::unique_ptr<Batch> batch;
  try {
    batch = std::make_unique<Batch>();
    batch->runs.reserve(incoming_.size() + pinned_.size());
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  batch->limbo = this;
  batch->runs.assign(incoming_.begin(), incoming_.end());
  incoming_.clear();
  // A run whose last two pins went at the same moment has been left here.
  std::erase_if(pinned_, [&](const Run& run) {
    if (memmap_.At(run.pfn).pins.load(std::memory_order_seq_cst) != 0) return false;
    batch->runs.push_back(run);
    return true;
  });
  return batch;
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
  if (descriptor.pins.load(std::memory_order_seq_cst) != 0 && TUFF_RETIRE("limbo.pin")) {
    std::lock_guard lock(mutex_);
    if (descriptor.pins.load(std::memory_order_seq_cst) != 0) {
      Note(&pinned_, &run, 1);
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
  {
    std::lock_guard lock(mutex_);
    reclaiming_.swap(incoming_);
  }
  // Waiting here takes microseconds; a callback, and so a barrier, milliseconds.
  if (!reclaiming_.empty() && TUFF_RETIRE("limbo.grace")) RcuSynchronize();
  for (const Run& run : reclaiming_) Release(run);
  reclaiming_.clear();
  if (batches_.load(std::memory_order_acquire) != 0) RcuBarrier();
  {
    std::lock_guard lock(mutex_);
    reclaiming_.swap(pinned_);
  }
  for (const Run& run : reclaiming_) Release(run);
  reclaiming_.clear();
  return released_.load() - before;
}

}  // namespace tuff
