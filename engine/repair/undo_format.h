// What an undo file of `tuff fsck` consists of: an UndoHeader, then for each page an UndoPage and
// the bytes that the page had before the repair.
#pragma once

#include <cstdint>

#include "pagemap/format_table.h"

namespace tuff {

struct UndoHeader {
  char magic[8];
  uint64_t checksum;
  uint32_t version;
  uint32_t page_bytes;
  uint64_t pages;
  uint64_t file_bytes;
  uint64_t file_bytes_after;
};
inline constexpr Field kUndoHeaderFields[] = {
    TUFF_FIELD(UndoHeader, magic, Text, "`tuffundo`"),
    TUFF_FIELD(UndoHeader, checksum, Hex, "Checksum64 of the fields behind this one, seed 0"),
    TUFF_FIELD(UndoHeader, version, Decimal, "1"),
    TUFF_FIELD(UndoHeader, page_bytes, Decimal, "length of a page"),
    TUFF_FIELD(UndoHeader, pages, Decimal, "how many follow"),
    TUFF_FIELD(UndoHeader, file_bytes, Decimal, "length of the pool's file"),
    TUFF_FIELD(UndoHeader, file_bytes_after, Decimal,
               "the same after the repair: more, if it was truncated"),
};
TUFF_FORMAT(UndoHeader, kUndoHeaderFields, "Begins an undo file of `tuff fsck`.");

struct UndoPage {
  uint64_t offset;
  uint64_t checksum_before;
  uint64_t checksum_after;
};
inline constexpr Field kUndoPageFields[] = {
    TUFF_FIELD(UndoPage, offset, Hex, "byte offset in the pool"),
    TUFF_FIELD(UndoPage, checksum_before, Hex,
               "Checksum64 of the page as it was, seeded with `offset`: of the bytes that follow"),
    TUFF_FIELD(UndoPage, checksum_after, Hex, "of the page as the repair has written it"),
};
TUFF_FORMAT(UndoPage, kUndoPageFields, "Begins a page of an undo file; its former bytes follow.");

}  // namespace tuff
