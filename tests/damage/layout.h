// What lies where in a pool's image, read from its bytes alone, and what each leaf has held.
//
// A leaf's *states*: what it held when it was written, and after each record or group that has been
// appended to its log since; the last one is the present. They are what a reader may find there.
// Thread-safety: none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/node.h"
#include "tests/crash/crash_image.h"

namespace tuff::test {

enum class Kind : uint8_t {
  kSuperblock,
  kLane,
  kRedoChunk,
  kOwnerWord,
  kAnchor,
  kAnchorWords,  // root, times: outside the anchor's checksum
  kCatalogue,
  kGraveyard,  // its own tree, and the trees that hang in it
  kInner,
  kChildWords,
  kLeafHeader,
  kLeafTables,  // fingerprints, slots, fences
  kLeafBase,
  kLogRecord,
  kLogDelete,
  kLogGroup,
  kLogEnd,  // the zeros behind a log
  kFree,    // frames without an owner, the memmap, what is reserved
};
inline constexpr size_t kKinds = static_cast<size_t>(Kind::kFree) + 1;
const char* KindName(Kind kind);

struct Region {
  uint64_t from = 0;  // bytes from the pool's start
  uint64_t to = 0;
  Kind kind = Kind::kFree;
};

struct LeafStates {
  Pfn pfn = 0;
  std::string store;
  std::vector<std::string> keys;                                // all that it has ever held, sorted
  std::vector<std::vector<std::optional<std::string>>> states;  // of each key
};

/// A part of the pool whose damage can be told from that of others: a node, say.
struct Target {
  std::string name;
  std::vector<Region> regions;
  std::vector<uint32_t> scope;  // the leaves that may suffer from its damage
  bool alone = false;           // everything may
};

struct Layout {
  std::vector<LeafStates> leaves;
  std::vector<Target> targets;
  std::vector<uint64_t> deciders;  // places of the words that decide about live lanes
};

/// Of `image`, damaged as it is; what may be read from it is what `recovered` says: the same image,
/// or what a mount makes of it.
Layout ReadLayout(const SparseImage& image, const SparseImage& recovered,
                  const std::map<uint32_t, std::string>& stores);

}  // namespace tuff::test
