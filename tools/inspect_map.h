// tuff inspect map: the whole pool as a picture, for the terminal, as SVG, as one HTML page, or as
// data. The parts of a picture that several of them need are here, too.
// Thread-safety: pure functions, but for RunInspectMap, which reads the pool.
#pragma once

#include <string>
#include <string_view>

#include "engine/inspect/pool_map.h"
#include "tools/command.h"
#include "tools/verb.h"

namespace tuff::tools {

enum class MapFormat : uint8_t { kText, kSvg, kHtml, kJson };

/// --format, and what the manual page says of the data.
void DeclareInspectMap(Command* command, MapFormat* format);

/// Also of a damaged pool, and of one in use.
Outcome RunInspectMap(const std::string& path, MapFormat format, const Context& context);

struct TerminalStyle {
  size_t columns = 80;
  bool colour = false;
  bool utf8 = false;
};

std::string MapText(const PoolMap& map, const TerminalStyle& style);
std::string MapSvg(const PoolMap& map);
std::string MapHtml(const PoolMap& map);
std::string MapJson(const PoolMap& map);

/// "store users", "catalogue", "object 17": without control characters.
std::string ObjectLabel(const PoolMap& map, uint32_t object_id);
std::string ObjectLabel(const MapObject& object);
/// Used frames of those that could be used, 0 to 1.
double FillOf(const MapCell& cell);
/// "12.5 %".
std::string Percent(uint64_t part, uint64_t whole);
/// "1 page block (2 MiB)".
std::string CellSize(const PoolMap& map);
/// What must be said of the pool beside the picture, one line each.
std::vector<std::string> MapWarnings(const PoolMap& map);
/// For text and attributes of XML and HTML: escaped, and without what XML does not allow.
std::string EscapeXml(std::string_view text);

}  // namespace tuff::tools
