#include "pagemap/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tuff {

uint64_t Hash64(const void* data, size_t n) { return XXH3_64bits(data, n); }

}  // namespace tuff
