// For tests of engine/: a look behind the public interface of an open pool.
#pragma once

#include <map>
#include <string>

#include "engine/check.h"
#include "engine/pool_impl.h"
#include "tests/test_util.h"

namespace tuff::test {

inline CheckReport Check(Pool& pool) {
  std::scoped_lock at_rest(PoolTestPeer::GetGraveyard(pool).step_mutex(),
                           PoolTestPeer::GetConsolidator(pool).step_mutex());
  return CheckPool(PoolTestPeer::Map(pool), PoolTestPeer::GetCatalogue(pool));
}

/// What CheckPool finds wrong; empty if nothing.
inline std::string Problems(Pool& pool) {
  const CheckReport report = Check(pool);
  return report.problems.empty() ? "" : report.ToString();
}

inline uint64_t FreeFrames(Pool& pool) {
  PageMap& map = PoolTestPeer::Map(pool);
  map.limbo().Reclaim();
  return map.allocator().CountFreeFrames();
}

/// An open pool in a directory of its own, with one store.
/// All of a store's records.
using Contents = std::map<std::string, std::string>;

inline Contents Read(Store& store) {
  Contents found;
  auto it = store.NewIterator();
  for (it->SeekToFirst(); it->Valid(); it->Next()) found.emplace(it->key(), it->value());
  EXPECT_OK(it->status());
  return found;
}

class PoolFixture {
 public:
  explicit PoolFixture(const CreateOptions& options = SmallPool()) : options_(options) {
    Use(Pool::Create(path(), options));
  }
  std::string path() const { return dir_.File("pool"); }
  Pool& pool() { return *pool_; }
  Store& store() { return *store_; }
  PageMap& map() { return PoolTestPeer::Map(*pool_); }
  bool is_open() const { return pool_ != nullptr; }

  void Close() {
    EXPECT_OK(pool_->Close());
    pool_.reset();
    store_ = nullptr;
  }
  void Reopen(bool read_only = false) {
    if (pool_ != nullptr) Close();
    OpenOptions open = options_.open;
    open.read_only = read_only;
    Use(Pool::Open(path(), open));
  }
  /// Closes, changes the file with `change(path)`, and opens again.
  template <typename Change>
  void Tamper(const Change& change) {
    Close();
    change(path());
    Reopen();
  }

 private:
  void Use(Result<std::unique_ptr<Pool>> pool) {
    ASSERT_OK(pool);
    pool_ = std::move(*pool);
    auto store = pool_->OpenOrCreateStore("store");
    ASSERT_OK(store);
    store_ = *store;
  }

  TempDir dir_;
  CreateOptions options_;
  std::unique_ptr<Pool> pool_;
  Store* store_ = nullptr;
};

}  // namespace tuff::test
