#include "engine/repair/sources.h"

#include <algorithm>
#include <map>

namespace tuff {
namespace {

using High = std::optional<std::string_view>;

// Bounds from above; none is above all.
bool Below(const High& a, const High& b) { return a && (!b || *a < *b); }
bool Above(const std::string_view low, const High& high) { return high && low >= *high; }

// Disjoint ranges by their low keys; those that touch are one.
class Claims {
 public:
  // Calls use(low, high) for each part of the range that is not claimed.
  template <typename Use>
  void ForEachFree(std::string_view low, const High& high, const Use& use) const {
    auto at = ranges_.upper_bound(low);
    if (at != ranges_.begin()) --at;
    for (; at != ranges_.end() && !Above(at->first, high); ++at) {
      if (low < at->first) use(low, High(at->first));
      if (!at->second) return;
      low = std::max(low, *at->second);
    }
    if (!Above(low, high)) use(low, high);
  }

  void Claim(std::string_view low, High high) {
    auto at = ranges_.upper_bound(low);
    if (at != ranges_.begin()) {
      const auto before = std::prev(at);
      if (!before->second || *before->second >= low) at = before;
    }
    while (at != ranges_.end() && !(high && at->first > *high)) {
      low = std::min(low, at->first);
      if (Below(high, at->second)) high = at->second;
      at = ranges_.erase(at);
    }
    ranges_.emplace(low, high);
  }

 private:
  std::map<std::string_view, High> ranges_;
};

}  // namespace

void Sources::Add(const FoundNode& node) {
  Source source;
  source.node = &node;
  source.view = survey_.View(node);
  source.number = node.number;
  source.rank = node.reached ? 3 : node.owned ? 2 : node.referred ? 1 : 0;
  if (node.whole) {
    source.low = source.view.low();
    if (source.view.has_high()) source.high = source.view.high();
    sources_.push_back(source);
    return;
  }
  const Remains remains = ReadDamagedLeaf(source.view, image_.hash_seed(), crashed_);
  // A record whose checksum is right shows that the number is.
  if (remains.records.empty()) source.number = 0;
  if (node.meant != nullptr) {
    source.low = node.meant->low;
    if (!node.meant->high.empty()) source.high = node.meant->high;
  } else if (remains.records.empty()) {
    if (node.owned) useless_.push_back(&node);
    return;
  } else {
    source.claims = false;
    source.low = remains.records.front().key;
    source.high = keys_.emplace_back(std::string(remains.records.back().key) + '\0');
  }
  sources_.push_back(source);
}

void Sources::Collect(const std::vector<const FoundNode*>& leaves) {
  for (const FoundNode* node : leaves) Add(*node);
  std::vector<Source*> by_low;
  by_low.reserve(sources_.size());
  for (Source& source : sources_) by_low.push_back(&source);
  std::sort(by_low.begin(), by_low.end(),
            [](const Source* a, const Source* b) { return a->low < b->low; });
  for (size_t first = 0; first < by_low.size();) {
    High high = by_low[first]->high;
    size_t last = first + 1;
    while (last < by_low.size() && !Above(by_low[last]->low, high)) {
      if (Below(high, by_low[last]->high)) high = by_low[last]->high;
      last++;
    }
    Divide({by_low.begin() + static_cast<ptrdiff_t>(first),
            by_low.begin() + static_cast<ptrdiff_t>(last)});
    first = last;
  }
  std::sort(segments_.begin(), segments_.end(),
            [](const Segment& a, const Segment& b) { return a.low < b.low; });
}

// Sources whose ranges hang together.
void Sources::Divide(std::vector<Source*> cluster) {
  std::sort(cluster.begin(), cluster.end(),
            [](const Source* a, const Source* b) { return *a < *b; });
  Claims claims;
  for (const bool claiming : {true, false}) {
    for (const Source* source : cluster) {
      if (source->claims != claiming) continue;
      const size_t before = segments_.size();
      claims.ForEachFree(source->low, source->high, [&](std::string_view low, const High& high) {
        segments_.push_back({low, high, source, segments_.size() == before});
      });
      const size_t parts = segments_.size() - before;
      const bool all = parts == 1 && segments_.back().low == source->low &&
                       segments_.back().high == source->high;
      if (parts == 0) superseded_.push_back(source);
      if (parts > 0 && !all) partly_.push_back(source);
      if (claiming) claims.Claim(source->low, source->high);
    }
  }
}

std::vector<Segment> Sources::Gaps() const {
  std::vector<Segment> gaps;
  std::string_view low;
  bool to_the_end = false;
  for (const Segment& segment : segments_) {
    if (!segment.source->claims) continue;
    if (low < segment.low) gaps.push_back({low, High(segment.low)});
    to_the_end = to_the_end || !segment.high;
    if (segment.high) low = std::max(low, *segment.high);
  }
  if (!to_the_end) gaps.push_back({low, std::nullopt});
  return gaps;
}

Remains Sources::Read(const Source& source) const {
  return source.node->whole ? ReadWholeLeaf(source.view, image_.hash_seed(), crashed_)
                            : ReadDamagedLeaf(source.view, image_.hash_seed(), crashed_);
}

Status Sources::Stream(const Use& use, const Done& done) const {
  struct Open {
    const Source* source;
    std::vector<RecordView> records;
    size_t at;
    std::string_view key() const { return records[at].key; }
  };
  std::vector<Open> open;
  size_t next = 0;
  while (next < segments_.size() || !open.empty()) {
    const auto first = std::min_element(
        open.begin(), open.end(), [](const Open& a, const Open& b) { return a.key() < b.key(); });
    if (next < segments_.size() && (open.empty() || segments_[next].low <= first->key())) {
      const Segment& segment = segments_[next++];
      Remains remains = Read(*segment.source);
      std::erase_if(remains.records, [&](const RecordView& record) {
        return record.key < segment.low || Above(record.key, segment.high);
      });
      if (segment.first) done(*segment.source, remains);
      if (!remains.records.empty()) {
        open.push_back({segment.source, std::move(remains.records), 0});
      }
      continue;
    }
    const std::string_view key = first->key();
    const Open* best = &*first;
    for (const Open& other : open) {
      if (other.key() == key && *other.source < *best->source) best = &other;
    }
    if (best->records[best->at].type() == RecordType::kPut) {
      if (Status s = use(*best->source, best->records[best->at]); !s.ok()) return s;
    }
    for (Open& other : open) other.at += other.key() == key ? 1 : 0;
    std::erase_if(open, [](const Open& each) { return each.at == each.records.size(); });
  }
  return Status();
}

}  // namespace tuff
