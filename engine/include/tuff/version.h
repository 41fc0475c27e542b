// The library's version. The on-media format has a version of its own (docs/format.md).
#pragma once

#define TUFF_VERSION_MAJOR 0
#define TUFF_VERSION_MINOR 1
#define TUFF_VERSION_PATCH 0
#define TUFF_VERSION_STRING "0.1.0"
