// The parts of the map's HTML page, map_page.html and .css and map_*.js, as the build embeds them.
// Thread-safety: constants.
#pragma once

#include <string_view>

namespace tuff::tools {

extern const std::string_view kMapPageHtml;  // {{TITLE}}, {{STYLE}}, {{DATA}}, {{SCRIPT}}
extern const std::string_view kMapPageStyle;
extern const std::string_view kMapPageScript;

}  // namespace tuff::tools
