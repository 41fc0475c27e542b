// Sources: which leaf each key of an object is taken from.
//
// Each leaf is a source for its range. Where ranges overlap, the source of higher rank wins, and of
// two with one rank that with the higher node number. Damaged leaves that nothing leads to have no
// range to win: what is found in them counts where no other leaf's range is.
// Ownership: keys refer to the image, the survey, and to Sources. Thread-safety: none.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/repair/remains.h"
#include "engine/repair/survey.h"

namespace tuff {

struct Source {
  const FoundNode* node = nullptr;
  NodeView view;
  uint64_t number = 0;  // the node's; 0: it is not known
  unsigned rank =
      0;  // 3: its tree leads to it; 2: the owner word is right; 1: something leads to it
  std::string_view low;
  std::optional<std::string_view> high;
  bool claims = true;  // its range is its own

  bool operator<(const Source& other) const {  // goes before it
    if (rank != other.rank) return rank > other.rank;
    if (number != other.number) return number > other.number;
    return node->pfn < other.node->pfn;
  }
};

/// Part of a source's range that no other one has won.
struct Segment {
  std::string_view low;
  std::optional<std::string_view> high;
  const Source* source = nullptr;
  bool first = true;  // of its source
};

class Sources {
 public:
  Sources(const Survey& survey, const PoolImage& image, bool crashed)
      : survey_(survey), image_(image), crashed_(crashed) {}

  /// Takes an object's leaves, and divides the keys among them.
  void Collect(const std::vector<const FoundNode*>& leaves);

  /// By low key. Only those of sources that claim nothing overlap others.
  const std::vector<Segment>& segments() const { return segments_; }
  /// Damaged nodes of the object in which nothing was found, and which no whole tree leads to.
  const std::vector<const FoundNode*>& useless() const { return useless_; }
  /// Sources whose range others have won wholly, or (`partly`) in part.
  const std::vector<const Source*>& superseded() const { return superseded_; }
  const std::vector<const Source*>& partly() const { return partly_; }
  size_t leaves() const { return sources_.size(); }
  /// Ranges that no source claims, by low key.
  std::vector<Segment> Gaps() const;

  Remains Read(const Source& source) const;
  /// All that is found of the keys in key order, the newest of each; deletes are left out. Ends
  /// with the first error of `use`. `done` is called for each source once it has been read.
  using Use = std::function<Status(const Source& source, const RecordView& record)>;
  using Done = std::function<void(const Source& source, const Remains& remains)>;
  Status Stream(const Use& use, const Done& done) const;

 private:
  void Add(const FoundNode& node);
  void Divide(std::vector<Source*> cluster);

  const Survey& survey_;
  const PoolImage& image_;
  const bool crashed_;
  std::vector<Source> sources_;
  std::deque<std::string> keys_;
  std::vector<Segment> segments_;
  std::vector<const FoundNode*> useless_;
  std::vector<const Source*> superseded_;
  std::vector<const Source*> partly_;
};

}  // namespace tuff
