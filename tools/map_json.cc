// The map as data.
#include <string>
#include <utility>
#include <vector>

#include "tools/inspect_map.h"
#include "tools/json.h"

namespace tuff::tools {
namespace {

JsonObject Counts(const MapCell& cell) {
  JsonObject frames;
  for (size_t i = 0; i < kMapUses; i++) {
    if (cell.frames_of[i] != 0) {
      frames.SetNumber(MapUseId(static_cast<MapUse>(i)), cell.frames_of[i]);
    }
  }
  return frames;
}

JsonObject Runs(const MapCell& cell) {
  JsonObject runs;
  for (size_t order = 0; order <= kOrderMax; order++) {
    if (cell.runs_of[order] != 0) runs.SetNumber(std::to_string(order), cell.runs_of[order]);
  }
  return runs;
}

JsonObject Owner(uint32_t id, uint64_t frames) {
  JsonObject json;
  json.SetNumber("object_id", id);
  json.SetNumber("frames", frames);
  return json;
}

JsonObject Cell(const MapCell& cell) {
  JsonObject json;
  json.SetNumber("pfn", cell.start);
  json.SetObject("frames", Counts(cell));
  json.SetObject("runs_by_order", Runs(cell));
  json.SetNumber("damaged", cell.damaged);
  json.SetNumber("objects", cell.objects);
  std::vector<JsonObject> owners;
  for (const MapShare& share : cell.shares) owners.push_back(Owner(share.object_id, share.frames));
  json.SetArray("largest_objects", owners);
  return json;
}

}  // namespace

std::string MapJson(const PoolMap& map) {
  JsonObject json;
  json.SetBytes("path", map.path);
  json.SetNumber("frame_bytes", kFrameSize);
  json.SetNumber("frames", map.frames);
  json.SetNumber("blocks", map.blocks);
  json.SetNumber("blocks_per_cell", map.blocks_per_cell);
  json.SetBool("in_use", map.in_use);
  json.SetBool("superblocks_damaged", map.guessed);
  json.SetBool("truncated", map.truncated);
  json.SetNumber("damaged", map.total.damaged);
  json.SetObject("total", Counts(map.total));
  json.SetObject("runs_by_order", Runs(map.total));
  std::vector<JsonObject> objects;
  for (const MapObject& object : map.objects) {
    JsonObject one = Owner(object.id, object.frames);
    if (!object.name.empty()) one.SetBytes("name", object.name);
    objects.push_back(std::move(one));
  }
  json.SetArray("objects", objects);
  json.SetNumber("frames_unlisted", map.frames_unlisted);
  std::vector<JsonObject> cells;
  for (const MapCell& cell : map.cells) {
    const uint64_t empty = cell.of(MapUse::kFree) + cell.of(MapUse::kTables);
    if (empty != cell.frames() || cell.damaged != 0) cells.push_back(Cell(cell));
  }
  json.SetArray("cells", cells);  // those in which there is anything
  return json.Line() + '\n';
}

}  // namespace tuff::tools
