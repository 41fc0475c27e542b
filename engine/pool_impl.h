// What is behind tuff::Pool; also the way in for tests and for check.h.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "engine/catalogue.h"
#include "engine/consolidator.h"
#include "engine/graveyard.h"
#include "engine/store_impl.h"
#include "pagemap/page_map.h"
#include "tuff/pool.h"

namespace tuff {

struct OpenStoreEntry {
  Store::Impl* impl;
  std::unique_ptr<Store> store;
};

class Pool::Impl {
 public:
  Impl(std::unique_ptr<PageMap> page_map, uint64_t version_memory_bytes_max)
      : map(std::move(page_map)),
        catalogue(*map),
        versions(*map, version_memory_bytes_max),
        graveyard(*map, catalogue, versions) {}
  Status Close();
  Status Drop(std::string_view name);
  /// What must go before the pool can be closed, in words; empty if nothing.
  std::string WhatIsAlive();
  /// The open store of this object. REQUIRES: `mutex` is held.
  Result<Store*> Use(const ObjectInfo& info);

  std::unique_ptr<PageMap> map;
  Catalogue catalogue;
  Versions versions;
  Graveyard graveyard;
  std::atomic<uint64_t> transactions{0};  // alive
  std::atomic<bool> scrubbing{false};
  std::mutex mutex;
  std::map<uint32_t, OpenStoreEntry> stores;  // by object id; guarded by mutex
  bool background_consolidation = false;
  Consolidator consolidator;  // goes before the stores whose trees it may be at
};

/// Lets code inside the library and its tests reach a Pool's parts.
class PoolTestPeer {
 public:
  static PageMap& Map(Pool& pool) { return *pool.impl_->map; }
  static Catalogue& GetCatalogue(Pool& pool) { return pool.impl_->catalogue; }
  static Graveyard& GetGraveyard(Pool& pool) { return pool.impl_->graveyard; }
  static Consolidator& GetConsolidator(Pool& pool) { return pool.impl_->consolidator; }
};

}  // namespace tuff
