// For tests of fsck: the rich pool's file, what lies where in it, hands that change it, and a
// damage of each kind.
//
// Ownership: a Patient owns its file. Thread-safety: none.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "engine/catalogue.h"
#include "engine/node_writer.h"
#include "engine/repair/patch.h"
#include "engine/repair/pool_walk.h"
#include "tests/damage/rich_pool.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {

// The rich pool's file, what lies where in it, and hands that change it.
class Patient {
 public:
  explicit Patient(const SparseImage& image = TheRichPool().clean) {
    EXPECT_TRUE(image.WriteTo(path()));
    auto opened = PoolImage::Open(path(), {});
    EXPECT_OK(opened.status());
    image_ = std::move(*opened);
    FsckReport report;
    image_->domain().BeginOverlay();
    walk_ = WalkPool(*image_, image_->superblock(), {}, &report, [](const Problem&) {});
    EXPECT_OK(image_->domain().EndOverlay());
  }
  std::string path() const { return dir_.File("pool"); }
  std::string undo() const { return dir_.File("undo"); }
  const PoolImage& image() const { return *image_; }
  /// Before anything else opens the file to write.
  void LetGo() { image_.reset(); }

  const WalkedObject& Catalogue() const { return walk_.objects.at(kCatalogueObjectId); }
  const WalkedObject& One(const std::function<bool(const WalkedObject&)>& wanted) const {
    for (const auto& [id, object] : walk_.objects) {
      if (wanted(object) && Load64(image_->base() + RootPlace(object)) != 0) return object;
    }
    ADD_FAILURE() << "the rich pool has no such object";
    return Catalogue();
  }
  const WalkedObject& TallStore() const {
    return One([&](const WalkedObject& object) {
      return object.kind == ObjectKind::kStore && !object.buried && Root(object).level() > 0;
    });
  }
  const WalkedObject& Buried() const {
    return One([&](const WalkedObject& object) {
      return object.buried && object.kind == ObjectKind::kStore && Root(object).level() > 0;
    });
  }
  static uint64_t RootPlace(const WalkedObject& object) {
    return OffsetOf(object.anchor) + offsetof(Anchor, root);
  }
  NodeView NodeOf(uint64_t word) const {
    return NodeView(image_->base() + OffsetOf(ChildPfn(word)), ChildPfn(word));
  }
  NodeView Root(const WalkedObject& object) const {
    return NodeOf(Load64(image_->base() + RootPlace(object)));
  }
  NodeView FirstLeaf(const WalkedObject& object) const {
    NodeView node = Root(object);
    while (node.level() > 0) node = NodeOf(node.ChildWord(0));
    return node;
  }
  NodeView LeafOf(const WalkedObject& object, std::string_view key) const {
    NodeView node = Root(object);
    while (node.level() > 0) node = NodeOf(node.ChildWord(node.ChildIndex(key)));
    return node;
  }
  NodeView LoggedLeaf(const WalkedObject& object) const {
    NodeView node = Root(object);
    while (node.level() > 1) node = NodeOf(node.ChildWord(0));
    for (size_t i = 0; i < node.count(); i++) {
      const NodeView leaf = NodeOf(node.ChildWord(i));
      if (Load64(leaf.data() + leaf.base_end()) != 0) return leaf;
    }
    ADD_FAILURE() << "no leaf has a log";
    return FirstLeaf(object);
  }

  void Flip(uint64_t place, uint8_t mask = 0x10) { FlipByte(path(), place, mask); }
  void SetWord(uint64_t place, uint64_t word) { WriteStruct(path(), place, word); }
  uint64_t Word(uint64_t place) { return ReadStruct<uint64_t>(path(), place); }
  /// Writes a leaf anew with one more record.
  void Add(const NodeView& leaf, std::string_view key, std::string_view value) {
    const uint64_t number = image_->superblock().number_limit - 1;
    std::vector<std::byte> extra(RecordBytes(key.size(), value.size()));
    EncodeRecord(extra.data(), key, value, PackSequence(number, RecordType::kPut), 0);
    RecordView record;
    ASSERT_TRUE(ParseRecord(extra.data(), 0, extra.size(), &record));
    std::vector<RecordView> records = ReadLeaf(leaf, image_->hash_seed(), false).records;
    records.push_back(record);
    NodeIdentity id;
    id.pfn = leaf.pfn();
    id.number = leaf.number();
    id.object_id = leaf.header().object_id;
    id.order = leaf.order();
    id.sequence_max = number;
    id.low = leaf.low();
    if (leaf.has_high()) id.high = leaf.high();
    std::optional<std::string> high;
    if (id.high) high = std::string(*id.high);
    records = NewestOf(std::move(records), id.low, high);
    ASSERT_LE(LeafBaseBytes(records, id.low, id.high), leaf.bytes());
    std::vector<std::byte> bytes(leaf.bytes());
    WriteLeaf(bytes.data(), id, records, image_->hash_seed());
    WriteAt(path(), OffsetOf(leaf.pfn()),
            {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  /// Makes a node's checksum right again.
  void Seal(const NodeView& node) {
    const std::string bytes = ReadAt(path(), OffsetOf(node.pfn()), node.bytes());
    SetWord(OffsetOf(node.pfn()), NodeChecksum(reinterpret_cast<const std::byte*>(bytes.data()),
                                               node.base_end(), image_->hash_seed(), node.pfn()));
  }
  Pfn FreeFrame() const {
    Pfn pfn = image_->frames() - 1;
    while (walk_.reached[pfn]) pfn--;
    return pfn;
  }
  NodeView CompoundLeaf() const {
    NodeView found;
    for (uint64_t section = 0; section < SectionsOf(image_->frames()); section++) {
      image_->ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) {
        const OwnerWord owner = UnpackOwner(word);
        if (owner.order > 0 && walk_.heads[pfn]) found = image_->NodeAt(pfn, owner.order);
      });
    }
    return found;
  }

 private:
  TempDir dir_;
  std::unique_ptr<PoolImage> image_;
  PoolWalkResult walk_;
};

struct FsckOutcome {
  std::set<ProblemCode> codes;
  uint64_t unrepaired = 0;
  bool sound = false;
};

inline FsckOutcome RunFsckOn(const std::string& path, FsckMode mode, const std::string& undo = "",
                             bool quick = false) {
  PoolImage::Options how;
  how.padded = true;
  how.for_repair = mode != FsckMode::kCheck;
  auto image = PoolImage::Open(path, how);
  EXPECT_OK(image.status());
  FsckOptions options;
  options.mode = mode;
  options.quick = quick;
  auto report = RunFsck(**image, options);
  EXPECT_OK(report.status());
  FsckOutcome outcome;
  for (const Problem& problem : report->problems) outcome.codes.insert(problem.code);
  outcome.unrepaired = report->unrepaired;
  outcome.sound = report->sound();
  if (report->mode != FsckMode::kCheck) {
    EXPECT_OK(CommitRepair(**image, undo).status());
  }
  return outcome;
}

/// The pool opens, and the full check of the open pool finds nothing.
inline void ExpectWhole(const std::string& path) {
  auto pool = Pool::Open(path, SmallPool().open);
  ASSERT_OK(pool.status());
  EXPECT_EQ(Problems(**pool), "");
  EXPECT_OK((*pool)->Close());
}

/// A damage that shows a problem.
struct FsckCase {
  ProblemCode code;
  std::function<void(Patient&)> damage;
  bool unclean = false;
};

const std::vector<FsckCase>& FsckCases();

}  // namespace tuff::test
