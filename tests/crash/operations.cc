// What the crash tests do to pools.
#include <fmt/format.h>

#include "engine/leaf.h"
#include "engine/store_impl.h"
#include "tests/crash/workload.h"

namespace tuff::test {
namespace {

// The stores that some writes go to, opened.
using Stores = std::map<std::string, Store*>;

Result<Stores> OpenStores(Pool& pool, const std::vector<KeyWrite>& writes) {
  Stores stores;
  for (const KeyWrite& write : writes) {
    if (stores.contains(write.store)) continue;
    auto opened = pool.OpenStore(write.store);
    if (!opened.ok()) return opened.TakeStatus();
    stores[write.store] = *opened;
  }
  return stores;
}

// Into a batch or a transaction.
template <typename To>
Status Collect(const Stores& stores, const std::vector<KeyWrite>& writes, To* to) {
  for (const KeyWrite& write : writes) {
    Store& store = *stores.at(write.store);
    Status s = write.value ? to->Put(store, write.key, *write.value) : to->Delete(store, write.key);
    if (!s.ok()) return s;
  }
  return Status();
}

void Apply(const std::vector<KeyWrite>& writes, Contents* contents) {
  for (const auto& [store, key, value] : writes) {
    if (value) {
      (*contents)[store + "/" + key] = *value;
    } else {
      contents->erase(store + "/" + key);
    }
  }
}

Status AddAll(BulkLoader& loader, const std::vector<std::string>& keys, const std::string& value) {
  for (const std::string& key : keys) {
    if (Status s = loader.Add(key, value); !s.ok()) return s;
  }
  return Status();
}

// The leaf that a key belongs to; nobody keeps it from changing.
Result<NodeView> LeafOf(Store& store, const std::string& key) {
  Tree& tree = StoreAccess::Of(store).tree;
  LeafSnapshot snapshot;
  if (Status s = tree.PinLeaf(key, SeekTo::kAt, &snapshot); !s.ok()) return s;
  tree.Unpin(snapshot.node.pfn());
  return snapshot.node;
}

bool HasRoom(Pool& pool, const NodeView& node, const std::string& key, size_t value_bytes) {
  return Leaf(PoolTestPeer::Map(pool), node)
      .HasRoomForPut(key.size(), RecordBytes(key.size(), value_bytes));
}

}  // namespace

Operations operator+(Operations a, const Operations& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Status Session::Create() {
  auto made = Pool::Create(path, SmallPool(kPoolSizeMin, granularity));
  if (!made.ok()) return made.TakeStatus();
  pool = std::move(*made);
  return Status();
}

Status Session::Open() {
  OpenOptions options;
  options.force_granularity = granularity;
  options.background_consolidation = false;
  options.guard = TestGuard();
  auto opened = Pool::Open(path, options);
  if (!opened.ok()) return opened.TakeStatus();
  pool = std::move(*opened);
  return Status();
}

Status Session::Close() {
  Status s = pool->Close();
  pool.reset();
  return s;
}

Operation PutOp(std::string store, std::string key, std::string value) {
  Operation operation;
  operation.name = fmt::format("put {}/{}", store, key);
  operation.run = [=](Session& session) -> Status {
    auto opened = session.pool->OpenStore(store);
    if (!opened.ok()) return opened.TakeStatus();
    return (*opened)->Put(key, value);
  };
  operation.effect = [=](Contents* contents) { (*contents)[store + "/" + key] = value; };
  return operation;
}

Operation DeleteOp(std::string store, std::string key) {
  Operation operation;
  operation.name = fmt::format("delete {}/{}", store, key);
  operation.run = [=](Session& session) -> Status {
    auto opened = session.pool->OpenStore(store);
    if (!opened.ok()) return opened.TakeStatus();
    return (*opened)->Delete(key);
  };
  operation.effect = [=](Contents* contents) { contents->erase(store + "/" + key); };
  return operation;
}

Operation CreateStoreOp(std::string store) {
  Operation operation;
  operation.name = "create store " + store;
  operation.run = [=](Session& session) { return session.pool->CreateStore(store).status(); };
  operation.effect = [=](Contents* contents) { (*contents)[store] = ""; };
  return operation;
}

Operation RenameStoreOp(std::string from, std::string to) {
  Operation operation;
  operation.name = fmt::format("rename store {} to {}", from, to);
  operation.run = [=](Session& session) { return session.pool->RenameStore(from, to); };
  operation.effect = [=](Contents* contents) {
    Contents renamed;
    for (const auto& [key, value] : *contents) {
      const bool moves = key == from || key.starts_with(from + "/");
      renamed[moves ? to + key.substr(from.size()) : key] = value;
    }
    *contents = std::move(renamed);
  };
  return operation;
}

Operation CreatePoolOp() {
  Operation operation;
  operation.name = "create pool";
  operation.run = [](Session& session) { return session.Create(); };
  operation.makes_pool = true;
  return operation;
}

Operation OpenOp() {
  Operation operation;
  operation.name = "open";
  operation.run = [](Session& session) { return session.Open(); };
  return operation;
}

Operation CloseOp() {
  Operation operation;
  operation.name = "close";
  operation.run = [](Session& session) { return session.Close(); };
  return operation;
}

Operation BatchOp(std::vector<KeyWrite> writes) {
  Operation operation;
  operation.name = fmt::format("batch of {}", writes.size());
  operation.run = [=](Session& session) -> Status {
    auto stores = OpenStores(*session.pool, writes);
    if (!stores.ok()) return stores.TakeStatus();
    WriteBatch batch;
    if (Status s = Collect(*stores, writes, &batch); !s.ok()) return s;
    return session.pool->Write(batch);
  };
  operation.effect = [=](Contents* contents) { Apply(writes, contents); };
  return operation;
}

Operation TransactionOp(std::string read_store, std::string read_key,
                        std::vector<KeyWrite> writes) {
  Operation operation;
  operation.name = fmt::format("transaction of {}", writes.size());
  operation.run = [=](Session& session) -> Status {
    auto stores = OpenStores(*session.pool, writes);
    if (!stores.ok()) return stores.TakeStatus();
    auto read = session.pool->OpenStore(read_store);
    if (!read.ok()) return read.TakeStatus();
    auto transaction = session.pool->BeginTransaction();
    if (!transaction.ok()) return transaction.TakeStatus();
    std::string value;
    if (Status s = (*transaction)->Get(**read, read_key, &value); !s.ok()) return s;
    if (Status s = Collect(*stores, writes, transaction->get()); !s.ok()) return s;
    return (*transaction)->Commit();
  };
  operation.effect = [=](Contents* contents) { Apply(writes, contents); };
  return operation;
}

Operation CompareAndSwapOp(std::string store, std::string key, std::optional<std::string> expected,
                           std::optional<std::string> desired) {
  Operation operation;
  operation.name = fmt::format("compare and swap {}/{}", store, key);
  operation.run = [=](Session& session) -> Status {
    auto opened = session.pool->OpenStore(store);
    if (!opened.ok()) return opened.TakeStatus();
    return (*opened)->CompareAndSwap(key, expected, desired);
  };
  operation.effect = [=](Contents* contents) { Apply({{store, key, desired}}, contents); };
  return operation;
}

Operation DeleteRangeOp(std::string store, std::string begin, std::string end) {
  Operation operation;
  operation.name = fmt::format("delete {} from {} to {}", store, begin, end);
  operation.run = [=](Session& session) -> Status {
    auto opened = session.pool->OpenStore(store);
    if (!opened.ok()) return opened.TakeStatus();
    return (*opened)->DeleteRange(begin, end);
  };
  operation.effect = [=](Contents* contents) {
    contents->erase(contents->lower_bound(store + "/" + begin),
                    contents->lower_bound(store + "/" + end));
  };
  return operation;
}

Operation DropStoreOp(std::string store) {
  Operation operation;
  operation.name = "drop store " + store;
  operation.run = [=](Session& session) { return session.pool->DropStore(store); };
  operation.effect = [=](Contents* contents) {
    contents->erase(store);
    // '0' follows '/'.
    contents->erase(contents->lower_bound(store + "/"), contents->lower_bound(store + "0"));
  };
  return operation;
}

Operation BulkLoadOp(std::string store, std::vector<std::string> keys, std::string value) {
  Operation operation;
  operation.name = fmt::format("bulk load of {} into {}", keys.size(), store);
  operation.run = [=](Session& session) -> Status {
    auto opened = session.pool->OpenStore(store);
    if (!opened.ok()) return opened.TakeStatus();
    auto loader = (*opened)->NewBulkLoader();
    if (!loader.ok()) return loader.TakeStatus();
    if (Status s = AddAll(**loader, keys, value); !s.ok()) return s;
    return (*loader)->Finish();
  };
  operation.effect = [=](Contents* contents) {
    for (const std::string& key : keys) (*contents)[store + "/" + key] = value;
  };
  return operation;
}

Operation GiveUpBulkLoadOp(std::string store, std::vector<std::string> keys, std::string value) {
  Operation operation;
  operation.name = fmt::format("bulk load of {} into {}, given up", keys.size(), store);
  operation.run = [=](Session& session) -> Status {
    auto opened = session.pool->OpenStore(store);
    if (!opened.ok()) return opened.TakeStatus();
    auto loader = (*opened)->NewBulkLoader();
    if (!loader.ok()) return loader.TakeStatus();
    return AddAll(**loader, keys, value);
  };
  return operation;
}

Operation FillLeafOp(std::string store, std::string key, std::string value) {
  Operation operation;
  operation.name = fmt::format("fill the leaf of {}/{}", store, key);
  operation.run = [=](Session& session) -> Status {
    auto opened = session.pool->OpenStore(store);
    if (!opened.ok()) return opened.TakeStatus();
    for (;;) {
      if (Status s = (*opened)->Put(key, value); !s.ok()) return s;
      auto leaf = LeafOf(**opened, key);
      if (!leaf.ok()) return leaf.TakeStatus();
      if (!HasRoom(*session.pool, *leaf, key, value.size())) return Status();
    }
  };
  operation.effect = [=](Contents* contents) { (*contents)[store + "/" + key] = value; };
  return operation;
}

Operation ConsolidateAheadOp(std::string store, std::string key, size_t value_bytes) {
  Operation operation;
  operation.name = fmt::format("consolidate the leaf of {}/{}", store, key);
  operation.run = [=](Session& session) -> Status {
    auto opened = session.pool->OpenStore(store);
    if (!opened.ok()) return opened.TakeStatus();
    auto leaf = LeafOf(**opened, key);
    if (!leaf.ok()) return leaf.TakeStatus();
    Tree& tree = StoreAccess::Of(**opened).tree;
    return tree.ConsolidateIfFull(*leaf, leaf->number(), key.size(),
                                  RecordBytes(key.size(), value_bytes));
  };
  return operation;
}

Operation WaitOp() {
  Operation operation;
  operation.name = "wait";
  operation.run = [](Session& session) { return session.pool->WaitForBackgroundWork(); };
  return operation;
}

Operation FragmentOp() {
  Operation operation;
  operation.name = "fragment";
  operation.run = [](Session& session) {
    FrameAllocator& allocator = PoolTestPeer::Map(*session.pool).allocator();
    std::vector<Pfn> all;
    for (Pfn pfn; (pfn = allocator.Allocate(0, AllocFor::kGrowth)) != 0;) all.push_back(pfn);
    for (const Pfn pfn : all) {
      if (pfn % 16 == 0) allocator.Free(pfn, 0);
    }
    return Status();
  };
  return operation;
}

}  // namespace tuff::test
