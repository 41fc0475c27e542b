// DumpWriter: writes what dump_reader.h describes, byte for byte as mdb_dump does.
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace tuff::tools {

class DumpWriter {
 public:
  struct Section {
    bool print = false;
    std::string database;  ///< empty: no such line
    uint64_t mapsize = 0;  ///< bytes; what mdb_load makes its map of. 0: no such line, for db_load
  };

  explicit DumpWriter(Section section) : section_(std::move(section)) {}

  // Each appends to `*out`.
  void Header(std::string* out) const;
  void Record(std::string_view key, std::string_view value, std::string* out) const;
  void End(std::string* out) const;

 private:
  void DataLine(std::string_view bytes, std::string* out) const;
  Section section_;
};

/// A map in which LMDB has room for whatever a pool of `pool_size_bytes` holds.
uint64_t MapsizeFor(uint64_t pool_size_bytes);

}  // namespace tuff::tools
