// What is done with a pool that may be damaged in any way: everything that reads it, then all
// kinds of writes. Any answer will do; what may not happen is a fault, a walk without end, or a
// read-only open that writes.
//
// Thread-safety: none.
#pragma once

#include <string>

#include "tests/crash/image_file.h"
#include "tests/fuzz/pool_edits.h"

namespace tuff::test {

// Bits of PoolInput::options.
inline constexpr uint8_t kRunReadOnly = 1;    // opened read-only first
inline constexpr uint8_t kRunPage = 2;        // PAGE granularity
inline constexpr uint8_t kRunDram = 4;        // memmap in DRAM
inline constexpr uint8_t kRunWriteFirst = 8;  // written to before anything is read
inline constexpr uint8_t kRunConsolidator = 16;

/// Opens the file's pool in the ways that `input` says, reads and writes it; aborts on what may not
/// happen. `image` is what the file holds.
void UsePool(const ImageFile& file, const SparseImage& image, const PoolInput& input);

}  // namespace tuff::test
