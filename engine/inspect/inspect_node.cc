// One node.
#include <fmt/format.h>

#include "engine/inspect/decode.h"
#include "engine/inspect/inspect.h"
#include "engine/inspect/walk.h"
#include "engine/leaf.h"

namespace tuff::inspect {
namespace {

std::string TypeName(uint64_t sequence_and_type) {
  switch (TypeOf(sequence_and_type)) {
    case RecordType::kPut:
      return "put";
    case RecordType::kDelete:
      return "delete";
    case RecordType::kPutByReference:
      return "put by reference";
    case RecordType::kGroup:
      return "group";
  }
  return "unknown";
}

void AddRecord(const RecordView& record, Object* row) {
  row->Number("bytes", record.bytes);
  row->Number("sequence", SequenceOf(record.sequence_and_type));
  row->Text("type", TypeName(record.sequence_and_type));
  row->Number("value_bytes", record.value.size());
}

constexpr size_t kLinesShown = 10;  // of the same kind of damage

class NodeReport {
 public:
  NodeReport(const PoolImage& image, const NodeView& node, Report* report)
      : image_(image), node_(node), report_(report), body_(report->body) {}

  void AddLeaf() {
    AddFences();
    AddBase();
    AddLog();
  }

  void AddInner() {
    AddFences();
    body_.Number("used_bytes", node_.base_end() + 8 * node_.count(),
                 fmt::format("of {}", node_.bytes()));
    body_.Table("children");
    for (size_t i = 0; i < node_.count(); i++) {
      const uint64_t word = node_.ChildWord(i);
      Object& row = body_.Row("children");
      row.Number("index", i);
      row.Number("pfn", ChildPfn(word));
      row.Hex("tag", word >> kPfnBits);
      row.Text("child", Child(i, word));
      if (i > 0 && node_.SeparatorBytes(i - 1) > kKeySizeMax) continue;  // damaged
      std::string separator(i == 0 ? node_.low() : "");
      if (i > 0) node_.AppendSeparator(i - 1, &separator);
      row.Bytes("from_key", separator);
    }
  }

 private:
  void AddFences() {
    body_.Bytes("low_fence", node_.low());
    if (node_.has_high()) body_.Bytes("high_fence", node_.high());
  }

  std::string Child(size_t i, uint64_t word) {
    if (word == 0) return "gone";
    NodeCopy copy;
    const Status status = ReadNode(image_, node_.header().object_id, word,
                                   static_cast<int>(node_.level()) - 1, &copy);
    if (status.ok()) return copy.view().is_leaf() ? "leaf" : "inner node";
    if (++bad_children_ <= kLinesShown) {
      report_->notes.push_back(fmt::format("child {}: {}", i, status.message()));
    }
    return "damaged";
  }

  void AddBadRecord(size_t i, size_t offset) {
    if (++bad_records_ > kLinesShown + 1) return;
    report_->damage.push_back(
        bad_records_ > kLinesShown
            ? "and more records of the base"
            : fmt::format("pfn {}: base record {} at byte {} is damaged", node_.pfn(), i, offset));
  }

  void AddBase() {
    body_.Table("base");
    for (size_t i = 0; i < node_.count(); i++) {
      Object& row = body_.Row("base");
      const size_t offset = node_.RecordOffset(i);
      row.Number("index", i);
      row.Number("offset", offset);
      RecordView record;
      const bool parsed = node_.BaseRecord(i, &record);
      const bool whole = parsed && VerifyRecord(record, RecordSeed(image_.hash_seed(),
                                                                   node_.number(), record.offset));
      row.Text("checksum", whole ? "ok" : parsed ? "wrong" : "no record");
      if (!whole) AddBadRecord(i, offset);
      if (!parsed) continue;
      AddRecord(record, &row);
      row.Bytes("key", record.key);
    }
  }

  void AddLog() {
    const LeafLog log = ReadLog(node_, image_.hash_seed());
    Object& head = body_.Child("log");
    head.Number("from", node_.base_end());
    head.Number("end", log.end,
                fmt::format("{} of {} bytes are left", node_.bytes() - log.end, node_.bytes()));
    head.Number("records", log.entries.size(), fmt::format("of at most {}", TailSlots()));
    head.Number("groups", log.groups);
    const std::string bad = LogDamage(image_, node_, log);
    head.Text("behind", log.zeros_behind ? "zeros"
                        : bad.empty()    ? "a torn record: it is cut off before the next append"
                        : log.valid_behind
                            ? "not zeros, and a whole record among it: the log is damaged"
                            : "not zeros, though the pool has not crashed: the log is damaged");
    if (!bad.empty()) report_->damage.push_back(bad);
    body_.Table("logged");
    for (size_t i = 0; i < log.entries.size(); i++) {
      const auto& [record, in_group] = log.entries[i];
      Object& row = body_.Row("logged");
      row.Number("index", i);
      row.Number("offset", record.offset);
      row.Text("checksum", "ok");
      row.Bool("in_group", in_group);
      AddRecord(record, &row);
      row.Bytes("key", record.key);
    }
  }

  size_t TailSlots() const { return tuff::TailSlots(node_.order()); }

  const PoolImage& image_;
  const NodeView& node_;
  Report* report_;
  Object& body_;
  size_t bad_children_ = 0;
  size_t bad_records_ = 0;
};

}  // namespace

Result<Report> Node(const PoolImage& image, Pfn pfn, bool hex) {
  if (!image.Holds(pfn, 0)) {
    return Status(Code::kNotFound, pfn >= image.frames()
                                       ? fmt::format("{}: no frame {}; there are 0 to {}",
                                                     image.path(), pfn, image.frames() - 1)
                                       : fmt::format("{}: frame {} is no node: {}", image.path(),
                                                     pfn, TableName(pfn)));
  }
  const uint64_t word = image.OwnerWordAt(pfn);
  const Pfn head = HeadOfRun(image, pfn);
  if (head != pfn) {
    return Status(Code::kNotFound,
                  fmt::format("{}: frame {} is no node: it is inside the run at {}", image.path(),
                              pfn, head));
  }
  Report report;
  AddNotes(image, &report);
  const OwnerWord owner = UnpackOwner(word);
  const bool owned = OwnerIsValid(pfn, word) &&
                     owner.kind == static_cast<uint8_t>(FrameKind::kTreeNode) &&
                     owner.order <= kNodeOrderMax && image.Holds(pfn, owner.order);
  const unsigned header_order = image.NodeAt(pfn, 0).header().order;
  const bool header_fits = header_order <= kNodeOrderMax && image.Holds(pfn, header_order);
  NodeCopy copy;
  copy.Take(image, pfn, owned ? owner.order : header_fits ? header_order : 0);
  const NodeView& node = copy.view();
  const uint32_t object_id = owned ? owner.object_id : node.header().object_id;
  const Status status = VerifyNode(node, image.hash_seed(), object_id);

  report.body.Number("pfn", pfn);
  report.body.Text("owner", OwnerText(pfn, word));
  report.body.Text("verdict", status.ok() ? "ok" : std::string(status.message()));
  AddFields(kNodeHeaderTable, node.data(), &report.body.Child("header"));
  const bool is_node = node.header().kind == kNodeLeaf || node.header().kind == kNodeInner;
  if (owned || status.ok()) {
    if (!status.ok()) report.damage.emplace_back(status.message());
    NodeReport parts(image, node, &report);
    if (is_node && node.is_leaf()) parts.AddLeaf();
    if (is_node && !node.is_leaf()) parts.AddInner();
  }
  if (hex) report.body.Dump("bytes", copy.bytes());
  if (word != 0 && !OwnerIsValid(pfn, word)) {
    report.damage.push_back(fmt::format("pfn {}: damaged owner word {:#x}", pfn, word));
  } else if (!owned) {
    report.missing = Status(
        Code::kNotFound,
        fmt::format("{}: frame {} is no node in use: {}{}", image.path(), pfn, OwnerText(pfn, word),
                    status.ok() ? "; what is shown is left of an earlier one" : ""));
  }
  return report;
}

}  // namespace tuff::inspect
