// What is behind tuff::Store, for the pool that makes it.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "engine/graveyard.h"
#include "engine/no_throw.h"
#include "engine/tree.h"
#include "engine/versions.h"
#include "tuff/store.h"

namespace tuff {

class Store::Impl {
 public:
  Impl(PageMap& map, Versions& pool_versions, Graveyard& pool_graveyard, uint32_t id, Pfn anchor,
       std::string store_name)
      : tree(map, id, anchor, &pool_versions),
        versions(pool_versions),
        graveyard(pool_graveyard),
        name(std::move(store_name)) {}

  Tree tree;
  Versions& versions;
  Graveyard& graveyard;
  // Alive; for Close to list.
  std::atomic<uint64_t> iterators{0};
  std::atomic<uint64_t> pinned_values{0};
  std::atomic<uint64_t> bulk_loaders{0};
  std::mutex gate_mutex;  // held by whoever closes the tree's gate, until it is open or dropped
  mutable std::mutex mutex;
  std::string name;  // guarded by mutex
};

/// What Store, Pool, WriteBatch, Transaction and BulkLoader know of each other.
class StoreAccess {
 public:
  static Store::Impl& Of(const Store& store) { return *store.impl_; }
};

/// Registers a sequence number for as long as it lives: a given snapshot's, or the newest one.
class RegisteredSequence {
 public:
  RegisteredSequence(Versions& versions, const Snapshot* snapshot) : versions_(versions) {
    if (snapshot != nullptr) {
      sequence_ = snapshot->sequence();
      versions.Share(sequence_);
      return;
    }
    auto registered = versions.Register();
    status_ = registered.ok() ? Status() : registered.TakeStatus();
    if (status_.ok()) sequence_ = *registered;
  }
  ~RegisteredSequence() {
    if (status_.ok()) versions_.Unregister(sequence_);
  }
  RegisteredSequence(const RegisteredSequence&) = delete;
  RegisteredSequence& operator=(const RegisteredSequence&) = delete;
  const Status& status() const { return status_; }
  uint64_t sequence() const { return sequence_; }

 private:
  Versions& versions_;
  Status status_;
  uint64_t sequence_ = 0;
};

}  // namespace tuff
