#include "pagemap/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

// Of libxxhash: the same hash with the widest vectors that the processor has. Its header
// (xxh_x86dispatch.h) would have it replace the one that is inlined here.
extern "C" XXH64_hash_t XXH3_64bits_dispatch(const void* input, size_t bytes);

namespace tuff {

uint64_t Hash64(const void* data, size_t n) {
  constexpr size_t kVectors = 240;  // XXH3 uses none up to this length
  return n <= kVectors ? XXH3_64bits(data, n) : XXH3_64bits_dispatch(data, n);
}

}  // namespace tuff
