// The checker reports every kind of problem that it has words for: one seeded bug each, in a pool
// that was sound. The messages are read from the sources, so that none is forgotten. (That these
// are the only problems of such a pool is shown by check_test.cc.)
#include <gtest/gtest.h>

#include <map>
#include <regex>

#include "engine/check.h"
#include "tests/engine/check_fixture.h"

namespace tuff::test {
namespace {

struct Seed {
  const char* name;
  std::function<void(CheckedPool&)> plant;
  const char* message;  // part of what must be reported
};

// Byte offset in the pool of what a view of it shows.
uint64_t PlaceOf(CheckedPool& pool, std::string_view text) {
  return static_cast<uint64_t>(reinterpret_cast<const std::byte*>(text.data()) - pool.map().base());
}

RecordView BaseRecord(const NodeView& leaf, size_t i) {
  RecordView record;
  EXPECT_TRUE(leaf.BaseRecord(i, &record));
  return record;
}

RecordView FirstLogged(CheckedPool& pool) {
  const NodeView leaf = pool.LoggedLeaf();
  RecordView record;
  EXPECT_TRUE(ParseRecord(leaf.data(), leaf.base_end(), leaf.bytes(), &record));
  return record;
}

// A whole record, but of a key that belongs elsewhere.
void LogAForeignKey(CheckedPool& pool) {
  const NodeView leaf = pool.LoggedLeaf();
  const RecordView record = FirstLogged(pool);
  std::vector<std::byte> bytes(record.bytes);
  const std::string key(record.key.size(), leaf.low().empty() ? '~' : '\0');
  EncodeRecord(bytes.data(), key, record.value, record.sequence_and_type,
               pool.SeedAt(leaf, leaf.base_end()));
  pool.StoreBytes(OffsetOf(leaf.pfn()) + leaf.base_end(), bytes.data(), bytes.size());
}

Pfn TakeFrame(CheckedPool& pool, unsigned order) {
  const Pfn pfn = pool.map().allocator().Allocate(order, AllocFor::kGrowth);
  EXPECT_NE(pfn, 0u);
  return pfn;
}

void SetOwner(CheckedPool& pool, Pfn pfn, FrameKind kind, unsigned order, uint32_t object) {
  pool.Store64(OwnerWordOffset(pfn), PackOwner(pfn, kind, order, object));
}

void EditHeader(CheckedPool& pool, const NodeView& node,
                const std::function<void(NodeHeader*)>& edit) {
  pool.EditNode(node, [&](std::byte*, NodeHeader* header) { edit(header); });
}

void SwapChildren(CheckedPool& pool, const NodeView& parent) {
  const uint64_t first = parent.ChildWord(0);
  const uint64_t second = parent.ChildWord(1);
  pool.Store64(parent.ChildPlace(0), second);
  pool.Store64(parent.ChildPlace(1), first);
}

void SwapTheCataloguesLeaves(CheckedPool& pool) {
  Tree& tree = pool.catalogue().tree();
  for (int i = 0; pool.NodeOf(tree.root_word()).is_leaf(); i++) {
    ASSERT_OK(pool.pool().CreateStore(std::string(200, 's') + std::to_string(i)));
  }
  SwapChildren(pool, pool.NodeOf(tree.root_word()));
}

// Of the objects.
const Seed kObjectSeeds[] = {
    {"LeakedFrames",
     [](CheckedPool& p) { SetOwner(p, TakeFrame(p, 1), FrameKind::kTreeNode, 1, p.info().id); },
     "leaked: 2 frames"},
    {"OwnerWordCleared", [](CheckedPool& p) { p.Store64(OwnerWordOffset(p.FirstLeaf().pfn()), 0); },
     "owner word 0x0, expected"},
    {"OwnerWordInsideARun",
     [](CheckedPool& p) { SetOwner(p, p.LastLeaf().pfn() + 1, FrameKind::kTreeNode, 0, 1); },
     "owner word inside the run at"},
    {"OwnerOfAReservedFrame",
     [](CheckedPool& p) { SetOwner(p, kLanesPfn, FrameKind::kMetadata, 0, 1); },
     "reserved frame has an owner"},
    {"OwnerWordDamaged",
     [](CheckedPool& p) { p.Store64(OwnerWordOffset(TakeFrame(p, 0)), 0x1234); },
     "damaged owner word 0x1234"},
    {"LaneInUse", [](CheckedPool& p) { p.Store64(OffsetOf(kLanesPfn + 3), 77); },
     "lane 3 is not empty"},
    {"AnchorsFrameFreed", [](CheckedPool& p) { p.Store64(OwnerWordOffset(p.info().anchor), 0); },
     "not the anchor of object"},
    {"AnchorDamaged",
     [](CheckedPool& p) { p.Store8(OffsetOf(p.info().anchor) + offsetof(Anchor, kind), 77); },
     "has a wrong checksum"},
    {"AnchorOfAnother",
     [](CheckedPool& p) {
       p.EditAnchor(p.info().anchor, [](Anchor* anchor) { anchor->object_id++; });
     },
     "anchor is not of object"},
    {"CatalogueRecordMalformed",
     [](CheckedPool& p) { EXPECT_OK(p.catalogue().tree().Put("\xff", "no entry")); },
     "a catalogue record is malformed"},
    {"GraveyardRecordMalformed",
     [](CheckedPool& p) {
       const ObjectInfo graveyard = p.Find(kGraveyardName);
       EXPECT_OK(Tree(p.map(), graveyard.id, graveyard.anchor).Put("\xff", "no entry"));
     },
     "a graveyard record is malformed"},
    {"CataloguesLeavesSwapped", SwapTheCataloguesLeaves,
     "the tree leads to a leaf of another range"},
};

// Of what leads from node to node.
const Seed kTreeSeeds[] = {
    {"ChildTwice", [](CheckedPool& p) { p.Store64(p.Root().ChildPlace(1), p.Root().ChildWord(0)); },
     "referred to twice"},
    {"ChildrenSwapped", [](CheckedPool& p) { SwapChildren(p, p.Root()); },
     "fence keys differ from the parent's separators"},
    {"ChildOutOfThePool",
     [](CheckedPool& p) { p.Store64(p.Root().ChildPlace(0), PackChild(1ull << 36, 1)); },
     "refers to a frame outside the pool's data"},
    {"ChildOfAnotherNumber",
     [](CheckedPool& p) {
       const NodeView leaf = p.FirstLeaf();
       p.Store64(p.Root().ChildPlace(0), PackChild(leaf.pfn(), leaf.number() + 1));
     },
     "child word and node number do not match"},
    {"RootAsItsOwnChild",
     [](CheckedPool& p) { p.Store64(p.Root().ChildPlace(0), p.Root().child_word()); },
     "node is on the wrong level"},
    {"OrderImpossible",
     [](CheckedPool& p) {
       p.Store8(OffsetOf(p.FirstLeaf().pfn()) + offsetof(NodeHeader, order), 9);
       p.Remount();
     },
     "not a tree node"},
    {"FrameOfAnotherObject",
     [](CheckedPool& p) {
       SetOwner(p, p.FirstLeaf().pfn(), FrameKind::kTreeNode, p.FirstLeaf().order(), 77);
       p.Remount();
     },
     "frame table does not give this node to object"},
    {"KindImpossible",
     [](CheckedPool& p) {
       EditHeader(p, p.FirstLeaf(), [](NodeHeader* header) { header->kind = 7; });
     },
     "not a tree node"},
    {"LevelImpossible",
     [](CheckedPool& p) {
       EditHeader(p, p.Root(), [](NodeHeader* header) { header->level = kLevelMax + 1; });
     },
     "node has an impossible level"},
    {"NoChildren",
     [](CheckedPool& p) { EditHeader(p, p.Root(), [](NodeHeader* header) { header->count = 0; }); },
     "inner node without children"},
    {"FenceKeyTooLong",
     [](CheckedPool& p) {
       EditHeader(p, p.LastLeaf(), [](NodeHeader* header) { header->low_bytes = 0xffff; });
     },
     "node has impossible fence keys"},
    {"PartsTooLong",
     [](CheckedPool& p) {
       EditHeader(p, p.FirstLeaf(), [](NodeHeader* header) { header->base_end = 0xffff; });
     },
     "node's parts do not fit into it"},
    {"NodeOfAnotherObject",
     [](CheckedPool& p) {
       EditHeader(p, p.FirstLeaf(), [](NodeHeader* header) { header->object_id += 5; });
     },
     "node belongs to object"},
    {"SeparatorTooLong",
     [](CheckedPool& p) {
       const size_t at = p.Root().inner_slots_offset();
       p.EditNode(p.Root(), [at](std::byte* node, NodeHeader*) {
         const InnerSlot slot{0, 0xffff};
         std::memcpy(node + at, &slot, sizeof slot);
       });
     },
     "is out of bounds"},
    {"SeparatorTooSmall",
     [](CheckedPool& p) {
       p.EditNode(p.Root(), [](std::byte* node, NodeHeader*) {
         std::memset(node + sizeof(NodeHeader) + 8, 0, 8);  // the head of the second
       });
     },
     "separator 1 is out of order"},
};

// Of leaves and their records.
const Seed kLeafSeeds[] = {
    {"NodeDamaged",
     [](CheckedPool& p) { p.Store8(PlaceOf(p, BaseRecord(p.FirstLeaf(), 0).value), 'x'); },
     "node has a wrong checksum"},
    {"FencesSwapped",
     [](CheckedPool& p) {
       const NodeView leaf = p.LeafAt(1);
       p.EditNode(leaf, [&leaf](std::byte* node, NodeHeader* header) {
         std::memset(node + leaf.fences_offset() + header->low_bytes, 0, header->high_bytes);
       });
     },
     "fence keys out of order"},
    {"FencesOfAnInnerNodeEqual",
     [](CheckedPool& p) {
       p.EditNode(p.Root(), [at = p.Root().fences_offset()](std::byte* node, NodeHeader* header) {
         header->flags = 0;
         header->low_bytes = header->high_bytes = 1;
         header->base_end++;
         node[at] = node[at + 1] = std::byte{'k'};
       });
     },
     "fence keys out of order"},
    {"BaseRecordTooLong",
     [](CheckedPool& p) {
       const size_t at = p.FirstLeaf().RecordOffset(0) + offsetof(RecordHeader, key_bytes);
       p.EditNode(p.FirstLeaf(), [at](std::byte* node, NodeHeader*) {
         std::memset(node + at, 0xff, sizeof RecordHeader::key_bytes);
       });
     },
     "base record 0 is not a record"},
    {"BaseRecordsUnsorted",
     [](CheckedPool& p) {
       const size_t slots = p.FirstLeaf().leaf_slots_offset();
       p.EditNode(p.FirstLeaf(), [slots](std::byte* node, NodeHeader*) {
         std::swap_ranges(node + slots, node + slots + 2, node + slots + 2);
       });
     },
     "base record 1 is out of order"},
    {"BaseRecordDamaged",
     [](CheckedPool& p) {
       const uint64_t at =
           PlaceOf(p, BaseRecord(p.FirstLeaf(), 0).value) - OffsetOf(p.FirstLeaf().pfn());
       p.EditNode(p.FirstLeaf(), [at](std::byte* node, NodeHeader*) { node[at] ^= std::byte{1}; });
     },
     "base record 0 is damaged"},
    {"LoggedRecordDamaged", [](CheckedPool& p) { p.Store8(PlaceOf(p, FirstLogged(p).value), 'x'); },
     "logged record 0 is damaged"},
    {"LogDamagedBeforeItIsRead",
     [](CheckedPool& p) {
       p.Store8(PlaceOf(p, FirstLogged(p).value), 'x');
       p.Remount();
     },
     "log is damaged at byte"},
    {"LoggedKeyOfAnotherLeaf", LogAForeignKey, "record outside the leaf's range"},
};

std::vector<Seed> AllSeeds() {
  std::vector<Seed> all(std::begin(kObjectSeeds), std::end(kObjectSeeds));
  all.insert(all.end(), std::begin(kTreeSeeds), std::end(kTreeSeeds));
  all.insert(all.end(), std::begin(kLeafSeeds), std::end(kLeafSeeds));
  return all;
}

// What the checker says of a pool with this bug; it is asked once.
const std::vector<std::string>& ProblemsOf(const Seed& seed) {
  static std::map<std::string, std::vector<std::string>> known;
  const auto [at, is_new] = known.try_emplace(seed.name);
  if (is_new) {
    CheckedPool pool;
    seed.plant(pool);
    at->second = Check(pool.pool()).problems;
  }
  return at->second;
}

class SeededTest : public testing::TestWithParam<Seed> {};

TEST_P(SeededTest, IsReported) {
  std::string all;
  for (const std::string& problem : ProblemsOf(GetParam())) all += problem + "\n";
  EXPECT_NE(all.find(GetParam().message), all.npos) << "reported: " << all;
}

INSTANTIATE_TEST_SUITE_P(Bugs, SeededTest, testing::ValuesIn(AllSeeds()),
                         [](const auto& info) { return info.param.name; });

// The texts that a file's calls of Report and NodeDamage make.
std::vector<std::string> MessagesIn(const std::string& file) {
  const std::string text = ReadWholeFile(SourceFile(file));
  const std::regex call(R"((?:Report|NodeDamage)\([^;"]*"([^"]+)\")");
  std::vector<std::string> messages;
  for (std::sregex_iterator at(text.begin(), text.end(), call), end; at != end; ++at) {
    messages.push_back((*at)[1]);
  }
  return messages;
}

bool Fits(const std::string& message, const std::string& problem) {
  const std::string quoted =
      std::regex_replace(message, std::regex(R"([().'*+?^$|\[\]])"), R"(\$&)");
  return std::regex_search(
      problem, std::regex(std::regex_replace(quoted, std::regex(R"(\{[^}]*\})"), ".*")));
}

TEST(CheckMessagesTest, EachHasASeededBug) {
  std::vector<std::string> problems;
  for (const Seed& seed : AllSeeds()) {
    for (const std::string& problem : ProblemsOf(seed)) problems.push_back(problem);
  }
  size_t messages = 0;
  for (const char* const file : {"engine/check.cc", "engine/node.cc", "engine/catalogue.cc",
                                 "engine/leaf.cc", "engine/tree.cc", "engine/cursor.cc"}) {
    for (const std::string& message : MessagesIn(file)) {
      messages++;
      const bool seen = std::any_of(problems.begin(), problems.end(),
                                    [&](const auto& problem) { return Fits(message, problem); });
      EXPECT_TRUE(seen) << file << ": " << message;
    }
  }
  EXPECT_GE(messages, AllSeeds().size());
}

}  // namespace
}  // namespace tuff::test
