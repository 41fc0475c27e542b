// The map as SVG: a picture that needs no script.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tools/inspect_map.h"
#include "tools/map_colours.h"
#include "tools/sizes.h"
#include "tools/utf8.h"

namespace tuff::tools {
namespace {

// Pixels.
constexpr size_t kLeft = 88;
constexpr size_t kGridWidth = 768;
constexpr size_t kRight = 24;
constexpr size_t kGridTop = 84;
constexpr size_t kLine = 20;
constexpr size_t kOwnersShown = 12;

struct Grid {
  explicit Grid(size_t count)
      : cells(count),
        columns(count <= 64    ? 16
                : count <= 512 ? 32
                               : 64),
        rows((count + columns - 1) / columns),
        pitch(kGridWidth / columns),
        gap(std::max<size_t>(2, pitch / 8)) {}
  size_t X(size_t i) const { return kLeft + i % columns * pitch; }
  size_t Y(size_t i) const { return kGridTop + i / columns * pitch; }
  size_t bottom() const { return kGridTop + rows * pitch; }

  size_t cells, columns, rows, pitch, gap;
};

/// At most `characters` of it, escaped.
std::string Cut(std::string_view text, size_t characters) {
  size_t at = 0;
  for (size_t n = 0; at < text.size() && n < characters; n++) {
    at += std::max<size_t>(1, Utf8Length(text.substr(at)));
  }
  return EscapeXml(text.substr(0, at)) + (at < text.size() ? "…" : "");
}

void AddStyle(std::string* out) {
  const auto rules = [](std::string_view page, std::string_view ink, std::string_view soft,
                        bool dark) {
    std::string css =
        fmt::format(".page{{fill:{}}}text{{fill:{}}}.soft{{fill:{}}}", page, ink, soft);
    for (size_t i = 0; i < kMapUses; i++) {
      const MapUse use = static_cast<MapUse>(i);
      const MapColour& colour = ColourOf(use);
      css += fmt::format(".{}{{fill:{}}}", MapUseId(use), dark ? colour.dark : colour.light);
    }
    css += fmt::format(".bad{{fill:none;stroke-width:2;stroke:{}}}",
                       dark ? ColourOf(MapUse::kDamaged).dark : ColourOf(MapUse::kDamaged).light);
    return css;
  };
  *out +=
      "<style>text{font:13px system-ui,\"DejaVu Sans\",sans-serif;unicode-bidi:isolate}"
      ".title{font-size:20px;font-weight:600}.small{font-size:11px}.end{text-anchor:end}" +
      rules("#ffffff", "#14202b", "#5a6875", false) + "@media (prefers-color-scheme:dark){" +
      rules("#0f1419", "#e8edf2", "#98a6b3", true) + "}</style>\n";
}

/// The first row is drawn, the others are copies; the last may be short.
void AddEmptyCells(const Grid& grid, std::string* out) {
  const auto row = [&](size_t y, size_t columns) {
    std::string path;
    for (size_t i = 0; i < columns; i++) {
      path += fmt::format("M{} {}h{side}v{side}h-{side}z", grid.X(i), y,
                          fmt::arg("side", grid.pitch - grid.gap));
    }
    return path;
  };
  const size_t whole = grid.cells / grid.columns;
  for (size_t i = 0; i < whole; i++) {
    *out += i == 0 ? fmt::format("<path id=\"row\" class=\"free\" d=\"{}\"/>\n",
                                 row(kGridTop, grid.columns))
                   : fmt::format("<use href=\"#row\" y=\"{}\"/>\n", i * grid.pitch);
  }
  const size_t rest = grid.cells % grid.columns;
  if (rest == 0) return;
  *out +=
      fmt::format("<path class=\"free\" d=\"{}\"/>\n", row(kGridTop + whole * grid.pitch, rest));
}

void AddCell(const PoolMap& map, const Grid& grid, size_t i, std::string* out) {
  const MapCell& cell = map.cells[i];
  const MapUse use = cell.MainUse();
  if (use == MapUse::kFree && cell.damaged == 0) return;
  const size_t side = grid.pitch - grid.gap;
  const std::string where =
      fmt::format("x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", grid.X(i), grid.Y(i), side, side);
  const double strength = use < MapUse::kLeaf ? 1 : 0.3 + 0.7 * FillOf(cell);
  const std::string owner =
      cell.shares.empty() ? "" : "; " + ObjectLabel(map, cell.shares[0].object_id);
  *out += fmt::format("<g><rect class=\"{}\" {} fill-opacity=\"{:.2f}\"/>", MapUseId(use), where,
                      strength);
  if (cell.damaged != 0) *out += fmt::format("<rect class=\"bad\" {}/>", where);
  *out += fmt::format("<title>pfn {} to {}: {}, {} used{}</title></g>\n", cell.start,
                      cell.start + cell.frames() - 1, MapUseName(use),
                      Percent(cell.used(), cell.usable()), EscapeXml(owner));
}

void AddLabels(const PoolMap& map, const Grid& grid, std::string* out) {
  const size_t every = grid.rows > 16 ? 4 : 1;
  for (size_t row = 0; row < grid.rows; row += every) {
    *out += fmt::format("<text class=\"soft small end\" x=\"{}\" y=\"{}\">{}</text>\n", kLeft - 10,
                        kGridTop + row * grid.pitch + (grid.pitch - grid.gap) / 2 + 4,
                        FormatSize(map.cells[row * grid.columns].start * kFrameSize));
  }
}

/// Returns where it ends.
size_t AddLegend(const PoolMap& map, size_t y, std::string* out) {
  size_t shown = 0;
  constexpr size_t kColumns = 3;
  constexpr size_t kWide = kGridWidth / kColumns;
  for (size_t i = 0; i < kMapUses; i++) {
    if (map.total.frames_of[i] == 0) continue;
    const size_t x = kLeft + shown % kColumns * kWide;
    const size_t line = y + shown / kColumns * kLine;
    *out += fmt::format(
        "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" rx=\"2\"/>"
        "<text x=\"{}\" y=\"{}\">{} <tspan class=\"soft\">{}, {}</tspan></text>\n",
        MapUseId(static_cast<MapUse>(i)), x, line, x + 18, line + 11,
        MapUseName(static_cast<MapUse>(i)), FormatSize(map.total.frames_of[i] * kFrameSize),
        Percent(map.total.frames_of[i], map.frames));
    shown++;
  }
  y += (shown + kColumns - 1) / kColumns * kLine;
  std::vector<std::string> lines = MapWarnings(map);
  if (map.total.damaged != 0) lines.back() += ", in the cells that are framed";
  lines.insert(lines.begin(), fmt::format("One cell: {}, coloured by what most of it is used for; "
                                          "the stronger, the fuller.",
                                          CellSize(map)));
  for (const std::string& line : lines) {
    *out += fmt::format("<text class=\"soft\" x=\"{}\" y=\"{}\">{}</text>\n", kLeft, y + 14,
                        EscapeXml(line));
    y += kLine;
  }
  return y + kLine;
}

size_t AddOwners(const PoolMap& map, size_t y, std::string* out) {
  const size_t shown = std::min(kOwnersShown, map.objects.size());
  for (size_t i = 0; i < shown; i++) {
    const MapObject& object = map.objects[i];
    *out += fmt::format(
        "<text class=\"end\" x=\"{}\" y=\"{}\">{}</text><text class=\"soft end\" x=\"{}\" "
        "y=\"{}\">{}</text><text x=\"{}\" y=\"{}\">{}</text>\n",
        kLeft + 80, y + 14, FormatSize(object.frames * kFrameSize), kLeft + 150, y + 14,
        Percent(object.frames, map.frames), kLeft + 166, y + 14, Cut(ObjectLabel(object), 64));
    y += kLine;
  }
  if (shown < map.objects.size()) {
    *out += fmt::format("<text class=\"soft\" x=\"{}\" y=\"{}\">and {} more</text>\n", kLeft + 166,
                        y + 14, map.objects.size() - shown);
    y += kLine;
  }
  return y;
}

}  // namespace

std::string MapSvg(const PoolMap& map) {
  const Grid grid(map.cells.size());
  std::string body;
  AddStyle(&body);
  body += "<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n";
  body += fmt::format("<text class=\"title\" x=\"{}\" y=\"36\">Pool map</text>\n", kLeft);
  body += fmt::format(
      "<text class=\"soft\" x=\"{}\" y=\"60\">{}: {}, {} frames; {} of what can be used is used"
      "</text>\n",
      kLeft, Cut(map.path, 60), FormatSize(map.frames * kFrameSize), map.frames,
      Percent(map.total.used(), map.total.usable()));
  AddEmptyCells(grid, &body);
  for (size_t i = 0; i < map.cells.size(); i++) AddCell(map, grid, i, &body);
  AddLabels(map, grid, &body);
  size_t y = AddLegend(map, grid.bottom() + kLine, &body);
  y = AddOwners(map, y, &body);
  const size_t width = kLeft + kGridWidth + kRight;
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" "
             "height=\"{}\" role=\"img\">\n<title>Pool map of {}</title>\n",
             width, y + kLine, width, y + kLine, EscapeXml(map.path)) +
         body + "</svg>\n";
}

}  // namespace tuff::tools
