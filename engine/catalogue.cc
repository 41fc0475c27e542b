#include "engine/catalogue.h"

#include <fmt/format.h>

#include <cstring>

#include "engine/batch.h"
#include "engine/cursor.h"
#include "engine/graveyard.h"
#include "engine/no_throw.h"

namespace tuff {

uint64_t AnchorChecksum(const Anchor& anchor, uint64_t hash_seed, Pfn pfn) {
  constexpr size_t kFrom = offsetof(Anchor, object_id);
  return Checksum64(reinterpret_cast<const std::byte*>(&anchor) + kFrom,
                    offsetof(Anchor, root) - kFrom, hash_seed ^ Mix64(pfn));
}

Anchor MakeAnchor(uint32_t id, ObjectKind kind, uint64_t hash_seed, Pfn pfn) {
  Anchor anchor{};
  anchor.object_id = id;
  anchor.kind = static_cast<uint32_t>(kind);
  anchor.created_ns = NowNs();
  anchor.modified_ns = anchor.created_ns;
  anchor.attributes_changed_ns = anchor.created_ns;
  anchor.checksum = AnchorChecksum(anchor, hash_seed, pfn);
  return anchor;
}

std::string CatalogueKey(uint32_t id) {
  const uint32_t big_endian = __builtin_bswap32(id);
  return {reinterpret_cast<const char*>(&big_endian), sizeof big_endian};
}

bool ParseCatalogueRecord(std::string_view key, std::string_view value, ObjectInfo* info) {
  uint32_t id = 0;
  CatalogueEntry entry;
  const bool is_record = key.size() == sizeof id && value.size() > sizeof entry &&
                         value.size() - sizeof entry <= kStoreNameSizeMax;
  if (!TUFF_CHECK("catalogue.record", is_record)) return false;
  std::memcpy(&id, key.data(), sizeof id);
  std::memcpy(&entry, value.data(), sizeof entry);
  info->id = __builtin_bswap32(id);
  info->kind = static_cast<ObjectKind>(entry.kind);
  info->anchor = entry.anchor_pfn;
  info->name = value.substr(sizeof entry);
  return true;
}

Status Catalogue::Format(PersistDomain& domain, uint64_t hash_seed) {
  const Anchor anchor =
      MakeAnchor(kCatalogueObjectId, ObjectKind::kCatalogue, hash_seed, kCatalogueAnchorPfn);
  WriteWindow window(domain);
  window.Store(OffsetOf(kCatalogueAnchorPfn), &anchor, sizeof anchor);
  TUFF_FLUSH("create.5", window, OffsetOf(kCatalogueAnchorPfn), sizeof anchor);
  return TUFF_FENCE("create.6", window);
}

Status Catalogue::Open() {
  return ReadAnchor(kCatalogueAnchorPfn, kCatalogueObjectId, ObjectKind::kCatalogue).status();
}

Result<Anchor> Catalogue::ReadAnchor(Pfn pfn, uint32_t id, ObjectKind kind) {
  map_.domain().AdmitThread();
  const bool is_owner = pfn == kCatalogueAnchorPfn ||
                        (map_.RunInPool(pfn, 0) && map_.memmap().OwnerWordAt(pfn) ==
                                                       PackOwner(pfn, FrameKind::kMetadata, 0, id));
  if (!TUFF_CHECK("anchor.owner", is_owner)) {
    return NodeDamage(pfn, fmt::format("not the anchor of object {}", id));
  }
  Anchor anchor;
  std::memcpy(&anchor, map_.base() + OffsetOf(pfn), sizeof anchor);
  if (!TUFF_CHECK("anchor.checksum",
                  anchor.checksum == AnchorChecksum(anchor, map_.hash_seed(), pfn))) {
    return NodeDamage(pfn, fmt::format("anchor of object {} has a wrong checksum", id));
  }
  const bool is_wanted = anchor.object_id == id && anchor.kind == static_cast<uint32_t>(kind);
  if (!TUFF_CHECK("anchor.object", is_wanted)) {
    return NodeDamage(pfn, fmt::format("anchor is not of object {}", id));
  }
  return anchor;
}

Status Catalogue::CheckName(std::string_view name) const {
  if (name.empty()) return Status(Code::kInvalidArgument, "a store's name has at least one byte");
  if (name.size() > kStoreNameSizeMax) {
    return Status(Code::kTooLarge, fmt::format("store name of {} bytes; at most {}", name.size(),
                                               kStoreNameSizeMax));
  }
  if (name.find('/') != name.npos || name.find('\0') != name.npos) {
    return Status(Code::kInvalidArgument, "a store's name holds neither '/' nor NUL");
  }
  return Status();
}

Status Catalogue::Load() {
  if (loaded_) return Status();
  std::map<std::string, ObjectInfo, std::less<>> by_name;
  Cursor cursor(tree_, {});
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
    ObjectInfo info;
    if (!ParseCatalogueRecord(cursor.key(), cursor.value(), &info)) {
      return Status(
          Code::kCorruption,
          fmt::format("{}: a catalogue record is malformed; restore a backup", map_.path()));
    }
    by_name.emplace(info.name, info);
  }
  if (Status s = cursor.status(); !s.ok()) return s;
  by_name_ = std::move(by_name);
  loaded_ = true;
  return Status();
}

Result<ObjectInfo> Catalogue::NewAnchor(uint32_t id, ObjectKind kind, Tree* tree,
                                        const std::function<std::string(Pfn)>& value_of) {
  ObjectInfo info{"", id, kind, map_.allocator().Allocate(0, AllocFor::kGrowth)};
  if (info.anchor == 0) {
    map_.limbo().Reclaim();  // or another thread has just done it
    info.anchor = map_.allocator().Allocate(0, AllocFor::kGrowth);
  }
  if (info.anchor == 0) {
    return Status(Code::kNoSpace, fmt::format("{}: the pool is full", map_.path()));
  }
  alignas(8) std::byte frame[kFrameSize] = {};
  const Anchor anchor = MakeAnchor(id, kind, map_.hash_seed(), info.anchor);
  std::memcpy(frame, &anchor, sizeof anchor);
  const LaneRun run{info.anchor, PackOwner(info.anchor, FrameKind::kMetadata, 0, id)};
  Status s = NoThrow(
      [&] { return tree->PutWithRun(CatalogueKey(id), value_of(info.anchor), run, frame); });
  if (!s.ok()) {
    if (!map_.domain().failed()) map_.allocator().Free(info.anchor, 0);
    return s;
  }
  return info;
}

Result<ObjectInfo> Catalogue::Create(std::string_view name, ObjectKind kind) {
  if (kind == ObjectKind::kStore) {
    if (Status s = CheckName(name); !s.ok()) return s;
  }
  std::lock_guard lock(mutex_);
  if (Status s = Load(); !s.ok()) return s;
  if (by_name_.contains(name)) {
    return Status(Code::kExists, fmt::format("{}: store '{}' exists already", map_.path(), name));
  }
  if (Status s = map_.domain().CheckWritable(); !s.ok()) return s;
  auto id = map_.NextObjectId();
  if (!id.ok()) return id.TakeStatus();
  // After the commit nothing may fail.
  ObjectInfo made{std::string(name), *id, kind, 0};
  decltype(by_name_) noted;
  noted.emplace(name, made);
  auto info = NewAnchor(*id, kind, &tree_, [&](Pfn anchor) {
    const CatalogueEntry entry{anchor, static_cast<uint32_t>(kind), 0};
    return std::string(reinterpret_cast<const char*>(&entry), sizeof entry).append(name);
  });
  if (!info.ok()) return info;
  made.anchor = noted.begin()->second.anchor = info->anchor;
  by_name_.merge(noted);
  return made;
}

Status Catalogue::Move(const ObjectInfo& object, Tree* to, std::string_view value,
                       Versions& versions) {
  std::lock_guard lock(mutex_);
  const std::string key = CatalogueKey(object.id);
  std::vector<BatchOp> ops = {{&tree_, key, {}, RecordType::kDelete},
                              {to, key, value, RecordType::kPut}};
  BatchWriter writer(map_, versions);
  if (Status s = writer.Write(std::move(ops)); !s.ok()) return s;
  by_name_.erase(object.name);
  return Status();
}

Result<ObjectInfo> Catalogue::Find(std::string_view name) {
  std::lock_guard lock(mutex_);
  if (Status s = Load(); !s.ok()) return s;
  const auto it = by_name_.find(name);
  if (it == by_name_.end()) {
    return Status(Code::kNotFound, fmt::format("{}: no store '{}'", map_.path(), name));
  }
  return it->second;
}

Status Catalogue::Rename(std::string_view from, std::string_view to) {
  if (Status s = CheckName(to); !s.ok()) return s;
  std::lock_guard lock(mutex_);
  if (Status s = Load(); !s.ok()) return s;
  const auto it = by_name_.find(from);
  if (it == by_name_.end() || it->second.kind == ObjectKind::kGraveyard) {
    return Status(Code::kNotFound, fmt::format("{}: no store '{}'", map_.path(), from));
  }
  if (from == to) return Status();
  if (by_name_.contains(to)) {
    return Status(Code::kExists, fmt::format("{}: store '{}' exists already", map_.path(), to));
  }
  ObjectInfo info = it->second;
  const CatalogueEntry entry{info.anchor, static_cast<uint32_t>(info.kind), 0};
  std::string value(reinterpret_cast<const char*>(&entry), sizeof entry);
  value += to;
  info.name = to;
  decltype(by_name_) noted;  // after the commit nothing may fail
  noted.emplace(to, info);
  if (Status s = tree_.Put(CatalogueKey(info.id), value); !s.ok()) return s;
  by_name_.erase(it);
  by_name_.merge(noted);
  return StoreWord(info.anchor, offsetof(Anchor, attributes_changed_ns), NowNs());
}

Result<std::map<std::string, ObjectInfo, std::less<>>> Catalogue::List() {
  std::lock_guard lock(mutex_);
  if (Status s = Load(); !s.ok()) return s;
  return by_name_;
}

Status Catalogue::StoreWord(Pfn anchor, size_t offset, uint64_t value) {
  const uint64_t place = OffsetOf(anchor) + offset;
  WriteWindow window(map_.domain());
  window.Store64(place, value);
  TUFF_FLUSH("anchor.1", window, place, 8);
  return TUFF_FENCE("anchor.2", window);
}

Status Catalogue::MarkModified(Pfn pfn) {
  if (Status s = map_.domain().CheckWritable(); !s.ok()) return s;
  const uint64_t counter = Load64(map_.base() + OffsetOf(pfn) + offsetof(Anchor, change_counter));
  if (Status s = StoreWord(pfn, offsetof(Anchor, modified_ns), NowNs()); !s.ok()) return s;
  CRASH_POINT("anchor.3");
  return StoreWord(pfn, offsetof(Anchor, change_counter), counter + 1);
}

}  // namespace tuff
