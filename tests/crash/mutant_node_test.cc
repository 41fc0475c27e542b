// What goes wrong when a check of nodes, of records, of anchors, or of what they lead to is left
// out: damage that this check alone sees, most of it with right checksums.
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

NodeHeader& HeaderOf(std::byte* node) { return *reinterpret_cast<NodeHeader*>(node); }

template <typename T>
T* At(std::byte* node, size_t offset) {
  return reinterpret_cast<T*>(node + offset);
}

// Whoever comes to the damaged node is told so.
void RefuseNode(Lab& lab, Pfn pfn, const std::string& key,
                const std::function<void(std::byte*)>& edit, bool sealed = true) {
  lab.Close();
  lab.EditNode(pfn, edit, sealed);
  Must(lab.Open());
  Lab::RequireRefused(lab.Get(key));
}

void RefuseLeaf(Dir dir, const std::function<void(std::byte*)>& edit, bool sealed = true) {
  Lab lab(dir, kRecords);
  const std::string key = Lab::Key(kRecords / 2);
  RefuseNode(lab, lab.LeafOf(key), key, edit, sealed);
}

void RefuseRoot(Dir dir, const std::function<void(std::byte*)>& edit) {
  Lab lab(dir, kRecords);
  RefuseNode(lab, lab.Root(), Lab::Key(kRecords - 1), edit);
}

NodeView ViewOf(std::byte* node) { return {node, 0}; }

const Killer kNodes[] = {
    {"node.kind", [](Dir dir) { RefuseRoot(dir, [](auto* n) { HeaderOf(n).kind = 7; }); }},
    {"node.level",
     [](Dir dir) {
       // Of a crashed pool, where a log that is no log may be torn.
       Lab lab(dir, kRecords);
       const Pfn root = lab.Root();
       lab.Kill();
       lab.EditNode(root, [](auto* n) { HeaderOf(n).level = 0; });
       Must(lab.Open());
       Lab::RequireRefused(lab.Get(Lab::Key(0)));
     }},
    {"node.fences",
     [](Dir dir) {
       // What is said to be open upwards has a high fence.
       RefuseLeaf(dir, [](auto* n) { HeaderOf(n).flags |= kNodeNoHighFence; });
     }},
    {"node.checksum",
     [](Dir dir) {
       RefuseLeaf(
           dir,
           [](auto* n) {
             std::memset(n + sizeof(NodeHeader), 0, HeaderOf(n).count);  // fingerprints
           },
           false);
     }},
    {"leaf.record",
     [](Dir dir) {
       // The first one's slot leads into the header; another record is asked for.
       Lab lab(dir, kRecords);
       RefuseNode(lab, lab.LeafOf(Lab::Key(0)), Lab::Key(1),
                  [](auto* n) { *At<uint16_t>(n, ViewOf(n).leaf_slots_offset()) = 1; });
     }},
    {"leaf.order",
     [](Dir dir) {
       RefuseLeaf(dir, [](auto* n) {
         auto* const slots = At<uint16_t>(n, ViewOf(n).leaf_slots_offset());
         std::swap(slots[0], slots[1]);
       });
     }},
    {"inner.separator",
     [](Dir dir) {
       RefuseRoot(dir, [](auto* n) {
         const NodeView view = ViewOf(n);
         InnerSlot* const slot =
             At<InnerSlot>(n, view.inner_slots_offset()) + view.separators() - 1;
         *slot = {60000, 200};
       });
     }},
    {"inner.order",
     [](Dir dir) {
       RefuseRoot(dir, [](auto* n) {
         auto* const heads = At<uint64_t>(n, sizeof(NodeHeader));
         std::swap(heads[0], heads[1]);
       });
     }},
};

// The bytes of a value change while the pool is open and its node has been verified.
struct Rotten {
  Rotten(Dir dir, int i) : lab(dir, kRecords), key(Lab::Key(i)) {
    if (i == kRecords - 1) lab.Put(key, Lab::Value(i));  // in the log
    auto pinned = lab.store().GetPinned(key);
    Must(pinned.status());
    const auto* const value = reinterpret_cast<const std::byte*>(pinned->view().data());
    lab.Flip(static_cast<uint64_t>(value - lab.map().base()) + 3);
  }
  void RequireScanRefused() {
    const auto it = lab.store().NewIterator();
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
    }
    Lab::RequireRefused(it->status());
  }
  Lab lab;
  const std::string key;
};

// A leaf with a log, and what else is stored behind it before the next mount.
struct Logged {
  explicit Logged(Dir dir, bool crash) : lab(dir, kRecords) {
    const std::string key = Lab::Key(kRecords / 2);
    lab.RewriteLeafOf(key);
    lab.Put(key, "logged");
    pfn = lab.LeafOf(key);
    const NodeView node(lab.map().base() + OffsetOf(pfn), pfn);
    number = node.number();
    low = node.low();
    Leaf leaf(lab.map(), node);
    end = leaf.tail_end();
    first = leaf.TailOffset(leaf.tail_count() - 1);
    logged = leaf.tail_count();
    if (crash) {
      lab.Kill();
    } else {
      lab.Close();
    }
  }
  void Append(const std::string& key, const std::string& value, uint64_t sequence,
              size_t in_group = 0) {
    std::vector<std::byte> bytes(RecordBytes(key.size(), value.size()));
    EncodeRecord(bytes.data(), key, value, PackSequence(sequence, RecordType::kPut),
                 RecordSeed(lab.hash_seed(), number, end + in_group));
    WriteAt(lab.path(), OffsetOf(pfn) + end,
            {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    end += bytes.size();
  }
  void RequireRefused() {
    Must(lab.Open());
    Lab::RequireRefused(lab.Get(low));
  }
  Lab lab;
  std::string low;
  Pfn pfn = 0;
  uint64_t number = 0;
  size_t first = 0;  // the last logged record's offset
  size_t end = 0;
  size_t logged = 0;
};
constexpr uint64_t kLater = 1u << 30;  // a number that has not been yet

const Killer kRecordKillers[] = {
    {"log.record",
     [](Dir dir) {
       Rotten r(dir, kRecords - 1);
       Lab::RequireRefused(r.lab.Get(r.key));
     }},
    {"find.base",
     [](Dir dir) {
       Rotten r(dir, kRecords / 3);
       Lab::RequireRefused(r.lab.Get(r.key));
     }},
    {"base.whole", [](Dir dir) { Rotten(dir, kRecords / 3).RequireScanRefused(); }},
    {"log.checksum",
     [](Dir dir) {
       Logged l(dir, true);
       l.lab.Flip(OffsetOf(l.pfn) + l.end - 6);
       Must(l.lab.Open());
       l.lab.RequireAll(kRecords);  // the torn record is gone
     }},
    {"group.checksum",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       const std::string key = Lab::Key(kRecords / 2);
       lab.RewriteLeafOf(key);
       WriteBatch batch;
       Must(batch.Put(lab.store(), key, "new"));
       Must(batch.Put(lab.store(), key + "-", "new"));
       Must(lab.pool().Write(batch));
       const Pfn pfn = lab.LeafOf(key);
       const NodeView node(lab.map().base() + OffsetOf(pfn), pfn);
       const size_t end = Leaf(lab.map(), node).tail_end();
       lab.Kill();
       lab.Flip(OffsetOf(pfn) + end - 10);  // of the second record
       Must(lab.Open());
       Require(lab.Read(key) != "new" && lab.Read(key + "-").empty(), "half a batch is there");
     }},
    {"log.sequence",
     [](Dir dir) {
       Logged l(dir, false);
       l.Append(l.low, "of a number that has been long ago", 1);
       l.RequireRefused();
     }},
    {"log.slots",
     [](Dir dir) {
       Logged l(dir, false);
       for (size_t i = l.logged; i <= TailSlots(0); i++) l.Append(l.low, "", kLater + i);
       l.RequireRefused();
     }},
    {"log.range",
     [](Dir dir) {
       Logged l(dir, false);
       l.Append("another leaf's", "", kLater);
       l.RequireRefused();
     }},
    {"group.whole",
     [](Dir dir) {
       // A batch whose checksum is right, and one of its records another leaf's.
       Logged l(dir, true);
       const size_t head = l.end;
       l.end += kGroupBytes;
       l.Append(l.low, "", kLater, kInGroup);
       l.Append("another leaf's", "", kLater, kInGroup);
       std::string bytes = ReadAt(l.lab.path(), OffsetOf(l.pfn) + head, l.end - head);
       SealGroup(reinterpret_cast<std::byte*>(bytes.data()), bytes.size() - kGroupBytes, kLater,
                 RecordSeed(l.lab.hash_seed(), l.number, head));
       WriteAt(l.lab.path(), OffsetOf(l.pfn) + head, bytes);
       l.RequireRefused();
     }},
    {"log.crashed",
     [](Dir dir) {
       Logged l(dir, false);
       WriteAt(l.lab.path(), OffsetOf(l.pfn) + l.end, "no crash has left this");
       l.RequireRefused();
     }},
    {"log.behind",
     [](Dir dir) {
       Logged l(dir, true);
       l.Append(l.low, "a write that was acknowledged", kLater);
       l.lab.Flip(OffsetOf(l.pfn) + l.first + 20);
       l.RequireRefused();
     }},
};

void EditAnchor(Lab& lab, Pfn pfn, const std::function<void(Anchor&)>& edit) {
  auto anchor = ReadStruct<Anchor>(lab.path(), OffsetOf(pfn));
  edit(anchor);
  constexpr size_t kFrom = offsetof(Anchor, object_id);
  anchor.checksum = Checksum64(reinterpret_cast<const std::byte*>(&anchor) + kFrom,
                               offsetof(Anchor, root) - kFrom, lab.hash_seed() ^ Mix64(pfn));
  WriteStruct(lab.path(), OffsetOf(pfn), anchor);
}

// The store is dropped; dismantling it comes to the damage.
void RefuseDismantling(Lab& lab) {
  Must(lab.Open());
  Must(lab.pool().DropStore("store"));
  Lab::RequireRefused(lab.pool().WaitForBackgroundWork());
}

void DropWithWord(Dir dir, const std::function<uint64_t(const uint64_t*)>& change) {
  Lab lab(dir, kRecords);
  const Pfn root = lab.Root();
  lab.Close();
  lab.EditNode(root, [&](std::byte* node) {
    auto* const words = At<uint64_t>(node, ViewOf(node).base_end());
    words[2] = change(words);
  });
  RefuseDismantling(lab);
}

const Killer kObjects[] = {
    {"anchor.owner",
     [](Dir dir) {
       Lab lab(dir, 1);
       const Pfn anchor = lab.Anchor();
       lab.Close();
       lab.Flip(OwnerWordOffset(anchor) + 4);
       Lab::RequireRefused(lab.Open());
     }},
    {"anchor.checksum",
     [](Dir dir) {
       Lab lab(dir, 1);
       const Pfn anchor = lab.Anchor();
       lab.Close();
       lab.Flip(OffsetOf(anchor) + offsetof(Anchor, created_ns));
       Lab::RequireRefused(lab.Open());
     }},
    {"anchor.object",
     [](Dir dir) {
       Lab lab(dir, 1);
       const Pfn pfn = lab.Anchor();
       lab.Close();
       EditAnchor(lab, pfn, [](Anchor& anchor) { anchor.object_id++; });
       Lab::RequireRefused(lab.Open());
     }},
    {"catalogue.record",
     [](Dir dir) {
       Lab lab(dir, 1);
       Must(PoolTestPeer::GetCatalogue(lab.pool()).tree().Put("no id", std::string(40, 'x')));
       lab.Close();
       Lab::RequireRefused(lab.Open());
     }},
    {"graveyard.record",
     [](Dir dir) {
       // A record that would be right but for a byte too many.
       Lab lab(dir, 1);
       Must(lab.pool().CreateStore("other"));
       Must(lab.pool().DropStore("other"));
       Must(lab.pool().WaitForBackgroundWork());
       Catalogue& catalogue = PoolTestPeer::GetCatalogue(lab.pool());
       const ObjectInfo store = Must(catalogue.Find("store"));
       const ObjectInfo graveyard = Must(catalogue.Find(kGraveyardName));
       const GraveyardEntry entry{store.anchor, static_cast<uint32_t>(store.kind), store.id};
       const std::string value(reinterpret_cast<const char*>(&entry), sizeof entry);
       Must(Tree(lab.map(), graveyard.id, graveyard.anchor)
                .Put(CatalogueKey(store.id), value + "!"));
       Must(lab.pool().CreateStore("another"));
       Must(lab.pool().DropStore("another"));
       Lab::RequireRefused(lab.pool().WaitForBackgroundWork());
     }},
    {"graveyard.frame", [](Dir dir) { DropWithWord(dir, [](auto*) { return ~0ull; }); }},
    {"graveyard.owner",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       const Pfn leaf = lab.LeafOf(Lab::Key(kRecords / 2));
       lab.Close();
       lab.Flip(OwnerWordOffset(leaf) + 4);
       RefuseDismantling(lab);
     }},
    {"graveyard.tag",
     [](Dir dir) { DropWithWord(dir, [](auto* words) { return words[2] ^ 1ull << kPfnBits; }); }},
    {"graveyard.twice", [](Dir dir) { DropWithWord(dir, [](auto* words) { return words[1]; }); }},
};

class NodeMutant : public ::testing::TestWithParam<Killer> {};
TEST_P(NodeMutant, IsKilled) { ExpectKilled(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, NodeMutant, ::testing::ValuesIn(kNodes), NameOfKiller);

class RecordMutant : public ::testing::TestWithParam<Killer> {};
TEST_P(RecordMutant, IsKilled) { ExpectKilled(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, RecordMutant, ::testing::ValuesIn(kRecordKillers), NameOfKiller);

class ObjectMutant : public ::testing::TestWithParam<Killer> {};
TEST_P(ObjectMutant, IsKilled) { ExpectKilled(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, ObjectMutant, ::testing::ValuesIn(kObjects), NameOfKiller);

[[maybe_unused]] const bool listed =
    ListKillers(kNodes) && ListKillers(kRecordKillers) && ListKillers(kObjects);

}  // namespace
}  // namespace tuff::test
