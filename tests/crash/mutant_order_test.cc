// What goes wrong when what is used up is not retired, what must be zero is not zeroed, or the
// order of two things is not kept: one thread after the other.
#include <fmt/format.h>

#include <cstring>

#include "engine/node.h"
#include "pagemap/recorder.h"
#include "tests/crash/crash_image.h"
#include "tests/crash/mutant_lab.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

using Dir = const std::string&;
constexpr int kRecords = 120;

// Keeps the file as it is at the first passing of a step.
class CopyAt : public StepObserver {
 public:
  CopyAt(Lab& lab, std::string id) : lab_(lab), id_(std::move(id)) { SetStepObserver(this); }
  ~CopyAt() override { SetStepObserver(nullptr); }
  void OnPoint(const Step& step) override {
    if (path_.empty() && step.id == id_) path_ = lab_.Copy();
  }
  const std::string& path() const { return path_; }

 private:
  Lab& lab_;
  const std::string id_;
  std::string path_;
};

bool IsZero(const std::byte* from, const std::byte* to) {
  return std::all_of(from, to, [](std::byte b) { return b == std::byte{0}; });
}

// All that pads a node on the medium is zero (docs/format.md).
void RequirePadded(const NodeView& node) {
  const std::byte* const at = node.data();
  const auto require = [&](size_t from, size_t to) {
    Require(IsZero(at + from, at + to),
            fmt::format("node {}: {} to {} is not zero", node.number(), from, to));
  };
  const size_t n = node.count();
  size_t text = node.fences_offset() + node.header().low_bytes + node.header().high_bytes;
  if (node.is_leaf()) {
    require(sizeof(NodeHeader) + n, node.leaf_slots_offset());
    require(node.leaf_slots_offset() + 2 * n, node.fences_offset());
    require(text, Pad8(text));
    RecordView record;
    for (size_t i = 0; i < n; i++) {
      Require(node.BaseRecord(i, &record), "no record");
      require(node.RecordOffset(i) + sizeof(RecordHeader) + record.key.size() + record.value.size(),
              node.RecordOffset(i) + record.bytes);
    }
    for (text = node.base_end(); ParseRecord(at, text, node.bytes(), &record);
         text += record.bytes) {
      require(text + sizeof(RecordHeader) + record.key.size() + record.value.size(),
              text + record.bytes);
    }
    return;
  }
  require(node.inner_slots_offset() + sizeof(InnerSlot) * node.separators(), node.fences_offset());
  for (size_t i = 0; i < node.separators(); i++) {
    const InnerSlot slot = node.Slot(i);
    if (slot.bytes > 8) text = std::max(text, size_t{slot.offset} + slot.bytes - 8);
  }
  require(text, node.base_end());
  require(node.base_end() + 8 * n, node.bytes());
}

void RequireAllPadded(Lab& lab) {
  const auto visit = [&](const auto& self, uint64_t word) -> void {
    const Pfn pfn = ChildPfn(word);
    const NodeView node(lab.map().base() + OffsetOf(pfn), pfn);
    RequirePadded(node);
    for (size_t i = 0; !node.is_leaf() && i < node.count(); i++) self(self, node.ChildWord(i));
  };
  const uint64_t place = OffsetOf(lab.Anchor()) + offsetof(Anchor, root);
  visit(visit, Load64(lab.map().base() + place));
}

// Nodes of all kinds, written in every way there is.
void RequirePadding(Dir dir) {
  Lab lab(dir);
  lab.Put("long", std::string(2000, 'l'));  // leaves something in what records are made in
  // Separators of more than 8 bytes, and of all lengths.
  for (int i = 0; i < 400; i++) {
    lab.Put(fmt::format("{:010}{}", i, std::string(static_cast<size_t>(i % 9), 'k')),
            std::string(static_cast<size_t>(1 + i % 8), 'v'));
    if (i % 10 == 9) RequireAllPadded(lab);
  }
}

// Two stores of many nodes come and go, and leaves are rewritten.
void RequireNothingLeaked(Dir dir) {
  Lab lab(dir, kRecords);
  for (int i = 0; i < kRecords; i += 10) lab.RewriteLeafOf(Lab::Key(i));
  Store& other = *Must(lab.pool().CreateStore("other"));
  for (int i = 0; i < kRecords; i++) Must(other.Put(Lab::Key(i), Lab::Value(i)));
  Must(lab.pool().DropStore("other"));
  Must(lab.pool().WaitForBackgroundWork());
  lab.RequireNothingLeaked();
}

// A bulk load of more leaves than one step takes.
void BulkLoad(Lab& lab, int records, bool finish = true) {
  auto loader = Must(lab.store().NewBulkLoader());
  for (int i = 0; i < records; i++) Must(loader->Add(Lab::Key(i), Lab::Value(i)));
  if (finish) Must(loader->Finish());
}

void FillMemmap(Dir dir) {
  Lab lab(dir, kRecords);
  lab.Close();
  Random random(7);
  WriteAt(lab.path(), OffsetOf(MemmapPfn(0)), random.Bytes(OffsetOf(kMemmapFrames)));
  lab.Reopen();
  lab.RequireAll(kRecords);
  for (int i = 0; i < kRecords; i += 10) lab.RewriteLeafOf(Lab::Key(i));
  lab.RequireSound();
}

// What power failure may leave of an opening of the pool can be opened.
void OpenWithOneSuperblock(Dir dir) {
  Lab lab(dir);
  lab.Close();
  lab.Flip(OffsetOf(kMirrorPfn) + offsetof(Superblock, uuid));
  const std::string bytes = ReadWholeFile(lab.path());
  const auto base =
      SparseImage::OfMapping(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
  Recorder recorder;
  SetStepObserver(&recorder);
  Must(lab.Open());
  SetStepObserver(nullptr);
  MemoryModel model(Granularity::kCacheLine, [&](uint64_t at) { return base.LineAt(at); });
  for (const PersistEvent& event : recorder.Take()) {
    if (event.kind == PersistEvent::Kind::kFence) {
      const CrashImages images(model, 1);
      for (const uint64_t i : images.Sample(12)) {
        Require(WithLines(DurableImage(base, model), images.At(i)).WriteTo(dir + "/image"),
                "no image");
        lab.UseFile(dir + "/image");
        Must(lab.Open());
      }
    }
    model.Apply(event);
  }
}

const Killer kRetirements[] = {
    {"lane.retire",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       lab.Reopen();
     }},
    {"lane.free",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       lab.RequireSound();
     }},
    {"recover.retire",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       std::string killed;
       {
         CopyAt copy(lab, "smo.10");
         lab.RewriteLeafOf(Lab::Key(0));
         killed = copy.path();
       }
       lab.UseFile(killed);
       Must(lab.Open());
       lab.Reopen();
     }},
    {"smo.retire", RequireNothingLeaked},
    {"object.retire", RequireNothingLeaked},
    {"graveyard.retire", RequireNothingLeaked},
    {"bulk.retire",
     [](Dir dir) {
       Lab lab(dir);
       BulkLoad(lab, 12000);
       lab.RequireNothingLeaked();
     }},
    {"limbo.pin",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       const auto pinned = lab.store().GetPinned(Lab::Key(0));
       Must(pinned.status());
       const Pfn pfn = lab.LeafOf(Lab::Key(0));
       lab.RewriteLeafOf(Lab::Key(0));
       lab.map().limbo().Reclaim();
       Require(!lab.IsHandedOut(pfn), "a pinned frame is handed out");
     }},
};

const Killer kZeroings[] = {
    {"leaf.log",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       lab.Reopen();
       lab.RequireAll(kRecords);
     }},
    {"leaf.pad", RequirePadding},
    {"inner.pad", RequirePadding},
    {"splice.slots", RequirePadding},
    {"splice.text", RequirePadding},
    {"splice.rest", RequirePadding},
    {"record.pad", RequirePadding},
    {"record.copy", RequirePadding},
    {"tail.reset",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       for (int i = 0; i < kRecords; i++) {
         if (i % 10 == 0) lab.RewriteLeafOf(Lab::Key(i));
         lab.map().limbo().Reclaim();
       }
       lab.RequireAll(kRecords);
     }},
    {"memmap.zero", FillMemmap},
};

const Killer kOrders[] = {
    {"mount.order", OpenWithOneSuperblock},
    {"mount.reserve",
     [](Dir dir) {
       Lab lab(dir);
       lab.Kill();
       Must(lab.Open());
       for (const char* value : {"1", "2", "3"}) lab.Put("key", value);
       lab.Kill();
       Must(lab.Open());
       lab.Put("key", "4");
       lab.Kill();
       Must(lab.Open());
       Require(lab.Read("key") == "4", "a write is lost");
     }},
    {"number.reserve",
     [](Dir dir) {
       Lab lab(dir);
       while (lab.map().NextNumber() < lab.map().superblock().number_limit - 1) {
       }
       lab.Put("key", "1");
       lab.Put("key", "2");
       lab.Kill();
       Must(lab.Open());
       lab.Put("key", "3");
       lab.Kill();
       Must(lab.Open());
       Require(lab.Read("key") == "3", "a write is lost");
     }},
    {"object.reserve",
     [](Dir dir) {
       Lab lab(dir, 1);
       lab.Kill();
       Must(lab.Open());
       for (const char* name : {"one", "two", "three"}) Must(lab.pool().CreateStore(name));
       lab.Reopen();
       for (const char* name : {"one", "two", "three"}) Must(lab.pool().OpenStore(name));
       lab.RequireAll(1);
     }},
    {"graveyard.flag",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       Store& other = *Must(lab.pool().CreateStore("other"));
       Must(other.Put("key", ""));
       std::string killed;
       {
         CopyAt copy(lab, "change.2");
         Must(lab.pool().DropStore("other"));
         Must(lab.pool().WaitForBackgroundWork());
         killed = copy.path();
       }
       lab.UseFile(killed);
       Must(lab.Open());
       Must(lab.pool().WaitForBackgroundWork());
       Require(Check(lab.pool()).buried == 0, "what was dropped stays for ever");
     }},
    {"building.flag",
     [](Dir dir) {
       Lab lab(dir);
       auto loader = Must(lab.store().NewBulkLoader());
       const std::string killed = lab.Copy();
       loader.reset();
       lab.UseFile(killed);
       Must(lab.Open());
       Must(lab.pool().WaitForBackgroundWork());
       Require(Check(lab.pool()).buried == 0, "what was begun stays for ever");
     }},
    {"version.keep",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       const Snapshot* const snapshot = Must(lab.pool().GetSnapshot());
       lab.Put(Lab::Key(0), "new");
       lab.RewriteLeafOf(Lab::Key(0));
       const std::string seen = lab.Read(Lab::Key(0), snapshot);
       lab.pool().ReleaseSnapshot(snapshot);
       Require(seen == Lab::Value(0), "the snapshot has lost a value");
     }},
    {"bulk.keep",
     [](Dir dir) {
       Lab lab(dir);
       lab.Put("key", "old");
       const Snapshot* const snapshot = Must(lab.pool().GetSnapshot());
       Must(lab.store().Delete("key"));
       BulkLoad(lab, 10);
       const std::string seen = lab.Read("key", snapshot);
       lab.pool().ReleaseSnapshot(snapshot);
       Require(seen == "old", "the snapshot has lost a value");
     }},
    {"bulk.filled",
     [](Dir dir) {
       Lab lab(dir);
       auto loader = Must(lab.store().NewBulkLoader());
       Must(loader->Add("key", "new"));
       const Snapshot* const snapshot = Must(lab.pool().GetSnapshot());
       Must(loader->Finish());
       const std::string seen = lab.Read("key", snapshot);
       lab.pool().ReleaseSnapshot(snapshot);
       Require(seen.empty(), "the snapshot sees what came later");
     }},
};

class RetireMutant : public ::testing::TestWithParam<Killer> {};
TEST_P(RetireMutant, IsKilled) { ExpectKilled(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, RetireMutant, ::testing::ValuesIn(kRetirements), NameOfKiller);

class ZeroMutant : public ::testing::TestWithParam<Killer> {};
TEST_P(ZeroMutant, IsKilled) { ExpectKilled(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, ZeroMutant, ::testing::ValuesIn(kZeroings), NameOfKiller);

class OrderMutant : public ::testing::TestWithParam<Killer> {};
TEST_P(OrderMutant, IsKilled) { ExpectKilled(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, OrderMutant, ::testing::ValuesIn(kOrders), NameOfKiller);

[[maybe_unused]] const bool listed =
    ListKillers(kRetirements) && ListKillers(kZeroings) && ListKillers(kOrders);

}  // namespace
}  // namespace tuff::test
