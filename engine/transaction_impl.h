// What is behind tuff::Transaction.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <utility>

#include "engine/batch.h"
#include "engine/store_impl.h"
#include "tuff/transaction.h"

namespace tuff {

class Transaction::Impl {
 public:
  /// A key that was read, written or both.
  struct Key {
    Tree* tree = nullptr;
    Precondition condition = {};  // if it was read: it must still be so
    bool writes = false;
    RecordType type = RecordType::kPut;
    std::string value;
  };

  Impl(PageMap& page_map, Versions& pool_versions, std::atomic<uint64_t>& alive_in_pool)
      : map(page_map), versions(pool_versions), alive(alive_in_pool), at(pool_versions, nullptr) {
    alive.fetch_add(1, std::memory_order_relaxed);
  }
  ~Impl() { alive.fetch_sub(1, std::memory_order_relaxed); }

  Status Get(Store& store, std::string_view key, std::string* value);
  Status Set(Store& store, std::string_view key, std::string_view value, RecordType type);
  Status Commit();

  PageMap& map;
  Versions& versions;
  std::atomic<uint64_t>& alive;
  const RegisteredSequence at;
  std::map<std::pair<uint32_t, std::string>, Key> keys;  // in the order in which leaves are latched
  size_t bytes = 0;
  bool ended = false;

 private:
  Status CheckMore(const Store& store, size_t more) const;
  Key* Find(const Store& store, std::string_view key);
};

}  // namespace tuff
