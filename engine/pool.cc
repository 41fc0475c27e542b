#include "tuff/pool.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "engine/batch.h"
#include "engine/catalogue.h"
#include "engine/pool_impl.h"
#include "engine/store_impl.h"
#include "engine/transaction_impl.h"
#include "engine/write_batch_impl.h"

namespace tuff {
namespace {

std::string UuidText(const uint8_t uuid[16]) {
  std::string text;
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid[i]);
  }
  return text;
}

}  // namespace

Pool::Pool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Pool::~Pool() {
  if (impl_->map == nullptr) return;
  if (Status s = Close(); !s.ok()) {
    if (impl_->map != nullptr) impl_->map->Log(LogLevel::kError, s.ToString());
    assert(s.code() != Code::kBusy && "iterators, pinned values or snapshots outlive their pool");
  }
}

Result<std::unique_ptr<Pool>> Pool::Create(const std::string& path, const CreateOptions& options) {
  Status s = NoThrow([&] { return PageMap::Create(path, options, Catalogue::Format); });
  if (!s.ok()) return s;
  auto pool = Open(path, options.open);
  if (pool.ok()) {
    s = NoThrow([&] { return (*pool)->impl_->graveyard.Prepare(); });
    if (s.ok() || s.code() == Code::kNoSpace) return pool;
    PageMap::Remove(path);  // while it is locked
  } else {
    s = pool.TakeStatus();
    if (s.code() != Code::kLocked) PageMap::Remove(path);
  }
  // Nothing is left behind of a pool that nobody has seen.
  return s;
}

Result<std::unique_ptr<Pool>> Pool::Open(const std::string& path, const OpenOptions& options) {
  std::unique_ptr<Pool> pool;
  Status s = NoThrow([&]() -> Status {
    auto map = PageMap::Open(path, options, RecordIsThere);
    if (!map.ok()) return map.TakeStatus();
    auto impl = std::make_unique<Impl>(std::move(*map), options.version_memory_bytes_max);
    impl->background_consolidation = options.background_consolidation;
    Status opened = impl->catalogue.Open();
    pool.reset(new Pool(std::move(impl)));
    if (opened.ok() && pool->impl_->map->graveyard_in_use()) pool->impl_->graveyard.Wake();
    return opened;
  });
  if (!s.ok()) return s;
  return pool;
}

Status Pool::Close() {
  return NoThrow([&] { return impl_->Close(); });
}

std::string Pool::Impl::WhatIsAlive() {
  std::string text;
  const auto add = [&](uint64_t n, std::string_view what, const std::string& where) {
    if (n == 0) return;
    text += fmt::format("{}{} {}{}{}", text.empty() ? "" : ", ", n, what, n == 1 ? "" : "s", where);
  };
  for (const auto& [id, store] : stores) {
    const std::string where = fmt::format(" of '{}'", store.impl->name);
    add(store.impl->iterators, "iterator", where);
    add(store.impl->pinned_values, "pinned value", where);
    add(store.impl->bulk_loaders, "bulk loader", where);
  }
  add(transactions, "transaction", "");
  const Versions::Summary summary = versions.Summarize();
  add(summary.taken, "snapshot",
      fmt::format(" (the oldest {:.1f} s old)",
                  static_cast<double>(summary.taken_age_ns_max) / 1e9));
  return text;
}

Status Pool::Impl::Close() {
  std::lock_guard lock(mutex);
  if (map == nullptr) return Status();
  if (const std::string alive = WhatIsAlive(); !alive.empty()) {
    return Status(Code::kBusy, fmt::format("{}: still alive: {}; destroy or release them first",
                                           map->path(), alive));
  }
  consolidator.Stop();
  graveyard.Stop();
  Status s;
  for (const auto& [id, store] : stores) {
    if (store.impl->tree.gate() == Tree::Gate::kDropped) continue;
    if (s.ok() && store.impl->tree.changed()) s = catalogue.MarkModified(store.impl->tree.anchor());
  }
  Status closed = map->Close();
  stores.clear();
  map.reset();
  return s.ok() ? closed : s;
}

Status Pool::Impl::Drop(std::string_view name) {
  std::lock_guard lock(mutex);
  auto info = catalogue.Find(name);
  if (!info.ok()) return info.TakeStatus();
  auto store = Use(*info);
  if (!store.ok()) return store.TakeStatus();
  Store::Impl& impl = StoreAccess::Of(**store);
  if (Status s = map->domain().CheckWritable(); !s.ok()) return s;
  const auto check_alive = [&] {
    if (impl.iterators + impl.pinned_values + impl.bulk_loaders == 0) return Status();
    return Status(Code::kBusy,
                  fmt::format("{}: store '{}' has iterators, pinned values or bulk loaders alive; "
                              "destroy them first",
                              map->path(), name));
  };
  const std::lock_guard gate_lock(impl.gate_mutex);
  // Before anybody is turned away; and after that, when no more can come.
  if (Status s = check_alive(); !s.ok()) return s;
  impl.tree.CloseGate(Tree::Gate::kDropped);
  Status s = check_alive();
  if (s.ok()) s = NoThrow([&] { return graveyard.Bury(*info); });
  if (!s.ok()) impl.tree.OpenGate();
  return s;
}

Result<Store*> Pool::Impl::Use(const ObjectInfo& info) {
  if (auto it = stores.find(info.id); it != stores.end()) return it->second.store.get();
  if (info.kind != ObjectKind::kStore) {
    return Status(Code::kInvalidArgument, fmt::format("'{}' is not a key-value store", info.name));
  }
  auto anchor = catalogue.ReadAnchor(info.anchor, info.id, info.kind);
  if (!anchor.ok()) return anchor.TakeStatus();
  auto impl =
      std::make_unique<Store::Impl>(*map, versions, graveyard, info.id, info.anchor, info.name);
  if (background_consolidation && map->domain().medium().granularity() != Granularity::kPage) {
    impl->tree.SetConsolidator(&consolidator);
  }
  OpenStoreEntry entry{impl.get(), nullptr};
  entry.store = std::make_unique<Store>(std::move(impl));
  return stores.emplace(info.id, std::move(entry)).first->second.store.get();
}

Result<Store*> Pool::CreateStore(std::string_view name) {
  Result<Store*> result = Status(Code::kNoMemory, "out of memory");
  Status s = NoThrow([&] {
    std::lock_guard lock(impl_->mutex);
    auto info = impl_->catalogue.Create(name, ObjectKind::kStore);
    result = info.ok() ? impl_->Use(*info) : Result<Store*>(info.TakeStatus());
    return Status();
  });
  return s.ok() ? std::move(result) : Result<Store*>(std::move(s));
}

Result<Store*> Pool::OpenStore(std::string_view name) {
  Result<Store*> result = Status(Code::kNoMemory, "out of memory");
  Status s = NoThrow([&] {
    // Held from before the look-up, or a rename could come between it and the name's being kept.
    std::lock_guard lock(impl_->mutex);
    auto info = impl_->catalogue.Find(name);
    result = info.ok() ? impl_->Use(*info) : Result<Store*>(info.TakeStatus());
    return Status();
  });
  return s.ok() ? std::move(result) : Result<Store*>(std::move(s));
}

Result<Store*> Pool::OpenOrCreateStore(std::string_view name) {
  auto store = OpenStore(name);
  if (store.status().code() != Code::kNotFound) return store;
  store = CreateStore(name);
  if (store.status().code() != Code::kExists) return store;
  return OpenStore(name);  // another thread made it meanwhile
}

Status Pool::RenameStore(std::string_view from, std::string_view to) {
  return NoThrow([&]() -> Status {
    if (Status s = impl_->map->domain().CheckWritable(); !s.ok()) return s;
    // Held from before the rename, or another one could come between it and what follows.
    std::lock_guard lock(impl_->mutex);
    if (Status s = impl_->catalogue.Rename(from, to); !s.ok()) return s;
    auto info = impl_->catalogue.Find(to);
    if (!info.ok()) return info.TakeStatus();
    if (auto it = impl_->stores.find(info->id); it != impl_->stores.end()) {
      std::lock_guard name_lock(it->second.impl->mutex);
      it->second.impl->name = to;
    }
    return Status();
  });
}

Status Pool::DropStore(std::string_view name) {
  return NoThrow([&] { return impl_->Drop(name); });
}

Status Pool::WaitForBackgroundWork() {
  return NoThrow([&] {
    impl_->consolidator.AwaitIdle();
    return impl_->graveyard.AwaitIdle();
  });
}

Status Pool::Write(const WriteBatch& batch) {
  return NoThrow([&]() -> Status {
    for (const auto& entry : batch.impl_->entries) {
      if (&StoreAccess::Of(*entry.store).tree.map() != impl_->map.get()) {
        return Status(Code::kInvalidArgument, "a store of the batch belongs to another pool");
      }
    }
    BatchWriter writer(*impl_->map, impl_->versions);
    return writer.Write(batch.impl_->Ops());
  });
}

Result<const Snapshot*> Pool::GetSnapshot() { return impl_->versions.Take(); }
void Pool::ReleaseSnapshot(const Snapshot* snapshot) { impl_->versions.Release(snapshot); }

Result<std::unique_ptr<Transaction>> Pool::BeginTransaction() {
  std::unique_ptr<Transaction> transaction;
  Status s = NoThrow([&] {
    transaction.reset(new Transaction(
        std::make_unique<Transaction::Impl>(*impl_->map, impl_->versions, impl_->transactions)));
    return transaction->impl_->at.status();
  });
  if (!s.ok()) return s;
  return transaction;
}

Result<std::vector<StoreInfo>> Pool::ListStores() {
  std::vector<StoreInfo> list;
  Status s = NoThrow([&]() -> Status {
    auto objects = impl_->catalogue.List();
    if (!objects.ok()) return objects.TakeStatus();
    for (const auto& [name, info] : *objects) {
      if (info.kind != ObjectKind::kStore) continue;
      auto anchor = impl_->catalogue.ReadAnchor(info.anchor, info.id, info.kind);
      if (!anchor.ok()) return anchor.TakeStatus();
      list.push_back({name, info.id, info.anchor, anchor->created_ns, anchor->modified_ns});
    }
    return Status();
  });
  if (!s.ok()) return s;
  return list;
}

namespace {

// What the superblock alone tells.
PoolInfo InfoOf(const std::string& path, const Superblock& sb) {
  PoolInfo info;
  info.path = path;
  info.uuid = UuidText(sb.uuid);
  info.format_version = sb.format_version;
  info.size_bytes = OffsetOf(sb.frames);
  info.frames = sb.frames;
  info.sections = SectionsOf(sb.frames);
  info.mount_count = sb.mount_count;
  info.crashed_since_scrub = (sb.state & kStateCrashedSinceScrub) != 0;
  info.ever_forced = (sb.state & kStateEverForced) != 0;
  info.mount_flags = sb.mount_flags;
  return info;
}

}  // namespace

Result<PoolInfo> Pool::Peek(const std::string& path) {
  auto glance = PageMap::Peek(path);
  if (!glance.ok()) return glance.TakeStatus();
  PoolInfo info = InfoOf(path, glance->superblock);
  info.writer_pid = glance->superblock.writer_pid;
  const LiveStatus& status = glance->status;
  info.snapshots = status.snapshots;
  const uint64_t now = NowNs();
  if (status.oldest_taken_ns != 0 && status.oldest_taken_ns < now) {
    info.snapshot_age_ns_max = now - status.oldest_taken_ns;
  }
  info.versions_retained = status.kept_versions;
  info.version_bytes_retained = status.kept_bytes;
  return info;
}

PoolInfo Pool::GetInfo() const {
  PageMap& map = *impl_->map;
  const Superblock sb = map.superblock();
  const Medium& medium = map.domain().medium();
  PoolInfo info = InfoOf(map.path(), sb);
  const Versions::Summary versions = impl_->versions.Summarize();
  info.writer_pid = sb.writer_pid;
  info.snapshots = versions.taken;
  info.snapshot_age_ns_max = versions.taken_age_ns_max;
  info.versions_retained = versions.versions;
  info.version_bytes_retained = versions.bytes;
  info.read_only = map.read_only();
  info.was_clean = !map.was_unclean();
  info.recovered_in_memory = map.recovered_in_memory();
  info.granularity = medium.granularity();
  info.medium_granularity = medium.medium_granularity();
  const WriteGuard* guard = map.domain().guard();
  info.guard = guard == nullptr ? Guard::kNone : guard->kind();
  info.memmap = map.memmap().place();
  return info;
}

Statistics Pool::GetStatistics() const {
  const Counters& counters = impl_->map->counters();
  Statistics s;
  s.puts = counters.Sum(Counter::kPuts);
  s.gets = counters.Sum(Counter::kGets);
  s.gets_not_found = counters.Sum(Counter::kGetsNotFound);
  s.deletes = counters.Sum(Counter::kDeletes);
  s.user_bytes_written = counters.Sum(Counter::kUserBytesWritten);
  s.batches = counters.Sum(Counter::kBatches);
  s.batch_operations = counters.Sum(Counter::kBatchOperations);
  s.conflicts = counters.Sum(Counter::kConflicts);
  s.bulk_records = counters.Sum(Counter::kBulkRecords);
  s.fences = counters.Sum(Counter::kFences);
  s.flushes = counters.Sum(Counter::kFlushes);
  s.flushed_bytes = counters.Sum(Counter::kFlushedBytes);
  s.syncs = counters.Sum(Counter::kSyncs);
  s.group_commits = counters.Sum(Counter::kGroupCommits);
  const Versions::Summary versions = impl_->versions.Summarize();
  s.snapshots = versions.snapshots;
  s.snapshot_age_ns_max = versions.age_ns_max;
  s.versions_retained = versions.versions;
  s.version_bytes_retained = versions.bytes;
  s.snapshots_expired = versions.expired;
  s.consolidations = counters.Sum(Counter::kConsolidations);
  s.consolidated_ahead = counters.Sum(Counter::kConsolidatedAhead);
  s.splits = counters.Sum(Counter::kSplits);
  s.inner_splits = counters.Sum(Counter::kInnerSplits);
  s.merges = counters.Sum(Counter::kMerges);
  s.inner_merges = counters.Sum(Counter::kInnerMerges);
  s.root_growths = counters.Sum(Counter::kRootGrowths);
  s.root_shrinks = counters.Sum(Counter::kRootShrinks);
  s.compound_nodes = counters.Sum(Counter::kCompoundNodes);
  s.lanes_recovered = counters.Sum(Counter::kLanesRecovered);
  s.page_blocks_initialised = counters.Sum(Counter::kPageBlocksInitialised);
  s.tails_built = counters.Sum(Counter::kTailsBuilt);
  s.torn_tails_cut = counters.Sum(Counter::kTornTailsCut);
  s.batches_replayed = counters.Sum(Counter::kBatchesReplayed);
  s.nodes_dismantled = counters.Sum(Counter::kNodesDismantled);
  s.frames_allocated = counters.Sum(Counter::kFramesAllocated);
  s.frames_freed = counters.Sum(Counter::kFramesFreed);
  s.restarts = counters.Sum(Counter::kRestarts);
  return s;
}

}  // namespace tuff
