// PoolMap: what lies where in a pool, by page blocks; what `tuff inspect map` draws.
//
// One pass over the owner words, beside which a bounded number of node headers and the catalogue's
// leaves are read. Nothing of the pool is believed before it is checked, and what is wrong is
// counted. Units: frames of 4 KiB, unless a name says otherwise.
// Ownership: plain values. Thread-safety: ReadPoolMap from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pagemap/pfn.h"
#include "tuff/status.h"

namespace tuff {

class PoolImage;

/// What a frame is used for.
enum class MapUse : uint8_t {
  kFree,
  kTables,       // the pool's own: superblock, lanes, frame tables, memmap
  kMissing,      // beyond the end of a truncated file
  kDamaged,      // its owner word, or the node's header there, is not what it should be
  kLeaf,         // tree nodes
  kInner,        //
  kNode,         // a tree node that was not looked into: there were too many
  kMetadata,     // the others as in FrameKind
  kExtent,       //
  kCachedBlock,  //
  kBatchLog,     //
  kRaw,          //
  kQuarantined,  //
};
inline constexpr size_t kMapUses = 13;
constexpr size_t IndexOf(MapUse use) { return static_cast<size_t>(use); }
/// "leaf", "cached block". Lower case.
std::string_view MapUseName(MapUse use);
/// One word of letters, digits and underlines: "cached_block".
std::string_view MapUseId(MapUse use);

struct MapShare {
  uint32_t object_id;
  uint64_t frames;
};

/// One page block, or as many as are drawn as one cell.
struct MapCell {
  static constexpr size_t kShares = 4;

  Pfn start = 0;
  std::array<uint64_t, kMapUses> frames_of{};     // by MapUse; adds up to frames()
  std::array<uint64_t, kOrderMax + 1> runs_of{};  // runs in use, by order
  uint64_t damaged = 0;                           // owner words and node headers
  uint64_t objects = 0;                           // that own frames here
  std::vector<MapShare> shares;                   // the largest of them, at most kShares

  uint64_t of(MapUse use) const { return frames_of[IndexOf(use)]; }
  uint64_t frames() const;
  /// Frames that an object has, or could have.
  uint64_t usable() const;
  /// Frames that an object has, or nobody may have: damaged and quarantined ones.
  uint64_t used() const { return usable() - of(MapUse::kFree); }
  /// What most of the frames in use are used for; kTables where only tables are and they are half
  /// of the cell or more; else kFree.
  MapUse MainUse() const;
};

struct MapObject {
  uint32_t id = 0;
  std::string name;  // any bytes; empty: it has none, or it could not be read
  uint64_t frames = 0;
};

struct PoolMap {
  std::string path;
  uint64_t frames = 0;  // that the pool should have
  uint64_t blocks = 0;
  uint64_t blocks_per_cell = 1;    // a power of two
  bool in_use = false;             // another process writes it: this is a moment's view
  bool guessed = false;            // neither superblock is whole
  bool truncated = false;          // the file has lost its end
  std::vector<MapCell> cells;      // in order
  MapCell total;                   // without shares
  std::vector<MapObject> objects;  // that own frames; the largest first
  uint64_t frames_unlisted = 0;    // of further objects, for which there was no room
};

/// Reads the map of a pool, in at most `cells_max` (at least 1) cells.
/// Errors: those of PoolImage::Open, but for Locked.
Result<PoolMap> ReadPoolMap(const std::string& path, uint64_t cells_max);
PoolMap MapOf(const PoolImage& image, uint64_t cells_max);

/// Names of the objects that the catalogue's leaves at `leaves` tell, by id. What is damaged of
/// them is left out. Leaves may be stale: of an id's names, the newest counts.
std::vector<MapObject> ReadObjectNames(const PoolImage& image, const std::vector<Pfn>& leaves);

}  // namespace tuff
