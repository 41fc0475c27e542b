// What the stream of `tuff dump-metadata` consists of: a DumpHeader, pieces, and an end; see
// docs/metadata-dump.md.
#pragma once

#include <cstdint>

#include "pagemap/format_table.h"

namespace tuff {

struct DumpHeader {
  char magic[8];
  uint32_t version;
  uint32_t flags;
  uint64_t pool_bytes;
  uint64_t reserved[4];
  uint64_t checksum;
};
inline constexpr Field kDumpHeaderFields[] = {
    TUFF_FIELD(DumpHeader, magic, Text, "`tuffmeta`"),
    TUFF_FIELD(DumpHeader, version, Decimal, "1"),
    TUFF_FIELD(DumpHeader, flags, Hex, "bit 0: other keys; bit 1: damaged frames as they are"),
    TUFF_FIELD(DumpHeader, pool_bytes, Decimal, "length of the pool's file"),
    TUFF_FIELD(DumpHeader, reserved, Hex, "0"),
    TUFF_FIELD(DumpHeader, checksum, Hex, "Checksum64 of the fields before, seed 0"),
};
TUFF_FORMAT(DumpHeader, kDumpHeaderFields, "Begins the stream of `tuff dump-metadata`.");

struct DumpPiece {
  uint64_t pfn;
  uint32_t frames;
  uint32_t flags;
  uint64_t bytes;
  uint64_t checksum;
};
inline constexpr Field kDumpPieceFields[] = {
    TUFF_FIELD(DumpPiece, pfn, Decimal, "where it belongs; of the end, the number of pieces"),
    TUFF_FIELD(DumpPiece, frames, Decimal, "at most 1 024; of the end, 0"),
    TUFF_FIELD(DumpPiece, flags, Hex,
               "bit 0: the end; bit 1: something in it could not be decoded and is not there"),
    TUFF_FIELD(DumpPiece, bytes, Decimal, "how many follow; what is missing of the frames is 0"),
    TUFF_FIELD(DumpPiece, checksum, Hex,
               "Checksum64 of the bytes that follow; its seed is Checksum64 of the fields before, "
               "with the number of pieces before it as seed"),
};
TUFF_FORMAT(DumpPiece, kDumpPieceFields, "Begins a piece of that stream, and ends it.");

}  // namespace tuff
