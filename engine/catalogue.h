// Catalogue: the pool's objects by name, and their anchors.
//
// On the medium: a tree of records id -> {anchor, kind, name}, so that a rename is one put. Names
// are looked up in a table in memory, filled at the first use.
// Thread-safety: all functions from any thread.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "engine/object_format.h"
#include "engine/tree.h"

namespace tuff {

struct ObjectInfo {
  std::string name;
  uint32_t id = 0;
  ObjectKind kind = ObjectKind::kStore;
  Pfn anchor = 0;
};

class Catalogue {
 public:
  explicit Catalogue(PageMap& map)
      : map_(map), tree_(map, kCatalogueObjectId, kCatalogueAnchorPfn) {}

  /// Writes the catalogue's own anchor into a new pool.
  static Status Format(PersistDomain& domain, uint64_t hash_seed);
  /// Checks the catalogue's anchor.
  Status Open();

  Result<ObjectInfo> Create(std::string_view name, ObjectKind kind);  // Exists
  /// Makes an anchor and, in the same event, puts value_of(its pfn) under the id into `tree`.
  Result<ObjectInfo> NewAnchor(uint32_t id, ObjectKind kind, Tree* tree,
                               const std::function<std::string(Pfn)>& value_of);
  /// Takes an object out and, in the same event, puts `value` under its id into `to`.
  Status Move(const ObjectInfo& object, Tree* to, std::string_view value, Versions& versions);
  Result<ObjectInfo> Find(std::string_view name);  // NotFound
  Status Rename(std::string_view from, std::string_view to);
  Result<std::map<std::string, ObjectInfo, std::less<>>> List();

  /// The object's anchor, checked: owner word, checksum, id and kind.
  Result<Anchor> ReadAnchor(Pfn pfn, uint32_t id, ObjectKind kind);
  /// Notes that the object's contents changed in this mount.
  Status MarkModified(Pfn anchor);

  Tree& tree() { return tree_; }

 private:
  Status Load();
  Status CheckName(std::string_view name) const;
  Status StoreWord(Pfn anchor, size_t offset, uint64_t value);

  PageMap& map_;
  Tree tree_;
  std::mutex mutex_;
  bool loaded_ = false;                                     // guarded by mutex_
  std::map<std::string, ObjectInfo, std::less<>> by_name_;  // guarded by mutex_
};

/// The checksum that an anchor at `pfn` should have.
uint64_t AnchorChecksum(const Anchor& anchor, uint64_t hash_seed, Pfn pfn);

/// A catalogue record's key.
std::string CatalogueKey(uint32_t id);
/// A catalogue record's entry and name; false if it cannot be one.
bool ParseCatalogueRecord(std::string_view key, std::string_view value, ObjectInfo* info);

}  // namespace tuff
