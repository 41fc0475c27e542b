// A small pool that has something of everything a pool can have, as images of its file: closed
// cleanly; killed in the midst of five changes; and as it was earlier.
//
// What it holds: a catalogue with a renamed store; a tree of three levels; leaves with logs of
// puts, deletes and a batch's group; compound leaves with values of up to 15 kB; a dropped tree,
// half dismantled. When it is killed, five lanes are live: two batches that are committed and in no
// leaf yet (one list lies in its lane, one in chunks), a split before its commit and one after it,
// and a merge before its commit.
// Thread-safety: none.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/crash/contents.h"
#include "tests/crash/crash_image.h"

namespace tuff::test {

struct RichPool {
  SparseImage clean;      // never crashed
  SparseImage unclean;    // killed
  SparseImage recovered;  // the same, as the next mount makes it, before anything else is done
  std::vector<SparseImage> earlier;  // moments of the same pool, oldest first
  Contents contents;                 // of the clean one
  Contents contents_recovered;
  std::map<uint32_t, std::string> stores;  // by object id
};

/// Makes it in a process of its own, so that this one may fork. `failure` tells why it could not.
RichPool MakeRichPool(std::string* failure);

/// The one of this program; without stores, and a failed test, if it could not be made.
const RichPool& TheRichPool();

}  // namespace tuff::test
