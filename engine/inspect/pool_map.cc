#include "engine/inspect/pool_map.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "engine/image.h"
#include "engine/object_format.h"

namespace tuff {
namespace {

// Node headers that are read at most: each is a page of the file.
constexpr uint64_t kHeadersMax = 1ull << 24;
// Objects that are counted one by one; a pool of junk may seem to have any number.
constexpr size_t kObjectsMax = 1ull << 16;
// Leaves of the catalogue that are read for names.
constexpr size_t kCatalogueLeavesMax = 1ull << 14;

struct UseName {
  std::string_view name;
  std::string_view id;
};
constexpr std::array<UseName, kMapUses> kUseNames = {{
    {"free", "free"},
    {"pool's tables", "tables"},
    {"missing", "missing"},
    {"damaged", "damaged"},
    {"leaf", "leaf"},
    {"inner node", "inner"},
    {"node, not looked into", "node"},
    {"metadata", "metadata"},
    {"extent", "extent"},
    {"cached block", "cached_block"},
    {"batch log", "batch_log"},
    {"raw", "raw"},
    {"quarantined", "quarantined"},
}};

MapUse UseOf(FrameKind kind) {
  switch (kind) {
    case FrameKind::kFree:
      return MapUse::kFree;
    case FrameKind::kMetadata:
      return MapUse::kMetadata;
    case FrameKind::kTreeNode:
      return MapUse::kNode;
    case FrameKind::kExtent:
      return MapUse::kExtent;
    case FrameKind::kCachedBlock:
      return MapUse::kCachedBlock;
    case FrameKind::kBatchLog:
      return MapUse::kBatchLog;
    case FrameKind::kRaw:
      return MapUse::kRaw;
    case FrameKind::kQuarantined:
      return MapUse::kQuarantined;
  }
  return MapUse::kDamaged;
}

/// Reserved frames below `end`: IsReserved, counted.
uint64_t TablesBelow(Pfn end) {
  const uint64_t section = SectionOf(end);
  const uint64_t rest = end - SectionStart(section);
  const auto head = [](uint64_t s) { return FrameTablePfn(s) - SectionStart(s) + 64; };
  const uint64_t more_in_first = section == 0 ? 0 : head(0) - head(1);
  const uint64_t memmap = rest < kBlockFrames ? 0 : std::min(rest - kBlockFrames, kMemmapFrames);
  return section * (head(1) + kMemmapFrames) + more_in_first + std::min(rest, head(section)) +
         memmap;
}
static_assert(kFrameTableFrames == 64);

class Mapper {
 public:
  Mapper(const PoolImage& image, uint64_t cells_max) : image_(image) {
    map_.path = image.path();
    map_.frames = image.superblock().frames;
    map_.in_use = image.in_use();
    map_.guessed = image.guessed();
    map_.truncated = image.truncated();
    map_.blocks = (map_.frames + kBlockFrames - 1) >> kBlockShift;
    while (CellsOf(map_.blocks) > cells_max) map_.blocks_per_cell *= 2;
    map_.cells.resize(CellsOf(map_.blocks));
  }

  PoolMap Run() {
    for (uint64_t section = 0; section < SectionsOf(image_.frames()); section++) {
      image_.ForEachOwnerWord(section, [this](Pfn pfn, uint64_t word) { Take(pfn, word); });
    }
    EndCell();
    for (size_t i = 0; i < map_.cells.size(); i++) Fill(i);
    ListObjects();
    return std::move(map_);
  }

 private:
  uint64_t CellsOf(uint64_t blocks) const {
    return blocks / map_.blocks_per_cell + (blocks % map_.blocks_per_cell != 0 ? 1 : 0);
  }

  void Take(Pfn pfn, uint64_t word) {
    const size_t index = BlockOf(pfn) / map_.blocks_per_cell;
    if (index != index_) EndCell();
    index_ = index;
    MapCell& cell = map_.cells[index];
    const OwnerWord owner = UnpackOwner(word);
    const bool valid = OwnerIsValid(pfn, word) && image_.Holds(pfn, owner.order);
    if (!valid || pfn < covered_) {
      cell.damaged++;
      // A frame of tables, or of another run, is counted there.
      if (!IsReserved(pfn) && pfn >= covered_) cell.frames_of[IndexOf(MapUse::kDamaged)]++;
      return;
    }
    const uint64_t frames = 1ull << owner.order;
    covered_ = pfn + frames;
    cell.runs_of[owner.order]++;
    const auto kind = static_cast<FrameKind>(owner.kind);
    const MapUse use = kind == FrameKind::kTreeNode ? NodeUse(pfn, owner) : UseOf(kind);
    if (use == MapUse::kDamaged) cell.damaged++;
    cell.frames_of[IndexOf(use)] += frames;
    if (kind == FrameKind::kQuarantined) return;
    in_cell_[owner.object_id] += frames;
    if (frames_of_object_.size() < kObjectsMax || frames_of_object_.contains(owner.object_id)) {
      frames_of_object_[owner.object_id] += frames;
    } else {
      map_.frames_unlisted += frames;
    }
  }

  MapUse NodeUse(Pfn pfn, const OwnerWord& owner) {
    const bool of_catalogue =
        owner.object_id == kCatalogueObjectId && catalogue_.size() < kCatalogueLeavesMax;
    if (owner.order > kNodeOrderMax) return MapUse::kDamaged;
    if (headers_ >= kHeadersMax && !of_catalogue) return MapUse::kNode;
    headers_++;
    const NodeHeader& header = image_.NodeAt(pfn, owner.order).header();
    const bool fits = header.object_id == owner.object_id && header.order == owner.order &&
                      header.level <= kLevelMax;
    if (fits && header.kind == kNodeLeaf && header.level == 0) {
      if (of_catalogue) catalogue_.push_back(pfn);
      return MapUse::kLeaf;
    }
    return fits && header.kind == kNodeInner && header.level > 0 ? MapUse::kInner
                                                                 : MapUse::kDamaged;
  }

  /// Keeps the largest shares of the cell that the pass leaves.
  void EndCell() {
    if (in_cell_.empty()) return;
    MapCell& cell = map_.cells[index_];
    for (const auto& [id, frames] : in_cell_) cell.shares.push_back({id, frames});
    cell.objects = cell.shares.size();
    std::sort(cell.shares.begin(), cell.shares.end(), [](const MapShare& a, const MapShare& b) {
      return a.frames != b.frames ? a.frames > b.frames : a.object_id < b.object_id;
    });
    cell.shares.resize(std::min(cell.shares.size(), MapCell::kShares));
    cell.shares.shrink_to_fit();
    in_cell_.clear();
  }

  /// What follows from where the cell lies; the rest of it is free.
  void Fill(size_t index) {
    MapCell& cell = map_.cells[index];
    cell.start = index * map_.blocks_per_cell << kBlockShift;
    const Pfn end = std::min<Pfn>(cell.start + (map_.blocks_per_cell << kBlockShift), map_.frames);
    const Pfn there = std::clamp<Pfn>(image_.frames(), cell.start, end);
    cell.frames_of[IndexOf(MapUse::kMissing)] = end - there;
    cell.frames_of[IndexOf(MapUse::kTables)] = TablesBelow(there) - TablesBelow(cell.start);
    cell.frames_of[IndexOf(MapUse::kFree)] = end - cell.start - cell.frames();
    for (size_t use = 0; use < kMapUses; use++) map_.total.frames_of[use] += cell.frames_of[use];
    for (size_t i = 0; i <= kOrderMax; i++) map_.total.runs_of[i] += cell.runs_of[i];
    map_.total.damaged += cell.damaged;
  }

  void ListObjects() {
    std::unordered_map<uint32_t, std::string> names;
    for (MapObject& object : ReadObjectNames(image_, catalogue_)) {
      names[object.id] = std::move(object.name);
    }
    for (const auto& [id, frames] : frames_of_object_) {
      const auto name = names.find(id);
      map_.objects.push_back({id, name == names.end() ? "" : name->second, frames});
    }
    std::sort(map_.objects.begin(), map_.objects.end(), [](const auto& a, const auto& b) {
      return a.frames != b.frames ? a.frames > b.frames : a.id < b.id;
    });
    map_.total.objects = map_.objects.size();
  }

  const PoolImage& image_;
  PoolMap map_;
  std::unordered_map<uint32_t, uint64_t> frames_of_object_;
  std::vector<Pfn> catalogue_;  // leaves
  uint64_t headers_ = 0;        // that were read

  // Where the pass is.
  size_t index_ = 0;
  Pfn covered_ = 0;  // by the last run
  std::unordered_map<uint32_t, uint64_t> in_cell_;
};

}  // namespace

std::string_view MapUseName(MapUse use) { return kUseNames[IndexOf(use)].name; }
std::string_view MapUseId(MapUse use) { return kUseNames[IndexOf(use)].id; }

uint64_t MapCell::frames() const {
  return std::accumulate(frames_of.begin(), frames_of.end(), uint64_t{0});
}

uint64_t MapCell::usable() const { return frames() - of(MapUse::kTables) - of(MapUse::kMissing); }

MapUse MapCell::MainUse() const {
  MapUse main = MapUse::kFree;
  uint64_t most = 0;
  for (size_t i = IndexOf(MapUse::kMissing); i < kMapUses; i++) {
    if (frames_of[i] <= most) continue;
    most = frames_of[i];
    main = static_cast<MapUse>(i);
  }
  if (most == 0 && 2 * of(MapUse::kTables) >= frames()) return MapUse::kTables;
  return main;
}

PoolMap MapOf(const PoolImage& image, uint64_t cells_max) {
  return Mapper(image, std::max<uint64_t>(1, cells_max)).Run();
}

Result<PoolMap> ReadPoolMap(const std::string& path, uint64_t cells_max) {
  auto image = PoolImage::Open(path, {.also_in_use = true});
  if (!image.ok()) return image.TakeStatus();
  return MapOf(**image, cells_max);
}

}  // namespace tuff
