// A tree as a whole, and the way to one key.
#include <fmt/format.h>

#include <algorithm>

#include "engine/inspect/decode.h"
#include "engine/inspect/inspect.h"
#include "engine/inspect/walk.h"

namespace tuff::inspect {
namespace {

constexpr size_t kDamageShown = 50;
constexpr unsigned kTenths = 10;

struct Level {
  uint64_t nodes = 0;
  uint64_t frames = 0;
  uint64_t elements = 0;  // children or records of the base
  uint64_t used = 0;      // bytes
  std::array<uint64_t, kNodeOrderMax + 1> by_order{};
  std::array<uint64_t, kTenths> by_fill{};
};

struct Shape {
  std::array<Level, kLevelMax + 1> levels;
  unsigned height = 0;  // levels there are
  uint64_t logged = 0;
  uint64_t deletes = 0;  // among them
  uint64_t groups = 0;
  uint64_t torn = 0;
  std::array<uint64_t, 10> by_logged{};  // 0, 1, 2-3, 4-7, ... records in the log
  uint64_t damaged = 0;

  void Add(const NodeView& node, size_t used) {
    Level& level = levels[node.level()];
    height = std::max(height, node.level() + 1);
    level.nodes++;
    level.frames += 1ull << node.order();
    level.elements += node.count();
    level.used += used;
    level.by_order[node.order()]++;
    level.by_fill[std::min<size_t>(kTenths - 1, used * kTenths / node.bytes())]++;
  }
};

unsigned LogClass(size_t records) {
  return std::min<unsigned>(9, static_cast<unsigned>(std::bit_width(records)));
}

void AddTreeHead(const PoolImage& image, const TreeRef& tree, Report* report) {
  Object& body = report->body;
  body.Bytes("store", tree.object.name);
  body.Number("object_id", tree.object.id);
  if (tree.tree_object_id != tree.object.id) body.Number("tree_object_id", tree.tree_object_id);
  body.Number("kind", static_cast<uint64_t>(tree.object.kind),
              ObjectKindName(static_cast<uint64_t>(tree.object.kind)));
  if (tree.in_graveyard) body.Text("place", "hangs in the graveyard");
  const Pfn anchor = tree.object.anchor;
  body.Number("anchor_pfn", anchor);
  if (anchor != kCatalogueAnchorPfn && !image.Holds(anchor, 0)) {
    report->damage.push_back(
        fmt::format("the anchor's frame {} is outside the pool's data", anchor));
    return;
  }
  const Status status = CheckAnchor(image, anchor, tree.object.id);
  if (!status.ok()) report->damage.emplace_back(status.message());
  const uint64_t root = RootWord(image, tree);
  body.Hex("root_word", root, root == 0 ? "the tree is empty" : ChildWordText(root));
}

// What a report on a store begins with. No tree: the report says what is missing.
Status Begin(const PoolImage& image, const std::string& store, Report* report,
             std::optional<TreeRef>* tree) {
  AddNotes(image, report);
  auto found = FindTree(image, store, &report->damage);
  if (found.ok()) {
    tree->emplace(std::move(*found));
    AddTreeHead(image, **tree, report);
  } else if (report->damage.empty()) {
    return found.TakeStatus();
  } else {
    report->missing = found.TakeStatus();
  }
  return Status();
}

void AddShape(const Shape& shape, Object* body) {
  body->Number("height", shape.height);
  if (shape.damaged > 0) body->Number("nodes_not_readable", shape.damaged);
  body->Table("levels");
  for (unsigned i = shape.height; i-- > 0;) {
    const Level& level = shape.levels[i];
    Object& row = body->Row("levels");
    row.Number("level", i, i == 0 ? "0, leaves" : std::to_string(i));
    row.Number("nodes", level.nodes);
    row.Number("frames", level.frames);
    row.Number("entries", level.elements);
    row.Number("used_bytes", level.used);
    row.Real("fill_percent", level.frames == 0 ? 0
                                               : 100.0 * static_cast<double>(level.used) /
                                                     static_cast<double>(OffsetOf(level.frames)));
    for (unsigned order = 0; order <= kNodeOrderMax; order++) {
      row.Number(fmt::format("order_{}", order), level.by_order[order]);
    }
  }
  Object& logs = body->Child("logs");
  logs.Number("records", shape.logged);
  logs.Number("deletes", shape.deletes);
  logs.Number("groups", shape.groups);
  logs.Number("torn", shape.torn);
  for (unsigned tenth = 0; tenth < kTenths; tenth++) {
    Object& row = body->Row("fill");
    row.Text("percent", fmt::format("{}-{}", 10 * tenth, 10 * tenth + 10));
    uint64_t inner = 0;
    for (unsigned i = 1; i < shape.height; i++) inner += shape.levels[i].by_fill[tenth];
    row.Number("leaves", shape.levels[0].by_fill[tenth]);
    row.Number("inner_nodes", inner);
  }
  for (unsigned i = 0; i < shape.by_logged.size(); i++) {
    if (shape.by_logged[i] == 0) continue;
    Object& row = body->Row("log_lengths");
    row.Text("records",
             i <= 1 ? std::to_string(i) : fmt::format("{}-{}", 1 << (i - 1), (1 << i) - 1));
    row.Number("leaves", shape.by_logged[i]);
  }
}

}  // namespace

Result<Report> Tree(const PoolImage& image, const std::string& store) {
  Report report;
  std::optional<TreeRef> tree;
  if (Status s = Begin(image, store, &report, &tree); !s.ok()) return s;
  if (!tree) return report;
  Shape shape;
  TreeWalk(image, *tree).Run([&](const TreeWalk::Stop& stop) {
    if (!stop.status.ok()) {
      if (++shape.damaged <= kDamageShown) {
        report.damage.push_back(
            fmt::format("{} (child {} of pfn {})", stop.status.message(), stop.index, stop.parent));
      }
      return false;
    }
    const NodeView& node = *stop.node;
    if (!node.is_leaf()) {
      shape.Add(node, node.base_end() + 8 * node.count());
      return true;
    }
    const LeafLog log = ReadLog(node, image.hash_seed());
    shape.Add(node, log.end);
    shape.logged += log.entries.size();
    shape.groups += log.groups;
    shape.by_logged[LogClass(log.entries.size())]++;
    for (const LogRecord& entry : log.entries) {
      shape.deletes += entry.record.type() == RecordType::kDelete ? 1 : 0;
    }
    if (const std::string bad = LogDamage(image, node, log); !bad.empty()) {
      if (++shape.damaged <= kDamageShown) report.damage.push_back(bad);
    } else if (!log.zeros_behind) {
      shape.torn++;
    }
    return false;
  });
  if (shape.damaged > kDamageShown) {
    report.damage.push_back(fmt::format("and {} more", shape.damaged - kDamageShown));
  }
  AddShape(shape, &report.body);
  return report;
}

namespace {

// The versions of a key that a leaf holds, the newest first.
struct Versions {
  std::deque<Object> rows;
  bool live = false;
  std::string value;  // if it is
};

Versions FindVersions(const PoolImage& image, const NodeView& leaf, std::string_view key,
                      Report* report) {
  Versions versions;
  const auto add = [&](const RecordView& record, const char* where, size_t index, bool whole) {
    Object& row = versions.rows.emplace_back();
    row.Text("where", where);
    row.Number("index", index);
    row.Number("offset", record.offset);
    row.Number("sequence", SequenceOf(record.sequence_and_type));
    row.Text("type", record.type() == RecordType::kPut ? "put" : "delete");
    row.Text("checksum", whole ? "ok" : "wrong");
    row.Number("value_bytes", record.value.size());
    if (versions.rows.size() > 1 || !whole) return;
    versions.live = record.type() == RecordType::kPut;
    versions.value = record.value;
  };
  const LeafLog log = ReadLog(leaf, image.hash_seed());
  if (const std::string bad = LogDamage(image, leaf, log); !bad.empty()) {
    report->damage.push_back(bad);
  }
  for (size_t i = log.entries.size(); i-- > 0;) {
    if (log.entries[i].record.key == key) add(log.entries[i].record, "log", i, true);
  }
  for (size_t i = 0; i < leaf.count(); i++) {
    RecordView record;
    if (!leaf.BaseRecord(i, &record) || record.key != key) continue;
    const bool whole =
        VerifyRecord(record, RecordSeed(image.hash_seed(), leaf.number(), record.offset));
    if (!whole) {
      report->damage.push_back(fmt::format("pfn {}: base record {} is damaged", leaf.pfn(), i));
    }
    add(record, "base", i, whole);
  }
  return versions;
}

// From the root down; the leaf is left in `copy`. False: a node on the way cannot be read.
bool Descend(const PoolImage& image, const TreeRef& tree, const std::string& key, NodeCopy* copy,
             Report* report) {
  uint64_t word = RootWord(image, tree);
  int level = -1;
  for (;;) {
    const Status status = ReadNode(image, tree.tree_object_id, word, level, copy);
    Object& row = report->body.Row("steps");
    row.Number("pfn", ChildPfn(word));
    if (!status.ok()) {
      row.Text("verdict", "damaged");
      report->damage.emplace_back(status.message());
      // A leaf that is damaged may still hold the key.
      const NodeView& node = copy->view();
      return node.data() != nullptr && node.pfn() == ChildPfn(word) && node.is_leaf();
    }
    const NodeView& node = copy->view();
    row.Text("verdict", "ok");
    row.Number("level", node.level());
    row.Number("order", node.order());
    row.Number("count", node.count());
    if (node.is_leaf()) {
      row.Bytes("low_fence", node.low());
      return true;
    }
    const size_t i = node.ChildIndex(key);
    row.Number("child", i);
    row.Bytes("low_fence", node.low());
    word = node.ChildWord(i);
    level = static_cast<int>(node.level()) - 1;
  }
}

}  // namespace

Result<Report> Key(const PoolImage& image, const std::string& store, const std::string& key) {
  Report report;
  std::optional<TreeRef> tree;
  if (Status s = Begin(image, store, &report, &tree); !s.ok()) return s;
  if (!tree) return report;
  report.body.Bytes("key", key);
  report.body.Table("steps");
  NodeCopy leaf;
  Versions versions;
  const bool in_leaf = RootWord(image, *tree) != 0 && Descend(image, *tree, key, &leaf, &report);
  if (in_leaf) versions = FindVersions(image, leaf.view(), key, &report);
  report.body.Text("found", versions.live ? "yes" : versions.rows.empty() ? "no" : "no: deleted");
  report.body.Table("records") = std::move(versions.rows);
  if (versions.live) {
    report.body.Bytes("value", versions.value);
  } else {
    report.missing = Status(Code::kNotFound, fmt::format("{}: no such key in store '{}'",
                                                         image.path(), tree->object.name));
  }
  return report;
}

}  // namespace tuff::inspect
