// Leaves and words, read from an image's bytes alone.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/catalogue.h"
#include "engine/graveyard.h"
#include "engine/leaf.h"
#include "engine/log_walk.h"
#include "engine/repair/pool_walk.h"
#include "pagemap/checksum.h"

namespace tuff {
namespace {

Problem MakeProblem(ProblemCode code, std::string text) {
  Problem problem{};
  problem.code = code;
  problem.text = std::move(text);
  return problem;
}

// Of NodeDamage's message, what is between the pfn and the advice.
std::string ReasonOf(const Status& status) {
  std::string_view text = status.message();
  text = text.substr(0, text.rfind(';'));
  const size_t colon = text.find(": ");
  return std::string(colon == text.npos ? text : text.substr(colon + 2));
}

// A damaged record's key may still be readable, and says what is lost.
std::string Whose(const RecordView& record) {
  return fmt::format("key of {} bytes beginning with {:02x}", record.key.size(),
                     static_cast<unsigned char>(record.key[0]));
}

}  // namespace

void ReadBase(const NodeView& node, uint64_t hash_seed, LeafContents* leaf) {
  for (size_t i = 0; i < node.count(); i++) {
    RecordView record;
    const size_t at = node.RecordOffset(i);
    if (ReadRecord(node.data(), at, node.base_end(), RecordSeed(hash_seed, node.number(), at),
                   &record)) {
      leaf->records.push_back(record);
      continue;
    }
    const bool parsed = ParseRecord(node.data(), at, node.base_end(), &record);
    leaf->problems.push_back(MakeProblem(
        ProblemCode::kRecordDamaged,
        fmt::format("base record {} is damaged{}", i, parsed ? " (" + Whose(record) + ")" : "")));
  }
}

LogEnd ReadLog(const NodeView& node, uint64_t hash_seed, bool may_be_torn, LeafContents* leaf) {
  std::vector<LogRecord> logged;
  const size_t end = WalkLog(node, hash_seed, TailSlots(node.order()), &logged);
  for (const LogRecord& entry : logged) leaf->records.push_back(entry.record);
  if (IsZeroFrom(node, end)) return {end, logged.size()};
  if (may_be_torn && !ValidRecordBehind(node, hash_seed, end)) {
    leaf->torn_at = end;
  } else {
    leaf->problems.push_back(
        MakeProblem(ProblemCode::kLogDamaged,
                    fmt::format("log is damaged at byte {} of the node; keys of it may have "
                                "older values now",
                                end)));
  }
  return {end, logged.size()};
}

LeafContents ReadLeaf(const NodeView& node, uint64_t hash_seed, bool may_be_torn) {
  LeafContents leaf;
  ReadBase(node, hash_seed, &leaf);
  ReadLog(node, hash_seed, may_be_torn, &leaf);
  return leaf;
}

std::vector<RecordView> NewestOf(std::vector<RecordView> records, std::string_view low,
                                 const std::optional<std::string>& high) {
  std::erase_if(records, [&](const RecordView& record) {
    return record.key < low || (high && record.key >= *high);
  });
  // Of records with one number, as a batch's are, the one behind counts.
  std::sort(records.begin(), records.end(), [](const RecordView& a, const RecordView& b) {
    const int order = a.key.compare(b.key);
    if (order != 0) return order < 0;
    const uint64_t na = SequenceOf(a.sequence_and_type);
    const uint64_t nb = SequenceOf(b.sequence_and_type);
    return na != nb ? na > nb : a.offset > b.offset;
  });
  const auto same = [](const RecordView& a, const RecordView& b) { return a.key == b.key; };
  records.erase(std::unique(records.begin(), records.end(), same), records.end());
  std::erase_if(records,
                [](const RecordView& record) { return record.type() == RecordType::kDelete; });
  return records;
}

std::optional<Problem> ExamineWord(const PoolFrames& pool, const NodeSite& site, uint64_t word,
                                   NodeView* node) {
  const Pfn pfn = ChildPfn(word);
  const auto problem = [&](ProblemCode code, std::string text) {
    Problem found = MakeProblem(code, fmt::format("pfn {}: {}", pfn, text));
    found.pfn = pfn;
    found.object_id = site.object_id;
    return found;
  };
  if (!pool.Holds(pfn, 0)) {
    return problem(ProblemCode::kChildWord,
                   fmt::format("the word at {:#x} leads outside the pool's data", site.place));
  }
  const NodeView seen(pool.base + OffsetOf(pfn), pfn);
  if (seen.header().order > kNodeOrderMax || !pool.Holds(pfn, seen.header().order) ||
      pfn % (1ull << seen.header().order) != 0) {
    return problem(ProblemCode::kNodeDamaged, "the node's header is damaged");
  }
  if (Status s = VerifyNode(seen, pool.hash_seed, site.object_id); !s.ok()) {
    // A whole node of another object is not damaged: the word is.
    const bool whole = NodeIsWhole(seen, pool.hash_seed);
    return problem(whole ? ProblemCode::kChildWord : ProblemCode::kNodeDamaged, ReasonOf(s));
  }
  if (!RangesHaveKeys(seen)) {
    return problem(ProblemCode::kNodeDamaged, "a range of the node has no keys");
  }
  if (!ChildTagMatches(word, seen.number())) {
    return problem(ProblemCode::kChildWord, "child word and node number do not match");
  }
  if (site.level >= 0 && seen.level() != static_cast<unsigned>(site.level)) {
    return problem(ProblemCode::kChildWord, "node is on the wrong level");
  }
  const bool same_range = seen.low() == site.low && seen.has_high() == site.high.has_value() &&
                          (!site.high || seen.high() == *site.high);
  if (!site.buried && !same_range) {
    return problem(ProblemCode::kWrongRange, "T1: fence keys differ from the parent's separators");
  }
  *node = seen;
  return std::nullopt;
}

bool ReadObjectRecord(const PoolImage& image, ObjectKind tree, const RecordView& record,
                      WalkedObject* object) {
  if (tree == ObjectKind::kGraveyard) {
    GraveyardEntry entry;
    if (!ParseGraveyardRecord(record.key, record.value, &object->id, &entry)) return false;
    object->tree_id = entry.tree_object_id;
    object->kind = static_cast<ObjectKind>(entry.kind);
    object->anchor = entry.anchor_pfn;
    object->buried = true;
  } else {
    ObjectInfo info;
    if (!ParseCatalogueRecord(record.key, record.value, &info)) return false;
    object->id = object->tree_id = info.id;
    object->kind = info.kind;
    object->anchor = info.anchor;
    object->name = info.name;
  }
  if (!image.Holds(object->anchor, 0)) return false;
  Anchor anchor;
  std::memcpy(&anchor, image.base() + OffsetOf(object->anchor), sizeof anchor);
  const bool of_another =
      anchor.object_id != object->id &&
      anchor.checksum == AnchorChecksum(anchor, image.hash_seed(), object->anchor);
  return !of_another;
}

bool RangesHaveKeys(const NodeView& node) {
  constexpr std::string_view kFirstKey("\0", 1);
  if (node.low() == kFirstKey || (node.has_high() && node.high() <= kFirstKey)) return false;
  if (node.is_leaf() || node.separators() == 0) return true;
  std::string first;
  node.AppendSeparator(0, &first);
  return first > kFirstKey;
}

bool AnchorIsWhole(const PoolFrames& pool, Pfn pfn, uint32_t id, ObjectKind kind) {
  if (pfn != kCatalogueAnchorPfn && !pool.Holds(pfn, 0)) return false;
  Anchor anchor{};
  std::memcpy(&anchor, pool.base + OffsetOf(pfn), offsetof(Anchor, root));
  return anchor.checksum == AnchorChecksum(anchor, pool.hash_seed, pfn) && anchor.object_id == id &&
         anchor.kind == static_cast<uint32_t>(kind);
}

}  // namespace tuff
