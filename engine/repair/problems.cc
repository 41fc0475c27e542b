#include "engine/repair/problems.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace tuff {
namespace {

using enum ProblemCode;
using enum Severity;

constexpr ProblemKind kKinds[] = {
    {kSuperblockCopy, "superblock-copy", kCosmetic,
     "one of the two superblocks is damaged, and the other one is whole",
     "written anew from the other one"},
    {kSuperblocksLost, "superblocks-lost", kDamage,
     "both superblocks are damaged; size and hash seed were found in the frames",
     "both are written anew, with a new uuid"},
    {kTruncated, "truncated", kLoss, "the file is shorter than the superblock says",
     "the file becomes as long as it was, and empty there; bring its end back first, if that can "
     "be. None if less than a 64th is left: `tuff salvage`"},
    {kNumbersBehind, "numbers-behind", kDamage,
     "nodes or records have numbers that the superblock has not reserved, so they would be given "
     "out again",
     "the superblock reserves more"},
    {kLaneDamaged, "lane-damaged", kLoss,
     "a lane's entry is whole, but what it names cannot be; or the word that decides is neither "
     "the old nor the new one",
     "the lane is emptied; what it was about to change is found by the other checks"},
    {kLaneNotEmpty, "lane-not-empty", kCosmetic, "a lane of a cleanly closed pool is not empty",
     "the lane is emptied; nothing in it counts"},
    {kOwnerDamaged, "owner-damaged", kCosmetic,
     "an owner word has a wrong check byte, kind or order", "set to what the trees say"},
    {kOwnerWrong, "owner-wrong", kCosmetic,
     "an owner word is not what the tree that refers to the frame says",
     "set to what the tree says"},
    {kLeaked, "leaked", kCosmetic, "frames in use that nothing refers to", "freed"},
    {kOwnerOfTable, "owner-of-table", kCosmetic,
     "a frame of the pool's own tables has an owner word", "set to 0"},
    {kOwnerInside, "owner-inside", kCosmetic, "an owner word inside another frame's run",
     "set to 0"},
    {kReferredTwice, "referred-twice", kDamage, "a frame is referred to from two places",
     "the reference that was found second is taken as lost"},
    {kAnchorDamaged, "anchor-damaged", kDamage, "an object's anchor is damaged",
     "written anew; its tree is found by its root word, or among the nodes"},
    {kChildWord, "child-word", kDamage,
     "a root or child word leads out of the pool, or to a node that it does not name",
     "the node is found again by its key range; else what is below it is built anew"},
    {kNodeDamaged, "node-damaged", kLoss, "a node's header or base is damaged",
     "built anew from the records or children that are whole"},
    {kWrongRange, "wrong-range", kDamage, "a node's key range is not the one that its parent says",
     "as child-word"},
    {kRecordDamaged, "record-damaged", kLoss, "a record of a leaf's base is damaged",
     "the leaf is written anew without it"},
    {kLogDamaged, "log-damaged", kLoss, "a leaf's log holds bytes that are no record",
     "the leaf is written anew with the records that are whole"},
    {kCatalogueRecord, "catalogue-record", kLoss, "a record of the catalogue is malformed",
     "removed; its object is found as an orphan"},
    {kGraveyardRecord, "graveyard-record", kDamage, "a record of the graveyard is malformed",
     "removed; what it named is freed"},
    {kOrphan, "orphan", kLoss,
     "a store's anchor that a damaged catalogue no longer names; shows when that is repaired",
     "named `lost+found-ID`"},
    {kGraveyardFlag, "graveyard-flag", kCosmetic,
     "the superblock says that the graveyard is empty, and it is not", "the flag is set"},
    {kDroppedStore, "dropped-store", kDamage,
     "the catalogue still names a store that was dropped, for a damaged record has said so",
     "the catalogue forgets it"},
};

constexpr bool AreSorted() {
  for (size_t i = 1; i < std::size(kKinds); i++) {
    if (kKinds[i - 1].code >= kKinds[i].code) return false;
  }
  return true;
}
static_assert(AreSorted());

}  // namespace

std::span<const ProblemKind> ProblemKinds() { return kKinds; }

const ProblemKind& KindOf(ProblemCode code) {
  return *std::find_if(std::begin(kKinds), std::end(kKinds),
                       [&](const ProblemKind& kind) { return kind.code == code; });
}

const char* SeverityName(Severity severity) {
  constexpr const char* kNames[] = {"cosmetic", "damage", "loss"};
  return kNames[static_cast<size_t>(severity)];
}

std::string ProblemsMarkdown() {
  std::string text = "| code | name | severity | meaning | repair |\n|---:|---|---|---|---|\n";
  for (const ProblemKind& kind : kKinds) {
    text += fmt::format("| {} | `{}` | {} | {} | {} |\n", static_cast<unsigned>(kind.code),
                        kind.name, SeverityName(kind.severity), kind.meaning, kind.repair);
  }
  return text;
}

}  // namespace tuff
