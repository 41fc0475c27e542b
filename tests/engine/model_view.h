// ModelView: what a store should hold now, or held when a snapshot was taken.
//
// A snapshot copies nothing when it is taken: for each key that changes afterwards, the model
// writes down what the key was before (Changes).
// Thread-safety: none.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tuff/tuff.h"

namespace tuff::test {

using Contents = std::map<std::string, std::string>;
/// By key: the value that it had; nullopt: none.
using Changes = std::map<std::string, std::optional<std::string>>;

class ModelView {
 public:
  using Record = std::optional<std::pair<std::string, std::string>>;

  /// `changes`: null: as it is now. Both must outlive the view.
  explicit ModelView(const Contents& now, const Changes* changes = nullptr)
      : now_(now), changes_(changes) {}

  /// Null: no such key.
  const std::string* Get(const std::string& key) const;
  /// The first record at or above `key`, or above it.
  Record From(const std::string& key, bool inclusive) const;
  /// The last record at or below `key`, or below it.
  Record DownFrom(const std::string& key, bool inclusive) const;
  Contents All() const;

 private:
  const Contents& now_;
  const Changes* const changes_;
};

/// A moment that is still being looked at: by a snapshot, by an iterator, or by both.
struct ModelSnapshot {
  static constexpr size_t kStores = 2;
  const Snapshot* snapshot = nullptr;
  std::unique_ptr<Iterator> iterator;  // over the first store
  Changes changes[kStores];
};

}  // namespace tuff::test
