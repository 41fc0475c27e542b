#include <gtest/gtest.h>

#include "pagemap/lane_format.h"
#include "tests/damage/patient.h"

namespace tuff::test {

const std::vector<FsckCase>& FsckCases() {
  using enum ProblemCode;
  static const std::vector<FsckCase> cases = {
      {kSuperblockCopy, [](Patient& p) { p.Flip(OffsetOf(kMirrorPfn) + 40); }},
      {kSuperblocksLost,
       [](Patient& p) {
         p.Flip(OffsetOf(kMirrorPfn) + 40);
         p.Flip(OffsetOf(kSuperblockPfn) + 90);
       }},
      {kTruncated,
       [](Patient& p) {
         ASSERT_EQ(truncate(p.path().c_str(), static_cast<off_t>(p.image().file_bytes() - 4096)),
                   0);
       }},
      {kNumbersBehind,
       [](Patient& p) { EditSuperblocks(p.path(), [](Superblock& sb) { sb.number_limit = 2; }); }},
      {kLaneDamaged,
       [](Patient& p) {
         // The deciding word of a live lane is neither the old nor the new one.
         for (unsigned lane = 0; lane < kLanes; lane++) {
           const uint64_t place = OffsetOf(kLanesPfn + lane);
           const auto entry = ReadStruct<LaneEntry>(p.path(), place);
           if (entry.state == 0 || entry.decider != static_cast<uint16_t>(LaneDecider::kWord)) {
             continue;
           }
           p.SetWord(entry.place, entry.old_value ^ (1ull << 63));
           return;
         }
         FAIL() << "no lane is live";
       },
       true},
      {kLaneNotEmpty, [](Patient& p) { p.SetWord(OffsetOf(kLanesPfn + 3), 77); }},
      {kOwnerDamaged,
       [](Patient& p) { p.Flip(OwnerWordOffset(p.FirstLeaf(p.TallStore()).pfn()) + 2); }},
      {kOwnerWrong,
       [](Patient& p) { p.SetWord(OwnerWordOffset(p.FirstLeaf(p.TallStore()).pfn()), 0); }},
      {kLeaked,
       [](Patient& p) {
         const Pfn pfn = p.FreeFrame();
         p.SetWord(OwnerWordOffset(pfn), PackOwner(pfn, FrameKind::kTreeNode, 0, 16));
       }},
      {kOwnerOfTable, [](Patient& p) { p.SetWord(OwnerWordOffset(5), 1); }},
      {kOwnerInside,
       [](Patient& p) {
         const Pfn pfn = p.CompoundLeaf().pfn() + 1;
         p.SetWord(OwnerWordOffset(pfn), PackOwner(pfn, FrameKind::kTreeNode, 0, 16));
       }},
      {kReferredTwice,
       [](Patient& p) {
         NodeView node = p.Root(p.Buried());
         const size_t n = node.count();
         ASSERT_GE(n, 2u);
         p.SetWord(node.ChildPlace(n - 1), node.ChildWord(n - 2));
       }},
      {kAnchorDamaged,
       [](Patient& p) { p.Flip(OffsetOf(p.TallStore().anchor) + offsetof(Anchor, created_ns)); }},
      {kChildWord, [](Patient& p) { p.Flip(Patient::RootPlace(p.TallStore()) + 7); }},
      {kNodeDamaged, [](Patient& p) { p.Flip(OffsetOf(p.FirstLeaf(p.TallStore()).pfn()) + 20); }},
      {kWrongRange,
       [](Patient& p) {
         const NodeView root = p.Root(p.TallStore());
         p.SetWord(root.ChildPlace(0), root.ChildWord(1));
         p.SetWord(root.ChildPlace(1), root.ChildWord(0));
       }},
      {kRecordDamaged,
       [](Patient& p) {
         const NodeView leaf = p.FirstLeaf(p.TallStore());
         RecordView record;
         ASSERT_TRUE(leaf.BaseRecord(0, &record));
         p.Flip(OffsetOf(leaf.pfn()) + record.offset);  // its checksum
         p.Seal(leaf);
       }},
      {kLogDamaged,
       [](Patient& p) {
         const NodeView leaf = p.LoggedLeaf(p.TallStore());
         p.Flip(OffsetOf(leaf.pfn()) + leaf.base_end());
       }},
      {kCatalogueRecord,
       [](Patient& p) {
         p.Add(p.LeafOf(p.Catalogue(), CatalogueKey(400)), CatalogueKey(400), "short");
       }},
      {kGraveyardRecord,
       [](Patient& p) {
         const WalkedObject& graveyard = p.One(
             [](const WalkedObject& object) { return object.kind == ObjectKind::kGraveyard; });
         p.Add(p.LeafOf(graveyard, CatalogueKey(400)), CatalogueKey(400), "short");
       }},
      {kOrphan,
       [](Patient& p) {
         const NodeView leaf = p.LeafOf(p.Catalogue(), CatalogueKey(p.TallStore().id));
         WriteAt(p.path(), OffsetOf(leaf.pfn()), std::string(leaf.bytes(), '\0'));
       }},
      {kGraveyardFlag,
       [](Patient& p) {
         EditSuperblocks(p.path(), [](Superblock& sb) { sb.state &= ~kStateGraveyard; });
       }},
      {kDroppedStore,
       [](Patient& p) {
         const WalkedObject& buried = p.Buried();
         const CatalogueEntry entry{buried.anchor, static_cast<uint32_t>(ObjectKind::kStore), 0};
         const std::string value(reinterpret_cast<const char*>(&entry), sizeof entry);
         p.Add(p.LeafOf(p.Catalogue(), CatalogueKey(buried.id)), CatalogueKey(buried.id),
               value + "ghost");
       }},
  };
  return cases;
}

}  // namespace tuff::test
