#include "tools/inspect_map.h"

#include <fmt/format.h>
#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>

#include "tools/escape.h"
#include "tools/sizes.h"

namespace tuff::tools {
namespace {

// What one can still tell apart, or a browser draws at once.
constexpr uint64_t kTextCellsMax = 64 * 64;
constexpr uint64_t kSvgCellsMax = 64 * 64;
constexpr uint64_t kDataCellsMax = 1ull << 16;

uint64_t CellsMax(MapFormat format) {
  switch (format) {
    case MapFormat::kText:
      return kTextCellsMax;
    case MapFormat::kSvg:
      return kSvgCellsMax;
    case MapFormat::kHtml:
    case MapFormat::kJson:
      break;
  }
  return kDataCellsMax;
}

TerminalStyle StyleOfStandardOutput() {
  TerminalStyle style;
  if (isatty(STDOUT_FILENO) != 1) return style;
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) style.columns = size.ws_col;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  style.colour = (no_colour == nullptr || *no_colour == '\0') && term != nullptr &&
                 std::string_view(term) != "dumb";
  std::setlocale(LC_CTYPE, "");
  style.utf8 = std::string_view(nl_langinfo(CODESET)) == "UTF-8";
  return style;
}

std::string Draw(const PoolMap& map, MapFormat format) {
  switch (format) {
    case MapFormat::kText:
      break;
    case MapFormat::kSvg:
      return MapSvg(map);
    case MapFormat::kHtml:
      return MapHtml(map);
    case MapFormat::kJson:
      return MapJson(map);
  }
  return MapText(map, StyleOfStandardOutput());
}

}  // namespace

void DeclareInspectMap(Command* command, MapFormat* format) {
  command->AddExample("tuff inspect map /mnt/pmem/pool", "what lies where, in the terminal");
  command->AddExample("tuff inspect map /mnt/pmem/pool --format html >map.html",
                      "a page to look around in");
  command->Value("--format", "FORMAT",
                 Choice<MapFormat>(format, {{"text", MapFormat::kText},
                                            {"svg", MapFormat::kSvg},
                                            {"html", MapFormat::kHtml},
                                            {"json", MapFormat::kJson}}),
                 "Of map: text (default), svg, html (one page, nothing beside it) or json.");
  command->AddManSection(
      "MAP",
      {"A cell is a page block (2 MiB, 512 frames of 4 KiB), or a power of two of them: there are "
       "at most 4096 cells in the terminal and in SVG, 65536 in a page and in JSON. Its colour, or "
       "its letter, is what most of its used frames are used for; how strong it is, or whether it "
       "is a capital, how many of them are used.",
       "Leaves and inner nodes are told from each other by their headers, of which at most "
       "16777216 "
       "are read. Damaged are an owner word that is none, or lies in another run, and a node "
       "whose header does not fit its owner word; nothing else is checked here.",
       "As JSON: path, frame_bytes, frames, blocks, blocks_per_cell, in_use, superblocks_damaged, "
       "truncated, damaged, total (frames by use), runs_by_order, objects: an array of object_id, "
       "frames and, if it could be read, name; frames_unlisted (of objects beyond the first "
       "65536); "
       "cells: an array of pfn (the first), frames (by use), runs_by_order, damaged, objects (how "
       "many own frames there), largest_objects: an array of object_id, frames. Cells in which "
       "nothing lies are left out. Uses are free, tables (the pool's own), missing (behind the end "
       "of a truncated file), damaged, leaf, inner, node (of either kind), metadata, extent, "
       "cached_block, batch_log, raw and quarantined; those without frames are left out.",
       "In a terminal, the environment variable NO_COLOR turns colours off."});
}

Outcome RunInspectMap(const std::string& path, MapFormat format, const Context& context) {
  Result<PoolMap> map = ReadPoolMap(path, CellsMax(format));
  if (!map.ok()) return map.TakeStatus();
  for (const std::string& warning : MapWarnings(*map)) {
    context.console->Line(fmt::format("warning: {}: {}", path, warning));
  }
  context.output->Write(Draw(*map, format));
  return Status();
}

std::string ObjectLabel(const MapObject& object) {
  if (object.id == 1) return "catalogue";
  if (object.name.empty()) return fmt::format("object {}", object.id);
  if (object.name.front() == '/') return Escape(object.name.substr(1));  // the pool's own
  return "store " + Escape(object.name);
}

std::string ObjectLabel(const PoolMap& map, uint32_t object_id) {
  const auto found = std::find_if(map.objects.begin(), map.objects.end(),
                                  [&](const MapObject& o) { return o.id == object_id; });
  return found == map.objects.end() ? fmt::format("object {}", object_id) : ObjectLabel(*found);
}

double FillOf(const MapCell& cell) {
  const uint64_t usable = cell.usable();
  return usable == 0 ? 0 : static_cast<double>(cell.used()) / static_cast<double>(usable);
}

std::string Percent(uint64_t part, uint64_t whole) {
  const double share = whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
  return fmt::format("{:.1f} %", 100 * share);
}

std::string CellSize(const PoolMap& map) {
  return fmt::format("{} page block{} ({})", map.blocks_per_cell,
                     map.blocks_per_cell == 1 ? "" : "s",
                     FormatSize(map.blocks_per_cell * kBlockFrames * kFrameSize));
}

std::vector<std::string> MapWarnings(const PoolMap& map) {
  std::vector<std::string> warnings;
  if (map.in_use) {
    warnings.emplace_back(
        "in use by another process: this is a moment's view, and may look damaged");
  }
  if (map.guessed) {
    warnings.emplace_back("both superblocks are damaged: the size is the file's");
  }
  if (map.truncated) {
    warnings.push_back(fmt::format("truncated: {} frames of {} are missing",
                                   map.total.of(MapUse::kMissing), map.frames));
  }
  if (map.total.damaged != 0) {
    warnings.push_back(
        fmt::format("owner words or node headers that are damaged: {}", map.total.damaged));
  }
  return warnings;
}

std::string EscapeXml(std::string_view text) {
  const std::string clean = Escape(text);
  std::string out;
  for (size_t i = 0; i < clean.size(); i++) {
    const char c = clean[i];
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if (clean.compare(i, 3, "\xef\xbf\xbe") == 0 ||
               clean.compare(i, 3, "\xef\xbf\xbf") == 0) {
      out += "\xef\xbf\xbd";  // U+FFFE and U+FFFF are no characters of XML
      i += 2;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace tuff::tools
