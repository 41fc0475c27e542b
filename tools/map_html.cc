// The map as one HTML page, with nothing beside it. The page's parts are map_page.html and .css and
// map_*.js; here they are put together with the data.
#include <fmt/format.h>

#include "tools/escape.h"
#include "tools/inspect_map.h"
#include "tools/json.h"
#include "tools/map_colours.h"
#include "tools/map_page.h"

namespace tuff::tools {
namespace {

void AddPairs(std::string* out, const auto& values, size_t from) {
  *out += '[';
  for (size_t i = from; i < values.size(); i++) {
    if (values[i] != 0) *out += fmt::format("{}{},{}", out->back() == '[' ? "" : ",", i, values[i]);
  }
  *out += ']';
}

/// A number stands for so many cells without anything but tables; else
/// [damaged, objects, [use, frames, ...], [order, runs, ...], [object, frames, ...]].
std::string Cells(const PoolMap& map) {
  std::string out = "[";
  uint64_t empty = 0;
  const auto end_empty = [&] {
    if (empty != 0) out += fmt::format("{},", empty);
    empty = 0;
  };
  for (const MapCell& cell : map.cells) {
    if (cell.of(MapUse::kFree) + cell.of(MapUse::kTables) == cell.frames() && cell.damaged == 0) {
      empty++;
      continue;
    }
    end_empty();
    out += fmt::format("[{},{},", cell.damaged, cell.objects);
    AddPairs(&out, cell.frames_of, IndexOf(MapUse::kTables));
    out += ',';
    AddPairs(&out, cell.runs_of, 0);
    out += ",[";
    for (const MapShare& share : cell.shares) {
      out += fmt::format("{}{},{}", out.back() == '[' ? "" : ",", share.object_id, share.frames);
    }
    out += "]],";
  }
  end_empty();
  if (out.back() == ',') out.pop_back();
  return out + ']';
}

std::vector<JsonObject> Uses() {
  std::vector<JsonObject> uses;
  for (size_t i = 0; i < kMapUses; i++) {
    const MapUse use = static_cast<MapUse>(i);
    JsonObject json;
    json.SetBytes("name", MapUseName(use));
    json.SetBytes("light", ColourOf(use).light);
    json.SetBytes("dark", ColourOf(use).dark);
    uses.push_back(std::move(json));
  }
  return uses;
}

std::vector<JsonObject> Objects(const PoolMap& map) {
  std::vector<JsonObject> objects;
  for (const MapObject& object : map.objects) {
    JsonObject json;
    json.SetNumber("id", object.id);
    json.SetBytes("label", ObjectLabel(object));
    json.SetNumber("frames", object.frames);
    objects.push_back(std::move(json));
  }
  return objects;
}

/// `text` as it may stand in a script element: no '<', so nothing there can end or open one.
std::string ForScript(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Data(const PoolMap& map) {
  JsonObject json;
  json.SetBytes("path", Escape(map.path));
  json.SetNumber("frames", map.frames);
  json.SetNumber("blocks_per_cell", map.blocks_per_cell);
  json.SetBytes("cell", CellSize(map));
  json.SetNumber("damaged", map.total.damaged);
  json.SetNumber("frames_unlisted", map.frames_unlisted);
  json.SetArray("uses", Uses());
  json.SetArray("objects", Objects(map));
  std::string line = json.Line();
  line.pop_back();  // the brace
  std::string warnings;
  for (const std::string& text : MapWarnings(map)) {
    warnings += fmt::format("{}\"{}\"", warnings.empty() ? "" : ",", text);
  }
  line += fmt::format(",\"warnings\":[{}],\"total\":[{}],\"cells\":", warnings,
                      fmt::join(map.total.frames_of, ","));
  return ForScript(line + Cells(map) + '}');
}

}  // namespace

std::string MapHtml(const PoolMap& map) {
  std::string out;
  for (std::string_view rest = kMapPageHtml; !rest.empty();) {
    const size_t open = rest.find("{{");
    out += rest.substr(0, open);
    if (open == rest.npos) break;
    const size_t close = rest.find("}}", open);
    const std::string_view part = rest.substr(open + 2, close - open - 2);
    rest.remove_prefix(close + 2);
    if (part == "TITLE") {
      out += EscapeXml(map.path);
    } else if (part == "STYLE") {
      out += kMapPageStyle;
    } else if (part == "SCRIPT") {
      out += kMapPageScript;
    } else {
      out += Data(map);
    }
  }
  return out;
}

}  // namespace tuff::tools
