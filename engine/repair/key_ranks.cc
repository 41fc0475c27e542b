#include "engine/repair/key_ranks.h"

#include <algorithm>

namespace tuff {

void KeyRanks::Number() {
  std::sort(keys_.begin(), keys_.end());
  keys_.erase(std::unique(keys_.begin(), keys_.end()), keys_.end());
  ranks_.clear();
  ranks_.reserve(keys_.size());
  for (size_t i = 0; i < keys_.size(); i++) {
    std::string rank(keys_[i].size(), '\0');
    if (i > 0) {
      const std::string& last = keys_[i - 1];
      const auto parts = std::mismatch(last.begin(), last.end(), keys_[i].begin(), keys_[i].end());
      const auto common = static_cast<size_t>(parts.first - last.begin());
      std::copy_n(ranks_.back().begin(), common, rank.begin());
      // Greater bytes are fewer than 256, so numbers are, too.
      if (common < last.size()) rank[common] = static_cast<char>(ranks_.back()[common] + 1);
    }
    ranks_.push_back(std::move(rank));
  }
}

std::string KeyRanks::Of(std::string_view key) const {
  const auto at = std::lower_bound(keys_.begin(), keys_.end(), key);
  if (at == keys_.end() || *at != key) return std::string(key.size(), '\0');
  return ranks_[static_cast<size_t>(at - keys_.begin())];
}

}  // namespace tuff
