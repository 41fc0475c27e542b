// The map for a terminal.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tools/inspect_map.h"
#include "tools/sizes.h"

namespace tuff::tools {
namespace {

struct Sign {
  char letter;  // of a cell at least half full; lower case: of one that is less
  int colour;   // of the 256
};
// By MapUse.
constexpr std::array<Sign, kMapUses> kSigns = {{{'.', 240},
                                                {'#', 245},
                                                {'-', 238},
                                                {'!', 196},
                                                {'L', 33},
                                                {'I', 141},
                                                {'T', 39},
                                                {'M', 170},
                                                {'E', 208},
                                                {'C', 43},
                                                {'B', 220},
                                                {'R', 109},
                                                {'Q', 203}}};

const Sign& SignOf(MapUse use) { return kSigns[IndexOf(use)]; }
constexpr size_t kLabelColumns = 10;
constexpr size_t kCellsPerRowMax = 64;
constexpr size_t kObjectsShown = 20;

std::string Coloured(const TerminalStyle& style, int colour, std::string_view text) {
  if (!style.colour) return std::string(text);
  return fmt::format("\x1b[38;5;{}m{}\x1b[0m", colour, text);
}

std::string_view Shade(double fill) {
  constexpr std::array<std::string_view, 4> kShades = {"░", "▒", "▓", "█"};
  return kShades[std::min<size_t>(3, static_cast<size_t>(fill * 4))];
}

std::string Glyph(const MapCell& cell, const TerminalStyle& style) {
  const MapUse use = cell.damaged != 0 ? MapUse::kDamaged : cell.MainUse();
  const Sign& sign = SignOf(use);
  if (style.colour && use >= MapUse::kLeaf && style.utf8) {
    return Coloured(style, sign.colour, Shade(FillOf(cell)));
  }
  const bool low = use >= MapUse::kLeaf && FillOf(cell) < 0.5;
  const char letter = low ? static_cast<char>(sign.letter - 'A' + 'a') : sign.letter;
  return Coloured(style, sign.colour, {&letter, 1});
}

void AddLegend(const PoolMap& map, const TerminalStyle& style, std::string* out) {
  const bool shades = style.colour && style.utf8;
  *out += shades ? "\n  ░▒▓█ the fuller, the darker\n"
                 : "\n  capital letters: at least half full; small ones: less\n";
  for (size_t i = 0; i < kMapUses; i++) {
    const MapUse use = static_cast<MapUse>(i);
    if (map.total.frames_of[i] == 0 && !(use == MapUse::kDamaged && map.total.damaged != 0)) {
      continue;
    }
    const std::string letter =
        shades && use >= MapUse::kLeaf ? "█" : std::string(1, SignOf(use).letter);
    *out += fmt::format("  {} {:<22} {:>12}  {:>7}\n", Coloured(style, SignOf(use).colour, letter),
                        MapUseName(use), FormatSize(map.total.frames_of[i] * kFrameSize),
                        Percent(map.total.frames_of[i], map.frames));
  }
}

void AddObjects(const PoolMap& map, std::string* out) {
  if (map.objects.empty()) return;
  *out += "\nowners\n";
  for (size_t i = 0; i < std::min(kObjectsShown, map.objects.size()); i++) {
    const MapObject& object = map.objects[i];
    *out += fmt::format("  {:>12}  {:>7}  {}\n", FormatSize(object.frames * kFrameSize),
                        Percent(object.frames, map.frames), ObjectLabel(object));
  }
  if (map.objects.size() > kObjectsShown) {
    *out += fmt::format("  and {} more\n", map.objects.size() - kObjectsShown);
  }
}

}  // namespace

std::string MapText(const PoolMap& map, const TerminalStyle& style) {
  std::string out = fmt::format("{}: {}, {} frames; {} of what can be used is used\n",
                                Escape(map.path), FormatSize(map.frames * kFrameSize), map.frames,
                                Percent(map.total.used(), map.total.usable()));
  // A power of two, so that sections stand below each other.
  size_t row = kCellsPerRowMax;
  while (row > 8 && kLabelColumns + row > style.columns) row /= 2;
  out += fmt::format("one cell: {}; one row: {}\n\n", CellSize(map),
                     FormatSize(row * map.blocks_per_cell * kBlockFrames * kFrameSize));
  for (size_t i = 0; i < map.cells.size(); i++) {
    if (i % row == 0) {
      out += fmt::format("{:>{}} ", FormatSize(map.cells[i].start * kFrameSize), kLabelColumns - 1);
    }
    out += Glyph(map.cells[i], style);
    if ((i + 1) % row == 0 || i + 1 == map.cells.size()) out += '\n';
  }
  AddLegend(map, style, &out);
  AddObjects(map, &out);
  return out;
}

}  // namespace tuff::tools
