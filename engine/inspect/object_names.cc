// Names of objects, read from the catalogue's leaves alone: an inner node may be what is damaged.
#include <unordered_map>
#include <utility>

#include "engine/catalogue.h"
#include "engine/image.h"
#include "engine/inspect/pool_map.h"

namespace tuff {
namespace {

struct Named {
  uint64_t sequence = 0;
  bool deleted = false;
  std::string name;
};
using Names = std::unordered_map<uint32_t, Named>;

void Take(const RecordView& record, Names* names) {
  const uint64_t sequence = SequenceOf(record.sequence_and_type);
  ObjectInfo info;
  if (record.type() == RecordType::kDelete) {
    uint32_t id = 0;
    if (record.key.size() != sizeof id) return;
    std::memcpy(&id, record.key.data(), sizeof id);
    info.id = __builtin_bswap32(id);
  } else if (!ParseCatalogueRecord(record.key, record.value, &info)) {
    return;
  }
  Named& named = (*names)[info.id];
  if (sequence < named.sequence) return;
  named = {sequence, record.type() == RecordType::kDelete, std::move(info.name)};
}

void TakeLog(const NodeView& node, uint64_t hash_seed, Names* names) {
  const auto seed = [&](size_t at) { return RecordSeed(hash_seed, node.number(), at); };
  size_t group_end = 0;
  for (size_t at = node.base_end(); at < node.bytes();) {
    RecordView record;
    size_t bytes = 0;
    if (at >= group_end && FindGroup(node.data(), at, node.bytes(), seed(at), &bytes)) {
      at += kGroupBytes;
      group_end = at + bytes;
      continue;
    }
    const size_t in_group = at < group_end ? kInGroup : 0;
    if (!ReadRecord(node.data(), at, node.bytes(), seed(at + in_group), &record)) return;
    Take(record, names);
    at += record.bytes;
  }
}

}  // namespace

std::vector<MapObject> ReadObjectNames(const PoolImage& image, const std::vector<Pfn>& leaves) {
  Names names;
  for (const Pfn pfn : leaves) {
    const unsigned order = UnpackOwner(image.OwnerWordAt(pfn)).order;
    if (order > kNodeOrderMax || !image.Holds(pfn, order)) continue;
    const NodeView node = image.NodeAt(pfn, order);
    if (!VerifyNode(node, image.hash_seed(), kCatalogueObjectId).ok() || !node.is_leaf()) continue;
    RecordView record;
    for (size_t i = 0; i < node.count() && node.BaseRecord(i, &record); i++) Take(record, &names);
    TakeLog(node, image.hash_seed(), &names);
  }
  std::vector<MapObject> found;
  for (auto& [id, named] : names) {
    if (!named.deleted) found.push_back({id, std::move(named.name), 0});
  }
  return found;
}

}  // namespace tuff
