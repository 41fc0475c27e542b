// One frame, and who refers to it.
#include <fmt/format.h>

#include <cstring>

#include "engine/inspect/decode.h"
#include "engine/inspect/inspect.h"
#include "engine/inspect/walk.h"
#include "pagemap/lanes.h"
#include "pagemap/superblock.h"

namespace tuff::inspect {
namespace {

constexpr size_t kReferrersShown = 100;

// Collects who refers to the run at `head`, or to the frame `pfn` in it.
class Referrers {
 public:
  Referrers(const PoolImage& image, Pfn pfn, Pfn head, Report* report)
      : image_(image), pfn_(pfn), head_(head), report_(report) {
    report_->body.Table("referred_to_by");
  }

  void Find() {
    std::vector<std::string> unread;
    for (const TreeRef& tree : ListTrees(image_, &unread)) {
      if (IsIt(tree.object.anchor) && tree.object.id != kCatalogueObjectId) {
        Add(tree.in_graveyard ? "graveyard" : "catalogue", 0, 0, tree);
      }
      const uint64_t root = RootWord(image_, tree);
      if (root != 0 && IsIt(ChildPfn(root))) Add("root word", tree.object.anchor, 0, tree);
      FindIn(tree, &unread);
    }
    FindInLanes();
    for (std::string& reason : unread) {
      report_->notes.push_back("not all trees can be read: " + std::move(reason));
    }
  }
  size_t count() const { return count_; }

 private:
  bool IsIt(Pfn pfn) const { return pfn == pfn_ || pfn == head_; }

  void Add(const char* what, Pfn at, size_t index, const TreeRef& tree) {
    if (++count_ > kReferrersShown) return;
    Object& row = report_->body.Row("referred_to_by");
    row.Text("what", what);
    row.Number("pfn", at);
    row.Number("index", index);
    row.Number("object_id", tree.object.id);
    row.Bytes("store", tree.object.name);
  }

  // Leaves refer to nothing, so they are not read.
  void FindIn(const TreeRef& tree, std::vector<std::string>* unread) {
    const uint64_t root = RootWord(image_, tree);
    if (root == 0 || !image_.Holds(ChildPfn(root), 0)) return;
    if (image_.NodeAt(ChildPfn(root), 0).is_leaf()) return;
    TreeWalk(image_, tree).Run([&](const TreeWalk::Stop& stop) {
      if (!stop.status.ok()) {
        unread->emplace_back(stop.status.message());
        return false;
      }
      const NodeView& node = *stop.node;
      if (node.is_leaf()) return false;
      for (size_t i = 0; i < node.count(); i++) {
        const uint64_t word = node.ChildWord(i);
        if (word != 0 && IsIt(ChildPfn(word))) Add("child word", node.pfn(), i, tree);
      }
      return node.level() > 1;
    });
  }

  void FindInLanes() {
    for (unsigned lane = 0; lane < kLanes; lane++) {
      const LaneReading reading = ReadLane(image_, lane);
      if (reading.verdict != LaneReading::Verdict::kLive) continue;
      TreeRef of;
      of.object.id = reading.entry.object_id;
      const Pfn at = kLanesPfn + lane;
      if (IsIt(reading.entry.place >> kFrameShift)) Add("lane: place", at, lane, of);
      for (size_t i = 0; i < reading.new_runs.size(); i++) {
        if (IsIt(reading.new_runs[i].pfn)) Add("lane: allocates", at, i, of);
      }
      for (size_t i = 0; i < reading.old_runs.size(); i++) {
        if (IsIt(reading.old_runs[i].pfn)) Add("lane: frees", at, i, of);
      }
      for (size_t i = 0; i < reading.stores.size(); i++) {
        if (IsIt(reading.stores[i].place >> kFrameShift)) Add("lane: stores", at, i, of);
      }
    }
  }

  const PoolImage& image_;
  const Pfn pfn_;
  const Pfn head_;
  Report* report_;
  size_t count_ = 0;
};

void AddAnchor(const PoolImage& image, Pfn pfn, uint32_t object_id, Report* report) {
  Object& contents = report->body.Child("anchor");
  const Status status = CheckAnchor(image, pfn, object_id);
  contents.Text("verdict", status.ok() ? "ok" : std::string(status.message()));
  if (!status.ok()) report->damage.emplace_back(status.message());
  AddFields(kAnchorTable, image.base() + OffsetOf(pfn), &contents);
}

void AddNode(const PoolImage& image, Pfn pfn, const OwnerWord& owner, Report* report) {
  Object& contents = report->body.Child("node");
  if (owner.order > kNodeOrderMax || !image.Holds(pfn, owner.order)) {
    report->damage.push_back(fmt::format("pfn {}: a node of 2^{} frames", pfn, owner.order));
    return;
  }
  NodeCopy copy;
  copy.Take(image, pfn, owner.order);
  const Status status = VerifyNode(copy.view(), image.hash_seed(), owner.object_id);
  contents.Text("verdict", status.ok() ? "ok" : std::string(status.message()));
  if (!status.ok()) report->damage.emplace_back(status.message());
  AddFields(kNodeHeaderTable, copy.view().data(), &contents);
}

// A frame of the pool's own.
void AddReserved(const PoolImage& image, Pfn pfn, Report* report) {
  report->body.Text("use", TableName(pfn));
  if (pfn <= kMirrorPfn) {
    const auto copy = static_cast<int>(pfn);
    const Superblock superblock = image.Copy(copy);
    if (const Status& status = image.copy_status(copy); !status.ok()) {
      report->damage.emplace_back(status.message());
    }
    AddFields(kSuperblockTable, &superblock, &report->body.Child("superblock"));
  } else if (pfn == kCatalogueAnchorPfn) {
    AddAnchor(image, pfn, kCatalogueObjectId, report);
  } else if (pfn >= kLanesPfn && pfn < kLanesPfn + kLanes) {
    Object& lane = report->body.Child("lane");
    const bool empty = Load64(image.base() + OffsetOf(pfn)) == 0;
    lane.Text("verdict", empty ? "empty" : "holds an entry: see 'tuff inspect lanes'");
    if (!empty) AddFields(kLaneEntryTable, image.base() + OffsetOf(pfn), &lane);
  }
}

void AddOwned(const PoolImage& image, Pfn pfn, Report* report) {
  const uint64_t word = image.OwnerWordAt(pfn);
  const Pfn head = HeadOfRun(image, pfn);
  Object& body = report->body;
  if (word == 0 && head == pfn) {
    const std::byte* const from = image.base() + OffsetOf(pfn);
    const bool zeros =
        std::all_of(from, from + kFrameSize, [](auto b) { return b == std::byte{}; });
    body.Text("use", "free");
    body.Text("contents", zeros ? "zeros" : "what is left of an earlier use");
    return;
  }
  const OwnerWord owner = UnpackOwner(head == pfn ? word : image.OwnerWordAt(head));
  if (head != pfn) {
    body.Text("use", fmt::format("frame {} of the run at pfn {}", pfn - head, head));
    body.Number("head", head, OwnerText(head, image.OwnerWordAt(head)));
    return;
  }
  body.Text("use", OwnerText(pfn, word));
  Object& decoded = body.Child("owner_word");
  decoded.Hex("word", word);
  AddFields(kOwnerWordTable, &word, &decoded);
  decoded.Text("verdict", OwnerIsValid(pfn, word) ? "ok" : "damaged");
  if (!OwnerIsValid(pfn, word)) {
    report->damage.push_back(fmt::format("pfn {}: damaged owner word {:#x}", pfn, word));
  } else if (owner.kind == static_cast<uint8_t>(FrameKind::kMetadata)) {
    AddAnchor(image, pfn, owner.object_id, report);
  } else if (owner.kind == static_cast<uint8_t>(FrameKind::kTreeNode)) {
    AddNode(image, pfn, owner, report);
  }
}

}  // namespace

Result<Report> Frame(const PoolImage& image, Pfn pfn, bool hex) {
  if (pfn >= image.frames()) {
    return Status(Code::kNotFound, fmt::format("{}: no frame {}; there are 0 to {}", image.path(),
                                               pfn, image.frames() - 1));
  }
  Report report;
  AddNotes(image, &report);
  report.body.Number("pfn", pfn);
  report.body.Hex("byte_offset", OffsetOf(pfn));
  report.body.Number("section", SectionOf(pfn));
  if (IsReserved(pfn)) {
    AddReserved(image, pfn, &report);
  } else {
    AddOwned(image, pfn, &report);
    Referrers referrers(image, pfn, HeadOfRun(image, pfn), &report);
    referrers.Find();
    const uint64_t word = image.OwnerWordAt(HeadOfRun(image, pfn));
    const bool used = word != 0 && OwnerIsValid(HeadOfRun(image, pfn), word) &&
                      UnpackOwner(word).kind != static_cast<uint8_t>(FrameKind::kQuarantined);
    if (used && referrers.count() == 0) {
      report.notes.push_back("nothing refers to it: it is leaked, or what led to it is damaged");
    }
  }
  if (hex) {
    report.body.Dump("bytes",
                     {reinterpret_cast<const char*>(image.base() + OffsetOf(pfn)), kFrameSize});
  }
  return report;
}

}  // namespace tuff::inspect
