// What goes wrong when an order of two things is not kept that only another thread can tell, or a
// power failure while two are at it: A runs up to a step, B acts, A goes on.
#include <fmt/format.h>

#include "pagemap/recorder.h"
#include "tests/concurrency/scheduler.h"
#include "tests/crash/crash_image.h"
#include "tests/crash/mutant_lab.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

using Dir = const std::string&;
using Body = std::function<void()>;
constexpr int kRecords = 120;

// A scheduler that records, too, so that power may fail.
class Duel : public Scheduler {
 public:
  explicit Duel(Lab& lab)
      : lab_(lab), base_(SparseImage::OfMapping(lab.map().base(), OffsetOf(lab.map().frames()))) {}

  /// A's body up to a step.
  void Begin(Body a, const At& stop) {
    a_ = &Add("A", Guarded(std::move(a)));
    parked_ = MustRunTo(*a_, stop) == Outcome::kParked;
  }
  bool parked() const { return parked_; }
  /// B's, wholly; false if it is blocked by A.
  bool Act(Body b) {
    Actor& actor = Add("B", Guarded(std::move(b)));
    return RunOn(actor) == Outcome::kFinished;
  }
  void End() {
    JoinAll();
    if (!wrong_.empty()) throw Wrong{wrong_};
  }
  /// The pool's file as it is, if power fails now and nothing is there that need not be.
  std::string FailPower() {
    for (PersistEvent& event : recorder_.Take()) events_.push_back(std::move(event));
    MemoryModel model(Granularity::kCacheLine, [&](uint64_t at) { return base_.LineAt(at); });
    for (const PersistEvent& event : events_) model.Apply(event);
    const std::string path = lab_.path() + "-failed";
    Require(DurableImage(base_, model).WriteTo(path), "no image");
    return path;
  }

  void OnPoint(const Step& step) override {
    recorder_.OnPoint(step);
    Scheduler::OnPoint(step);
  }
  void OnStore(const std::byte* base, uint64_t offset, std::span<const std::byte> bytes) override {
    recorder_.OnStore(base, offset, bytes);
  }
  // The fence takes effect when A goes on from it.
  bool OnFlush(const Step& step, const std::byte* base, uint64_t offset, size_t n) override {
    Scheduler::OnFlush(step, base, offset, n);
    return recorder_.OnFlush(step, base, offset, n);
  }
  bool OnFence(const Step& step, const std::byte* base) override {
    Scheduler::OnFence(step, base);
    return recorder_.OnFence(step, base);
  }

 private:
  Body Guarded(Body body) {
    return [this, body = std::move(body)] {
      try {
        body();
      } catch (const Wrong& problem) {
        wrong_ = problem.what;
      }
    };
  }

  Lab& lab_;
  const SparseImage base_;
  Recorder recorder_;
  std::vector<PersistEvent> events_;
  Actor* a_ = nullptr;
  bool parked_ = false;
  std::string wrong_;
};

// What a reader sees is there after a power failure: A is at a fence, B reads.
void SeeAndFail(Lab& lab, const std::string& key, const Body& a, const At& fence) {
  const std::string before = lab.Read(key);
  std::string seen;
  {
    Duel duel(lab);
    duel.Begin(a, fence);
    Require(duel.parked(), "A never came to its fence");
    Require(duel.Act([&] { seen = lab.Read(key); }), "a reader waits");
    duel.End();
  }
  Require(seen == before, "what was not durable yet has been seen");
}

void WriteBatchOf(Lab& lab, const std::string& one, const std::string& two) {
  WriteBatch batch;
  Must(batch.Put(lab.store(), one, "new"));
  Must(batch.Put(lab.store(), two, "new"));
  Must(lab.pool().Write(batch));
}

// A has found its leaf and waits for the latch; B replaces the leaf meanwhile.
void ReplaceFoundLeaf(Dir dir) {
  Lab lab(dir, kRecords);
  const std::string key = Lab::Key(kRecords / 2);
  {
    Duel duel(lab);
    duel.Begin([&] { lab.Put(key, "A's"); }, At("put.latch"));
    lab.RewriteLeafOf(Lab::Key(kRecords / 2 + 1));
    Require(duel.parked(), "A has not waited");
    duel.End();
  }
  Require(lab.Read(key) == "A's", "a write is lost");
  lab.RequireSound();
}

// A fills a leaf until it wants the parent; B replaces that meanwhile.
void ReplaceFoundParent(Dir dir, bool look_at_frame) {
  Lab lab(dir, kRecords);
  const std::string key = Lab::Key(2);
  const std::string value(100, 'A');
  bool handed_out = false;
  {
    Duel duel(lab);
    duel.Begin(
        [&] {
          for (int i = 100; i < 160; i++) lab.Put(key + std::to_string(i), value);
        },
        At("smo.latch"));
    Require(duel.parked(), "A has not split its leaf");
    const Pfn parent = lab.Root();
    for (int i = 0; lab.Root() == parent; i++) {
      lab.Put(Lab::Key(kRecords - 3) + std::to_string(i), value);
    }
    lab.map().limbo().Reclaim();
    if (look_at_frame) handed_out = lab.IsHandedOut(parent);
    duel.End();
  }
  Require(!handed_out, "a frame that is waited for is handed out");
  for (int i = 100; i < 160; i++) {
    Require(lab.Read(key + std::to_string(i)) == value, "a write is lost");
  }
  lab.RequireAll(kRecords);
  lab.RequireSound();
}

// A reads in a leaf while it is replaced and freed, by so many others that limbo is full.
void FreeUnderReader(Dir dir, bool reclaim, int rewritings) {
  Lab lab(dir, kRecords);
  const std::string key = Lab::Key(0);
  const Pfn leaf = lab.LeafOf(key);
  bool handed_out = false;
  {
    Duel duel(lab);
    duel.Begin([&] { lab.Read(key); }, At("descend.1"));
    for (int i = 0; i < rewritings && !handed_out; i++) {
      lab.RewriteLeafOf(key);
      handed_out = i > 0 && lab.LeafOf(key) == leaf;
    }
    if (!reclaim || duel.Act([&] { lab.map().limbo().Reclaim(); })) {
      handed_out |= lab.IsHandedOut(leaf);
    }
    duel.End();
  }
  Require(!handed_out, "a frame that is read in is handed out");
}

// A put has its number, and is not shown yet, when a snapshot is taken.
void SnapshotBesidePut(Dir dir) {
  Lab lab(dir, kRecords);
  const std::string key = Lab::Key(0);
  const Snapshot* snapshot = nullptr;
  std::string first;
  {
    Duel duel(lab);
    duel.Begin([&] { lab.Put(key, "new"); }, At("put.1"));
    (void)duel.Act([&] {
      snapshot = Must(lab.pool().GetSnapshot());
      first = lab.Read(key, snapshot);
    });
    duel.End();
  }
  const std::string second = lab.Read(key, snapshot);
  lab.pool().ReleaseSnapshot(snapshot);
  Require(first == second, "a snapshot has changed");
}

// A writer is at work in the store while a bulk load is put in its place.
void FinishBesidePut(Dir dir) {
  Lab lab(dir);
  lab.Put("key", "");
  Must(lab.store().Delete("key"));
  auto loader = Must(lab.store().NewBulkLoader());
  Must(loader->Add("other", ""));
  {
    Duel duel(lab);
    duel.Begin([&] { lab.Put("key", "A's"); }, At("put.1"));
    (void)duel.Act([&] { (void)loader->Finish(); });
    duel.End();
  }
  loader.reset();
  Require(lab.Read("key") == "A's", "a write is lost");
}

// A has a change of a leaf behind it, but for its end; B goes on with the leaf, or with what it was
// in, and then the process is killed.
void ChangeAgain(Dir dir, const char* step, const std::function<void(Lab&, Pfn)>& again) {
  Lab lab(dir, kRecords);
  const Pfn leaf = lab.LeafOf(Lab::Key(0));
  std::string killed;
  {
    Duel duel(lab);
    duel.Begin([&] { lab.RewriteLeafOf(Lab::Key(0)); }, At(step));
    if (duel.parked()) again(lab, leaf);  // else nothing is left out: A does not come by there
    killed = lab.Copy();
    duel.End();
  }
  lab.UseFile(killed);
  Must(lab.Open());
  lab.RequireAll(kRecords);
  lab.RequireSound();
}

// A new store's anchor lies in the frame: no latch is waited for there.
void ReuseFrame(Lab& lab, Pfn frame) {
  lab.map().limbo().Reclaim();
  std::vector<Pfn> others = lab.TakeAll();
  if (std::erase(others, frame) > 0) lab.map().allocator().Free(frame, 0);
  (void)lab.pool().CreateStore("other");
  lab.GiveBack(others);
}

const Killer kDuels[] = {
    {"put.order",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       SeeAndFail(
           lab, Lab::Key(0), [&] { lab.Put(Lab::Key(0), "new"); }, At("put.4"));
     }},
    {"group.order",
     [](Dir dir) {
       Lab lab(dir, 4, Granularity::kPage);
       SeeAndFail(
           lab, Lab::Key(0), [&] { lab.Put(Lab::Key(0), "new"); }, At("group.8"));
     }},
    {"redo.order",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       SeeAndFail(
           lab, Lab::Key(0), [&] { WriteBatchOf(lab, Lab::Key(0), Lab::Key(kRecords - 1)); },
           At("batch.5"));
     }},
    {"smo.order",
     [](Dir dir) {
       // A's records fill the leaf: the first that finds no room shares the fence of its rewriting.
       Lab lab(dir, 4, Granularity::kPage);
       const std::string key = Lab::Key(0);
       std::string acknowledged;
       std::string seen;
       Duel duel(lab);
       duel.Begin(
           [&] {
             for (int i = 0; i < 300; i++) {
               const std::string value = std::to_string(i) + std::string(200, 'A');
               lab.Put(key, value);
               acknowledged = value;
             }
           },
           At("smo.12"));
       Require(duel.parked(), "A has not rewritten its leaf");
       const std::string durable = acknowledged;
       Require(duel.Act([&] { seen = lab.Read(key); }), "a reader waits");
       duel.End();
       Require(seen == durable, "what was not durable yet has been seen");
     }},
    {"tail.order",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       const std::string key = Lab::Key(0);
       lab.RewriteLeafOf(key);
       const Pfn leaf = lab.LeafOf(key);
       Descriptor& head = lab.map().memmap().At(leaf);
       // As a node that was in the frame before may have left it.
       for (size_t i = head.tail_count; i < Descriptor::kTailSlots; i++) {
         head.tail_offset[i] = 9;
         head.tail_fingerprint[i] = Fingerprint(key);
       }
       Duel duel(lab);
       duel.Begin([&] { lab.Put(key, "new"); }, At("tail.order"));
       (void)duel.Act([&] { lab.Read(key); });
       duel.End();
     }},
    {"memmap.order",
     [](Dir dir) {
       // Leaves in two page blocks; what was in their descriptors is garbage.
       Lab lab(dir);
       std::vector<std::string> keys;
       for (int i = 0; i < 400 && keys.size() < 2; i++) {
         const std::string key = Lab::Key(i);
         lab.Put(key, std::string(12000, 'v'));
         if (BlockOf(lab.LeafOf(key)) != 0) keys.push_back(key);
       }
       Require(keys.size() == 2, "one page block holds all");
       lab.Close();
       Random random(7);
       WriteAt(lab.path(), OffsetOf(MemmapPfn(0)), random.Bytes(OffsetOf(kMemmapFrames)));
       Must(lab.Open());
       Duel duel(lab);
       duel.Begin([&] { lab.Read(keys[0]); }, At("memmap.order"));
       (void)duel.Act([&] { lab.Read(keys[1]); });
       duel.End();
       lab.RequireSound();
     }},
    {"put.live", ReplaceFoundLeaf},
    {"smo.obsolete", ReplaceFoundLeaf},
    {"smo.live", [](Dir dir) { ReplaceFoundParent(dir, false); }},
    {"smo.root",
     [](Dir dir) {
       // The anchor leads to a leaf when A's split comes to its inner root.
       Lab lab(dir, kRecords);
       const NodeView root(lab.map().base() + OffsetOf(lab.Root()), lab.Root());
       const uint64_t leaf = root.ChildWord(0);
       Duel duel(lab);
       duel.Begin(
           [&] {
             Status s;
             for (int i = 100; s.ok() && i < 200; i++) {
               s = lab.store().Put(Lab::Key(2) + std::to_string(i), std::string(100, 'A'));
             }
             Lab::RequireRefused(s);
           },
           At("smo.latch"));
       Require(duel.parked(), "A has not split its leaf");
       WriteStruct(lab.path(), OffsetOf(lab.Anchor()) + offsetof(struct Anchor, root), leaf);
       duel.End();
     }},
    {"smo.pin", [](Dir dir) { ReplaceFoundParent(dir, true); }},
    {"put.pin",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       const std::string key = Lab::Key(kRecords - 1);
       const Pfn leaf = lab.LeafOf(key);
       bool handed_out = false;
       {
         Duel duel(lab);
         duel.Begin([&] { WriteBatchOf(lab, Lab::Key(0), key); }, At("put.latch", 2));
         lab.RewriteLeafOf(key);
         lab.map().limbo().Reclaim();
         handed_out = lab.IsHandedOut(leaf);
         duel.End();
       }
       Require(!handed_out, "a frame that is waited for is handed out");
     }},
    {"limbo.grace", [](Dir dir) { FreeUnderReader(dir, true, 1); }},
    {"limbo.defer", [](Dir dir) { FreeUnderReader(dir, false, 80); }},
    {"version.bound", SnapshotBesidePut},
    {"version.wait", SnapshotBesidePut},
    {"version.pend",
     [](Dir dir) {
       Lab lab(dir, kRecords);
       std::string one;
       std::string two;
       Duel duel(lab);
       duel.Begin([&] { WriteBatchOf(lab, Lab::Key(0), Lab::Key(kRecords - 1)); },
                  At("batch.shown"));
       (void)duel.Act([&] {
         one = lab.Read(Lab::Key(0));
         two = lab.Read(Lab::Key(kRecords - 1));
       });
       duel.End();
       Require((one == "new") == (two == "new"), "half a batch is seen");
     }},
    {"bulk.gate", FinishBesidePut},
    {"gate.writers", FinishBesidePut},
    {"smo.release",
     [](Dir dir) {
       ChangeAgain(dir, "smo.release", [](Lab& lab, Pfn) { lab.RewriteLeafOf(Lab::Key(0)); });
     }},
    {"smo.limbo", [](Dir dir) { ChangeAgain(dir, "smo.limbo", ReuseFrame); }},
    {"smo.born",
     [](Dir dir) {
       // The word that leads to A's new leaf is stored, but not durable.
       Lab lab(dir, kRecords);
       std::string failed;
       {
         Duel duel(lab);
         duel.Begin([&] { lab.RewriteLeafOf(Lab::Key(0)); }, At("smo.7"));
         if (duel.Act([&] { lab.Put(Lab::Key(1), "B's"); })) failed = duel.FailPower();
         duel.End();
       }
       if (failed.empty()) return;  // B has waited
       lab.UseFile(failed);
       Must(lab.Open());
       Require(lab.Read(Lab::Key(1)) == "B's", "an acknowledged write is lost");
     }},
};

class DuelMutant : public ::testing::TestWithParam<Killer> {};
TEST_P(DuelMutant, IsKilled) { ExpectKilled(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, DuelMutant, ::testing::ValuesIn(kDuels), NameOfKiller);

[[maybe_unused]] const bool listed = ListKillers(kDuels);

}  // namespace
}  // namespace tuff::test
