// What is behind tuff::Store, for the pool that makes it.
#pragma once

#include <mutex>
#include <new>
#include <string>

#include "engine/tree.h"
#include "tuff/store.h"

namespace tuff {

/// Calls fn, which returns a Status; memory that runs out becomes one, too (invariant I9).
template <typename Fn>
Status NoThrow(const Fn& fn) {
  try {
    return fn();
  } catch (const std::bad_alloc&) {
    return Status(Code::kNoMemory, "out of memory");
  }
}

class Store::Impl {
 public:
  Impl(PageMap& map, uint32_t id, Pfn anchor, std::string store_name)
      : tree(map, id, anchor), name(std::move(store_name)) {}

  Tree tree;
  std::mutex mutex;
  std::string name;  // guarded by mutex
};

}  // namespace tuff
