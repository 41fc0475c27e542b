// The stream in which a pool's metadata are sent to somebody: what `tuff dump-metadata` writes and
// `tuff restore-metadata` reads. Format: docs/metadata-dump.md.
//
// Ownership: borrows the image; source and sink are the caller's. Thread-safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tuff/status.h"

namespace tuff {

struct DumpOptions {
  bool hide_keys = false;
  bool raw_damaged = false;
};
struct DumpSummary {
  uint64_t pool_bytes = 0;
  uint64_t nodes = 0;
  uint64_t damaged_nodes = 0;
  uint64_t undecoded = 0;  // pieces of which something could not be decoded
  uint64_t bytes = 0;      // of the stream
};

/// Gives the metadata of the pool at `path` to `sink`, bit by bit; ends with its first error.
/// Errors: as of PoolImage::Open.
Result<DumpSummary> DumpMetadata(const std::string& path, const DumpOptions& options,
                                 const std::function<Status(std::string_view bytes)>& sink);

/// Reads such a stream. Nothing in it is believed before it is checked.
class MetadataReader {
 public:
  /// Reads up to n bytes; fewer only at the end.
  using Read = std::function<Result<size_t>(char* to, size_t n)>;

  struct Piece {
    uint64_t offset = 0;  // bytes from the pool's start
    std::span<const char> bytes;
  };

  explicit MetadataReader(Read read) : read_(std::move(read)) {}
  /// First of all. Errors: Corruption (no such stream), NotSupported (a later version).
  Status ReadHeader();
  uint64_t pool_bytes() const { return pool_bytes_; }
  /// The next piece, in `*piece` until the next call; false at the end. Errors: Corruption (which
  /// part of the stream is damaged, or that it ends too early), and those of `read`.
  Result<bool> Next(Piece* piece);

 private:
  Status ReadAll(char* to, size_t n);

  const Read read_;
  uint64_t pool_bytes_ = 0;
  uint64_t pieces_ = 0;
  std::vector<char> bytes_;
};

}  // namespace tuff
