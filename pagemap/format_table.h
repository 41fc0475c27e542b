// Field tables: each on-media structure is declared once, as a struct and a constexpr list of its
// fields. The list yields the static_asserts (size, offsets, no padding), the byte tables of
// docs/format.md and the decoder behind `tuff inspect` and damage reports.
// Thread-safety: constants and pure functions.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

namespace tuff {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

/// How a field's bytes are shown.
enum class FieldShow : uint8_t { kDecimal, kHex, kText, kBytes };

struct Field {
  const char* name;
  uint32_t offset;  // bytes from the structure's start
  uint32_t size;    // bytes
  FieldShow show;
  const char* meaning;
};

struct FormatTable {
  const char* name;     // of the structure
  const char* meaning;  // one sentence
  uint32_t size;        // bytes
  std::span<const Field> fields;
};

/// True if the fields lie back to back and fill `size` bytes.
consteval bool FieldsFill(std::span<const Field> fields, size_t size) {
  size_t at = 0;
  for (const Field& field : fields) {
    if (field.offset != at) return false;
    at += field.size;
  }
  return at == size;
}

// One row of a field table; `show` is Decimal, Hex, Text or Bytes.
#define TUFF_FIELD(S, member, show, meaning)                                             \
  ::tuff::Field {                                                                        \
#member, offsetof(S, member), sizeof(S::member), ::tuff::FieldShow::k##show, meaning \
  }

// States that `fields` describes `S` byte by byte, and defines `k<S>Table`.
#define TUFF_FORMAT(S, fields, meaning)                                                      \
  static_assert(std::is_trivially_copyable_v<S> && std::is_standard_layout_v<S>);            \
  static_assert(sizeof(S) % 4 == 0 && alignof(S) <= 8, #S " is made of aligned words");      \
  static_assert(::tuff::FieldsFill(fields, sizeof(S)), #S ": a field is missing or padded"); \
  inline constexpr ::tuff::FormatTable k##S##Table { #S, meaning, sizeof(S), fields }

/// One field's value as text; `at` is where the field begins.
std::string ShowField(const Field& field, const std::byte* at);

/// `name: value` lines of the structure whose bytes begin at `bytes`, which holds >= table.size.
std::string DecodeFields(const FormatTable& table, std::span<const std::byte> bytes);

/// The table in Markdown, as docs/format.md has it.
std::string FormatMarkdown(const FormatTable& table);

}  // namespace tuff
