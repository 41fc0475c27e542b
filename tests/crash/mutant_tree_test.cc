// What goes wrong when a check of what a tree leads to is left out: whole nodes, in wrong places,
// or damaged since they were verified.
#include <fmt/format.h>

#include <cstring>

#include "engine/node.h"
#include "engine/object_format.h"
#include "tests/crash/mutant_lab.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

using Dir = const std::string&;
constexpr int kRecords = 120;
const std::string kMiddle = Lab::Key(kRecords / 2);

NodeHeader& HeaderOf(std::byte* node) { return *reinterpret_cast<NodeHeader*>(node); }
NodeView ViewIn(Lab& lab, Pfn pfn) { return {lab.map().base() + OffsetOf(pfn), pfn}; }

// Changes the root's child words; `key` is led by the i-th.
template <typename Change>  // of (words, i)
void EditRoot(Lab& lab, const std::string& key, const Change& change) {
  const Pfn root = lab.Root();
  lab.Close();
  lab.EditNode(root, [&](std::byte* node) {
    const NodeView view(node, 0);
    change(reinterpret_cast<uint64_t*>(node + view.base_end()), view.ChildIndex(key));
  });
  Must(lab.Open());
}

// Whoever comes to a key by a changed child word is told so.
template <typename Change>  // of a word
void RefuseChildWord(Dir dir, const Change& change) {
  Lab lab(dir, kRecords);
  EditRoot(lab, kMiddle, [&](uint64_t* words, size_t i) { words[i] = change(words[i]); });
  Lab::RequireRefused(lab.Get(kMiddle));
}

// A pool where the key leads to the first leaf, and the first keys to the key's.
void SwapLeaves(Lab& lab) {
  EditRoot(lab, kMiddle, [](uint64_t* words, size_t i) { std::swap(words[i], words[0]); });
}

// From the first record to the last, or to damage; in order.
Status Scan(Lab& lab) {
  const auto it = lab.store().NewIterator();
  std::string last;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    Require(last < it->key(), "keys out of order");
    last = it->key();
  }
  return it->status();
}

// A leaf, with a right checksum, whose range begins in its left neighbour's.
void LowerFence(Lab& lab) {
  const Pfn pfn = lab.LeafOf(kMiddle);
  lab.Close();
  lab.EditNode(pfn, [](std::byte* node) {
    // "key000.." becomes "keu000..".
    node[NodeView(node, 0).fences_offset() + 2] = std::byte{'u'};
  });
  Must(lab.Open());
}

// Puts into the leaf of a key until one fails.
Status PutUntilRefused(Lab& lab, const std::string& key) {
  for (int i = 0; i < 200; i++) {
    Status s = lab.store().Put(key + std::to_string(100 + i), std::string(100, 'w'));
    if (!s.ok()) return s;
  }
  return Status();
}

// Changes, or heals, the last byte of an inner node's last separator.
void FlipSeparator(Lab& lab, const NodeView& node) {
  const size_t last = node.separators() - 1;
  const uint64_t head = OffsetOf(node.pfn()) + sizeof(NodeHeader) + 8 * last;
  // A number: the byte that comes last is the lowest.
  FlipByte(lab.path(), head + 8 - std::min<size_t>(node.Slot(last).bytes, 8), 1);
}

const Killer kLeads[] = {
    {"child.frame", [](Dir dir) { RefuseChildWord(dir, [](uint64_t) { return ~0ull; }); }},
    {"child.tag",
     [](Dir dir) {
       RefuseChildWord(dir, [](uint64_t word) { return word + (1ull << kPfnBits); });
     }},
    {"child.level",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       const Pfn root = lab.Root();
       lab.Close();
       lab.EditNode(root, [](std::byte* node) { HeaderOf(node).level = 2; });
       Must(lab.Open());
       Lab::RequireRefused(lab.Get(kMiddle));
     }},
    {"child.object",
     [](Dir dir) {
       // To a leaf of another store, which has found it sound.
       Lab lab(dir, kRecords);
       Store* other = Must(lab.pool().CreateStore("other"));
       Must(other->Put(kMiddle, "another store's"));
       const Pfn anchor = Must(PoolTestPeer::GetCatalogue(lab.pool()).Find("other")).anchor;
       const uint64_t word =
           Load64(lab.map().base() + OffsetOf(anchor) + offsetof(struct Anchor, root));
       EditRoot(lab, kMiddle, [&](uint64_t* words, size_t i) { words[i] = word; });
       std::string value;
       Must(Must(lab.pool().OpenStore("other"))->Get(kMiddle, &value));
       Lab::RequireRefused(lab.Get(kMiddle));
     }},
    {"child.stale",
     [](Dir dir) {
       // The word is what it was before the leaf was replaced.
       Lab lab(dir, kRecords);
       const uint64_t word = ViewIn(lab, lab.LeafOf(kMiddle)).child_word();
       lab.RewriteLeafOf(kMiddle);
       const NodeView root = ViewIn(lab, lab.Root());
       WriteStruct(lab.path(), root.ChildPlace(root.ChildIndex(kMiddle)), word);
       Lab::RequireRefused(lab.store().Put(kMiddle, ""));
     }},
    {"get.range",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       SwapLeaves(lab);
       Lab::RequireRefused(lab.Get(kMiddle));
     }},
    {"put.range",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       SwapLeaves(lab);
       Lab::RequireRefused(lab.store().Put(kMiddle, ""));
     }},
    {"scan.range",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       SwapLeaves(lab);
       Lab::RequireRefused(Scan(lab));
     }},
    {"batch.range",
     [](Dir dir) {
       // Two keys of a batch are led to one leaf, the first one's.
       Lab lab(dir, kRecords);
       EditRoot(lab, kMiddle, [](uint64_t* words, size_t i) { words[i] = words[0]; });
       WriteBatch batch;
       Must(batch.Put(lab.store(), Lab::Key(0), ""));
       Must(batch.Put(lab.store(), kMiddle, ""));
       Lab::RequireRefused(lab.pool().Write(batch));
     }},
    {"walk.order",
     [](Dir dir) {
       // Two records' slots are swapped when the leaf has been verified.
       Lab lab(dir, kRecords);
       const NodeView leaf = ViewIn(lab, lab.LeafOf(kMiddle));
       const uint64_t place = OffsetOf(leaf.pfn()) + leaf.leaf_slots_offset();
       auto slots = ReadStruct<std::array<uint16_t, 2>>(lab.path(), place);
       std::swap(slots[0], slots[1]);
       WriteStruct(lab.path(), place, slots);
       Lab::RequireRefused(Scan(lab));
     }},
};

const Killer kChanges[] = {
    {"smo.parent",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       LowerFence(lab);
       Lab::RequireRefused(PutUntilRefused(lab, kMiddle));
     }},
    {"smo.range",
     [](Dir dir) {
       // The leaf holds more than its parent's slot says, so its split goes elsewhere.
       Lab lab(dir, kRecords);
       const Pfn pfn = lab.LeafOf(kMiddle);
       const std::string low(ViewIn(lab, pfn).low());
       lab.Close();
       lab.EditNode(pfn, [&](std::byte* bytes) {
         NodeIdentity id;
         id.pfn = pfn;
         id.number = HeaderOf(bytes).number;
         id.object_id = HeaderOf(bytes).object_id;
         id.sequence_max = HeaderOf(bytes).sequence_max;
         id.low = low;
         std::vector<std::string> keys;
         std::vector<RecordView> records;
         for (int i = 10; i < 26; i++) keys.push_back("zzz" + std::to_string(i));
         const std::string value(100, 'z');
         for (const std::string& each : keys) {
           RecordView record;
           record.key = each;
           record.value = value;
           record.bytes = RecordBytes(each.size(), value.size());
           record.sequence_and_type = PackSequence(1, RecordType::kPut);
           records.push_back(record);
         }
         WriteLeaf(bytes, id, records, lab.hash_seed());
       });
       Must(lab.Open());
       Lab::RequireRefused(PutUntilRefused(lab, kMiddle));
     }},
    {"smo.whole",
     [](Dir dir) {
       // A separator far from where a leaf is split is damaged when its node has been verified.
       Lab lab(dir, kRecords);
       FlipSeparator(lab, ViewIn(lab, lab.Root()));
       Lab::RequireRefused(PutUntilRefused(lab, Lab::Key(2)));
     }},
    {"smo.beside",
     [](Dir dir) {
       // The same of a node that its neighbour may be merged with: damage that is not copied goes
       // when the byte is as it was.
       Lab lab(dir);
       const auto key = [](int i) { return std::string(100, 'p') + Lab::Key(i); };
       const auto level = [&] { return ViewIn(lab, lab.Root()).level(); };
       int n = 0;
       for (; n < 50 || level() < 2; n++) lab.Put(key(n), std::string(100, 'v'));
       const NodeView root = ViewIn(lab, lab.Root());
       const NodeView right = ViewIn(lab, ChildPfn(root.ChildWord(1)));
       const std::string end(right.low());
       FlipSeparator(lab, right);
       for (int i = 0; key(i) < end; i++) Must(lab.store().Delete(key(i)));
       FlipSeparator(lab, right);
       lab.RequireSound();
     }},
};

class LeadMutant : public ::testing::TestWithParam<Killer> {};
TEST_P(LeadMutant, IsKilled) { ExpectKilled(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, LeadMutant, ::testing::ValuesIn(kLeads), NameOfKiller);

class ChangeMutant : public ::testing::TestWithParam<Killer> {};
TEST_P(ChangeMutant, IsKilled) { ExpectKilled(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, ChangeMutant, ::testing::ValuesIn(kChanges), NameOfKiller);

[[maybe_unused]] const bool listed = ListKillers(kLeads) && ListKillers(kChanges);

}  // namespace
}  // namespace tuff::test
