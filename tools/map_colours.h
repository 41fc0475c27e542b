// The colours of the map's pictures, on light and on dark ground.
// Thread-safety: constants.
#pragma once

#include <array>
#include <string_view>

#include "engine/inspect/pool_map.h"

namespace tuff::tools {

struct MapColour {
  std::string_view light;
  std::string_view dark;
};

// By MapUse.
inline constexpr std::array<MapColour, kMapUses> kMapColours = {{{"#e9edf2", "#232b34"},
                                                                 {"#a3adb8", "#5d6875"},
                                                                 {"#dccaca", "#3d2e2e"},
                                                                 {"#d92d20", "#ff5c4d"},
                                                                 {"#2a78d6", "#3987e5"},
                                                                 {"#7a4fd0", "#9f86f0"},
                                                                 {"#4aa3c7", "#4fa9cc"},
                                                                 {"#c0469a", "#dd6fb8"},
                                                                 {"#e07b1f", "#f0903a"},
                                                                 {"#12967a", "#22b394"},
                                                                 {"#c99700", "#e0b02e"},
                                                                 {"#7a8b3a", "#9db04d"},
                                                                 {"#8a2c2c", "#b34a4a"}}};

constexpr const MapColour& ColourOf(MapUse use) { return kMapColours[IndexOf(use)]; }

}  // namespace tuff::tools
