#include "tests/engine/model_view.h"

#include <iterator>

namespace tuff::test {

const std::string* ModelView::Get(const std::string& key) const {
  if (changes_ != nullptr) {
    const auto changed = changes_->find(key);
    if (changed != changes_->end()) return changed->second ? &*changed->second : nullptr;
  }
  const auto it = now_.find(key);
  return it == now_.end() ? nullptr : &it->second;
}

ModelView::Record ModelView::From(const std::string& key, bool inclusive) const {
  auto it = inclusive ? now_.lower_bound(key) : now_.upper_bound(key);
  if (changes_ == nullptr) return it == now_.end() ? Record() : Record(*it);
  auto changed = inclusive ? changes_->lower_bound(key) : changes_->upper_bound(key);
  for (;;) {
    const bool has_change = changed != changes_->end();
    if (it == now_.end() && !has_change) return std::nullopt;
    if (!has_change || (it != now_.end() && it->first < changed->first)) return *it;
    if (changed->second) return std::pair(changed->first, *changed->second);
    if (it != now_.end() && it->first == changed->first) ++it;
    ++changed;
  }
}

ModelView::Record ModelView::DownFrom(const std::string& key, bool inclusive) const {
  // The iterators stand one behind what they mean.
  auto it = inclusive ? now_.upper_bound(key) : now_.lower_bound(key);
  if (changes_ == nullptr) return it == now_.begin() ? Record() : Record(*std::prev(it));
  auto changed = inclusive ? changes_->upper_bound(key) : changes_->lower_bound(key);
  for (;;) {
    const bool has_record = it != now_.begin();
    const bool has_change = changed != changes_->begin();
    if (!has_record && !has_change) return std::nullopt;
    if (!has_change || (has_record && std::prev(it)->first > std::prev(changed)->first)) {
      return *std::prev(it);
    }
    const auto& [at, before] = *std::prev(changed);
    if (before) return std::pair(at, *before);
    if (has_record && std::prev(it)->first == at) --it;
    --changed;
  }
}

Contents ModelView::All() const {
  Contents all = now_;
  if (changes_ == nullptr) return all;
  for (const auto& [key, before] : *changes_) {
    if (before) {
      all[key] = *before;
    } else {
      all.erase(key);
    }
  }
  return all;
}

}  // namespace tuff::test
