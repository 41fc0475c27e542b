#include "tests/damage/damage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <set>

namespace tuff::test {
namespace {

constexpr uint64_t kLine = 64;

std::string TextAt(const SparseImage& image, uint64_t line) {
  const SparseImage::Line bytes = image.LineAt(line);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Of these there are many bytes alike.
bool IsBulk(const Region& region) {
  switch (region.kind) {
    case Kind::kLeafBase:
    case Kind::kLogEnd:
    case Kind::kRedoChunk:
    case Kind::kCatalogue:
    case Kind::kGraveyard:
    case Kind::kInner:
    case Kind::kFree:
      return true;
    default:
      return region.to - region.from > 256;
  }
}

class Enumerator {
 public:
  Enumerator(const SparseImage& image, const Layout& layout,
             const std::vector<SparseImage>& earlier, const Thoroughness& how)
      : image_(image), layout_(layout), earlier_(earlier), how_(how), random_(7) {
    for (const Target& target : layout.targets) {
      for (const Region& region : target.regions) {
        of_kind_[static_cast<size_t>(region.kind)].push_back(region);
      }
    }
  }

  std::vector<Damage> Run() {
    for (uint32_t i = 0; i < layout_.targets.size(); i++) {
      target_ = i;
      std::set<uint64_t> lines;
      for (const Region& region : layout_.targets[i].regions) {
        FlipBytes(region);
        for (uint64_t line = region.from & ~(kLine - 1); line < region.to; line += kLine) {
          if (lines.insert(line).second) ReplaceLine(region, line);
        }
      }
    }
    return std::move(damages_);
  }

 private:
  void Add(Kind kind, How how, uint64_t place, std::string bytes) {
    const uint64_t line = place & ~(kLine - 1);
    if (TextAt(image_, line).compare(place - line, bytes.size(), bytes) == 0) return;
    if (how_.stride > 1 && random_.Below(how_.stride) != 0) return;
    // A line of the frame table concerns eight frames; a word that decides about a live lane may
    // keep the pool from being opened.
    const bool alone =
        layout_.targets[target_].alone || (kind == Kind::kOwnerWord && how != How::kFlip) ||
        std::any_of(layout_.deciders.begin(), layout_.deciders.end(),
                    [&](uint64_t word) { return place < word + 8 && word < place + bytes.size(); });
    damages_.push_back({target_, kind, how, alone, place, std::move(bytes)});
  }

  void FlipBytes(const Region& region) {
    const bool bulk = IsBulk(region);
    // Some at the borders, where headers are, and of the rest every so-many-th.
    constexpr uint64_t kBorder = 32;
    for (uint64_t at = region.from; at < region.to; at++) {
      const bool border = at < region.from + kBorder || at + kBorder / 2 >= region.to;
      if (bulk && !border && random_.Below(how_.stride_bulk) != 0) continue;
      const char byte = TextAt(image_, at & ~(kLine - 1))[at % kLine];
      const auto flip = [&](unsigned mask) {
        Add(region.kind, How::kFlip, at,
            std::string(1, static_cast<char>(byte ^ static_cast<char>(mask))));
      };
      if (how_.all_bits && (!bulk || border)) {
        for (unsigned bit = 0; bit < 8; bit++) flip(1u << bit);
      } else if (at % 2 == 0) {
        flip(0xff);
      } else {
        flip(1u << random_.Below(8));
      }
    }
  }

  void ReplaceLine(const Region& region, uint64_t line) {
    const Kind kind = region.kind;
    if (IsBulk(region) && line % OffsetOf(1) >= 4 * kLine && random_.Below(how_.stride_bulk) != 0) {
      return;
    }
    Add(kind, How::kZeros, line, std::string(kLine, '\0'));
    Add(kind, How::kOnes, line, std::string(kLine, '\xff'));
    std::set<std::string> seen = {TextAt(image_, line)};
    for (size_t i = earlier_.size(); i-- > 0 && seen.size() <= how_.older_max;) {
      std::string text = TextAt(earlier_[i], line);
      if (seen.insert(text).second) Add(kind, How::kOlder, line, std::move(text));
    }
    const auto& alike = of_kind_[static_cast<size_t>(kind)];
    const Region& other = alike[random_.Below(alike.size())];
    const uint64_t frame = other.from & ~(kFrameSize - 1);
    if (frame != (line & ~(kFrameSize - 1))) {
      Add(kind, How::kSameKind, line, TextAt(image_, frame + line % kFrameSize));
    }
    Add(kind, How::kSameKind, line, TextAt(image_, other.from & ~(kLine - 1)));
    const auto& unlike = of_kind_[random_.Below(kKinds)];
    if (&unlike == &alike || unlike.empty()) return;
    const Region& from = unlike[random_.Below(unlike.size())];
    const uint64_t lines = (from.to - from.from + kLine - 1) / kLine;
    Add(kind, How::kOtherKind, line,
        TextAt(image_, (from.from & ~(kLine - 1)) + kLine * random_.Below(lines)));
  }

  const SparseImage& image_;
  const Layout& layout_;
  const std::vector<SparseImage>& earlier_;
  const Thoroughness& how_;
  Random random_;
  std::array<std::vector<Region>, kKinds> of_kind_;
  uint32_t target_ = 0;
  std::vector<Damage> damages_;
};

// Whether a target is tried: of the leaves that are like many others, some.
bool IsTried(const Layout& layout, const Target& target, size_t index, uint64_t stride_leaves) {
  if (target.alone || target.scope.size() != 1 || !target.name.starts_with("leaf")) return true;
  // What hangs in the graveyard is not even read.
  if (target.scope[0] == layout.leaves.size()) return index % (4 * stride_leaves) == 0;
  return layout.leaves[target.scope[0]].store != "deep" || index % stride_leaves == 0;
}

}  // namespace

const char* HowName(How how) {
  constexpr std::array<const char*, kHows> kNames = {"byte flipped",     "line of zeros",
                                                     "line of 0xff",     "older line",
                                                     "line of its kind", "line of another"};
  return kNames[static_cast<size_t>(how)];
}

std::string Damage::ToString(const Layout& layout) const {
  return fmt::format("{}: {} at {:#x} (pfn {} + {}) of {}", KindName(kind), HowName(how), place,
                     place >> kFrameShift, place % kFrameSize, layout.targets[target].name);
}

std::vector<Damage> AllDamages(const SparseImage& image, const Layout& layout,
                               const std::vector<SparseImage>& earlier, const Thoroughness& how) {
  std::vector<Damage> damages = Enumerator(image, layout, earlier, how).Run();
  std::erase_if(damages, [&](const Damage& damage) {
    return !IsTried(layout, layout.targets[damage.target], damage.target, how.stride_leaves);
  });
  return damages;
}

std::vector<std::vector<uint32_t>> Combine(const std::vector<Damage>& damages, const Layout& layout,
                                           size_t at_once) {
  std::vector<std::vector<uint32_t>> sets;
  std::vector<std::deque<uint32_t>> queues(layout.targets.size());
  for (uint32_t i = 0; i < damages.size(); i++) {
    if (damages[i].alone || at_once == 1) {
      sets.push_back({i});
    } else {
      queues[damages[i].target].push_back(i);
    }
  }
  std::vector<uint32_t> order(queues.size());
  for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
  for (;;) {
    // The longest first, or they would be left over.
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return queues[a].size() != queues[b].size() ? queues[a].size() > queues[b].size() : a < b;
    });
    std::vector<uint32_t> set;
    std::vector<bool> taken(layout.leaves.size() + 1);
    for (const uint32_t target : order) {
      const auto& scope = layout.targets[target].scope;
      if (queues[target].empty() || set.size() == at_once) break;
      if (std::any_of(scope.begin(), scope.end(), [&](uint32_t leaf) { return taken[leaf]; })) {
        continue;
      }
      for (const uint32_t leaf : scope) taken[leaf] = true;
      set.push_back(queues[target].front());
      queues[target].pop_front();
    }
    if (set.empty()) return sets;
    sets.push_back(std::move(set));
  }
}

SparseImage Apply(SparseImage image, const std::vector<Damage>& damages,
                  const std::vector<uint32_t>& which) {
  for (const uint32_t i : which) {
    const uint64_t line = damages[i].place & ~(kLine - 1);
    SparseImage::Line bytes = image.LineAt(line);
    std::memcpy(bytes.data() + (damages[i].place - line), damages[i].bytes.data(),
                damages[i].bytes.size());
    image.SetLine(line, bytes);
  }
  return image;
}

}  // namespace tuff::test
