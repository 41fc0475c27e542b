#include "tests/fuzz/pool_session.h"

#include <cstdio>
#include <cstdlib>

#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

constexpr size_t kStoresMax = 6;
constexpr size_t kKeysMax = 12;  // of a store are looked at one by one

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "FOUND: %s\n", what);
  std::abort();
}

// Every byte is looked at, so that one that does not exist is noticed.
uint64_t Sum(std::string_view bytes) {
  uint64_t sum = 0;
  for (const char c : bytes) sum = sum * 31 + static_cast<uint8_t>(c);
  return sum;
}
uint64_t g_sum = 0;  // kept, or the sums need not be made

class Session {
 public:
  Session(Pool& pool, const PoolInput& input) : pool_(pool), input_(input), random_(input.seed) {}

  void Read() {
    g_sum += Sum(pool_.GetInfo().uuid) + pool_.GetStatistics().gets;
    for (const std::string& property : Pool::Properties()) {
      if (auto text = pool_.GetProperty(property); text.ok()) g_sum += Sum(*text);
    }
    OpenStores();
    auto snapshot = pool_.GetSnapshot();
    for (Store* store : stores_) {
      std::vector<std::string> keys = Walk(*store, true, ReadOptions());
      Walk(*store, false, ReadOptions());
      Look(*store, keys, nullptr);
      if (snapshot.ok()) Look(*store, keys, *snapshot);
      keys_[store] = std::move(keys);
    }
    if (snapshot.ok()) pool_.ReleaseSnapshot(*snapshot);
    g_sum += Sum(Check(pool_).ToString());
  }

  // All that is there, once.
  void Skim() {
    OpenStores();
    for (Store* store : stores_) Walk(*store, true, ReadOptions());
    g_sum += Sum(Check(pool_).ToString());
  }

  void Write() {
    OpenStores();
    const Snapshot* kept = nullptr;
    if (auto snapshot = pool_.GetSnapshot(); snapshot.ok()) kept = *snapshot;
    for (Store* store : stores_) {
      if (Wanted(0) && random_.OneIn(2)) Put(*store);
      if (Wanted(1) && random_.OneIn(2)) Delete(*store);
      if (Wanted(2) && random_.OneIn(2)) Swap(*store);
    }
    if (Wanted(3)) WriteBatches();
    if (Wanted(4)) Load();
    if (Wanted(5) && !stores_.empty()) {
      (void)stores_.back()->DeleteRange("", std::nullopt);
    }
    if (kept != nullptr && !stores_.empty()) {
      Look(*stores_.front(), keys_[stores_.front()], kept);
      ReadOptions options;
      options.snapshot = kept;
      Walk(*stores_.front(), true, options);
    }
    if (kept != nullptr) pool_.ReleaseSnapshot(kept);
    if (Wanted(6) && !stores_.empty()) {
      (void)pool_.RenameStore(stores_.front()->name(), "renamed");
    }
    if (Wanted(7) && !stores_.empty()) {
      (void)pool_.DropStore(stores_[random_.Below(stores_.size())]->name());
    }
    (void)pool_.WaitForBackgroundWork();
  }

 private:
  bool Wanted(unsigned bit) const { return (input_.writes >> bit & 1) != 0; }

  void OpenStores() {
    stores_.clear();
    const auto list = pool_.ListStores();
    if (!list.ok()) return;
    for (const StoreInfo& info : *list) {
      if (stores_.size() == kStoresMax) break;
      if (auto store = pool_.OpenStore(info.name); store.ok()) stores_.push_back(*store);
    }
  }

  // All of a store, by its keys; returns some of them.
  std::vector<std::string> Walk(Store& store, bool forward, const ReadOptions& options) {
    std::vector<std::string> keys;
    const uint64_t records_max = kPoolSizeMin / 8;
    uint64_t records = 0;
    const auto it = store.NewIterator(options);
    for (forward ? it->SeekToFirst() : it->SeekToLast(); it->Valid();
         forward ? it->Next() : it->Prev()) {
      g_sum += Sum(it->key()) + Sum(it->value());
      if (records++ > records_max) Die("a walk has more steps than the pool has room for records");
      if (keys.size() < kKeysMax && records % 3 == 1) keys.emplace_back(it->key());
    }
    g_sum += Sum(it->status().ToString());
    return keys;
  }

  void Look(Store& store, const std::vector<std::string>& keys, const Snapshot* snapshot) {
    ReadOptions options;
    options.snapshot = snapshot;
    const auto it = store.NewIterator(options);
    std::vector<std::string_view> views(keys.begin(), keys.end());
    std::string value;
    for (size_t i = 0; i < keys.size(); i++) {
      if (store.Get(keys[i], &value, snapshot).ok()) g_sum += Sum(value);
      if (i % 5 != 0) continue;
      const auto pinned = store.GetPinned(keys[i] + "x", snapshot);
      if (pinned.ok()) g_sum += Sum(pinned->view());
      it->Seek(keys[i] + "x");
      if (it->Valid()) it->Prev();
      if (it->Valid()) g_sum += Sum(it->key());
      it->SeekForPrev(keys[i]);
      if (it->Valid()) g_sum += Sum(it->value());
    }
    std::vector<std::string> values;
    std::vector<Status> statuses;
    store.MultiGet(views, &values, &statuses, snapshot);
    for (const std::string& one : values) g_sum += Sum(one);
  }

  // One that is there, if any is known, or near it.
  std::string AnyKey(Store& store) {
    const std::vector<std::string>& keys = keys_[&store];
    if (keys.empty()) return "key" + std::to_string(random_.Below(3000));
    std::string key = keys[random_.Below(keys.size())];
    if (random_.OneIn(2)) key = key.substr(0, kKeySizeMax - 4) + std::to_string(random_.Below(99));
    return key;
  }
  std::string AnyValue() { return std::string(random_.Below(random_.OneIn(4) ? 3000 : 300), 'n'); }

  void Put(Store& store) {
    for (int i = 0; i < 20; i++) {
      const std::string key = AnyKey(store);
      (void)store.Put(key, AnyValue());
    }
  }

  void Delete(Store& store) {
    for (const std::string& key : keys_[&store]) (void)store.Delete(key);
  }

  void Swap(Store& store) {
    (void)store.CompareAndSwap(AnyKey(store), std::nullopt, "swapped");
    (void)store.ReadModifyWrite(AnyKey(store), [](std::optional<std::string_view> value) {
      return std::optional<std::string>(value ? std::string(*value) : "modified");
    });
    auto transaction = pool_.BeginTransaction();
    if (!transaction.ok()) return;
    std::string value;
    (void)(*transaction)->Get(store, AnyKey(store), &value);
    (void)(*transaction)->Put(store, AnyKey(store), "of a transaction");
    (void)(*transaction)->Commit();
  }

  // In one leaf, over several, and so large that its list goes to chunks.
  void WriteBatches() {
    for (const size_t value_bytes : {size_t{10}, size_t{100}, size_t{2000}}) {
      WriteBatch batch;
      for (Store* store : stores_) {
        for (int i = 0; i < 3; i++) {
          (void)batch.Put(*store, AnyKey(*store), std::string(value_bytes, 'b'));
        }
        (void)batch.Delete(*store, AnyKey(*store));
        if (value_bytes == 10) break;
      }
      (void)pool_.Write(batch);
    }
  }

  void Load() {
    auto store = pool_.OpenOrCreateStore("loaded");
    if (!store.ok()) return;
    auto loader = (*store)->NewBulkLoader();
    if (!loader.ok()) return;
    for (int i = 0; i < 60; i++) {
      (void)(*loader)->Add("key" + std::to_string(1000 + i), std::string(300, 'l'));
    }
    if (random_.OneIn(2)) (void)(*loader)->Finish();
  }

  Pool& pool_;
  const PoolInput input_;
  Random random_;
  std::vector<Store*> stores_;
  std::map<Store*, std::vector<std::string>> keys_;
};

OpenOptions OptionsOf(const PoolInput& input) {
  OpenOptions options;
  options.guard = Guard::kNone;
  options.force_granularity =
      (input.options & kRunPage) != 0 ? Granularity::kPage : Granularity::kCacheLine;
  if ((input.options & kRunDram) != 0) options.memmap = MemmapPlace::kDram;
  options.background_consolidation = (input.options & kRunConsolidator) != 0;
  return options;
}

}  // namespace

void UsePool(const ImageFile& file, const SparseImage& image, const PoolInput& input) {
  if (auto info = Pool::Peek(file.path()); info.ok()) g_sum += Sum(info->uuid);
  OpenOptions options = OptionsOf(input);
  if ((input.options & kRunReadOnly) != 0) {
    options.read_only = true;
    auto pool = Pool::Open(file.path(), options);
    if (pool.ok()) Session(**pool, input).Read();
    if (pool.ok() && !(*pool)->Close().ok()) Die("a pool opened read-only does not close");
    if (!file.Holds(image, false)) Die("a read-only open has written");
    options.read_only = false;
  }
  for (int mount = 0; mount < 2; mount++) {
    auto pool = Pool::Open(file.path(), options);
    if (!pool.ok()) return;
    Session session(**pool, input);
    if (mount == 0 && (input.options & kRunWriteFirst) != 0) session.Write();
    if (mount == 0 && (input.options & kRunReadOnly) == 0) session.Read();
    if (mount == 0) session.Write();
    if (mount == 1) session.Skim();
    if ((*pool)->Close().code() == Code::kBusy) Die("something is thought to be alive");
  }
}

}  // namespace tuff::test
