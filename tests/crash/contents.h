// What a pool's stores hold, as a plain map: the oracle of the crash tests; and the examination of
// a pool that has survived a crash.
//
// Thread-safety: none.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/engine/engine_test_util.h"

namespace tuff::test {

/// "store" -> "" for every store, "store/key" -> value for every record.
using Contents = std::map<std::string, std::string>;

/// Reads everything.
Result<Contents> ReadContents(Pool& pool);

/// Names the first difference; empty if there is none.
std::string Difference(const Contents& expected, const Contents& found);

struct Examination {
  std::string problem;   // empty: the pool is as it should be
  bool is_pool = false;  // it could be opened
  Contents contents;     // what was there
};

struct ExamineOptions {
  Granularity granularity = Granularity::kCacheLine;
  /// The crash came before Pool::Create had returned: there may be no pool.
  bool may_be_no_pool = false;
  /// Write so much that the affected leaf is restructured, too.
  bool write_much = false;
  /// Close the pool in the end, and open it read-only.
  bool reopen = true;
  /// If set, the pool is opened read-only first, and this is asked afterwards: whether the file
  /// still holds what it did.
  std::function<bool()> is_unchanged = nullptr;
};

/// Opens the pool at `path` and checks that it is sound, that nothing leaks, that its contents are
/// one of the `legal` ones (read-only before that, if so wished, with the same result); that it can
/// be written, and then closed cleanly and opened again.
Examination Examine(const std::string& path, const std::vector<Contents>& legal,
                    const ExamineOptions& options);

}  // namespace tuff::test
