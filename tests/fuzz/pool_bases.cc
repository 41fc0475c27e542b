#include "tests/fuzz/pool_bases.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "engine/node.h"
#include "engine/object_format.h"
#include "engine/record.h"
#include "pagemap/frame_format.h"
#include "pagemap/lane_format.h"
#include "pagemap/superblock_format.h"
#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

void Must(const Status& status, const std::string& name) {
  if (status.ok()) return;
  std::fprintf(stderr, "the base '%s' cannot be made: %s\n", name.c_str(),
               status.ToString().c_str());
  std::abort();
}
template <typename T>
T Must(Result<T> result, const std::string& name) {
  Must(result.status(), name);
  return std::move(*result);
}

std::string Key(int i) { return "key" + std::to_string(1000 + i * 7919 % 9000); }

// Small records, with deletes; large ones; long keys; and none.
void FillStores(Pool& pool) {
  Store& small = *Must(pool.CreateStore("small"), "small");
  for (int i = 0; i < 70; i++) Must(small.Put(Key(i), std::string(20, 'v')), "small");
  for (int i = 0; i < 70; i += 7) Must(small.Delete(Key(i)), "small");
  Store& large = *Must(pool.CreateStore("large"), "large");
  for (int i = 0; i < 6; i++) {
    const auto n = static_cast<size_t>(i);
    Must(large.Put(std::string(1 + n * 60, 'k'), std::string(n * 2000, 'v')), "large");
  }
  Store& many = *Must(pool.CreateStore("long"), "long");
  for (int i = 0; i < 40; i++) {
    Must(many.Put(std::string(900, 'p') + Key(i), std::string(300, 'v')), "long");
  }
  (void)Must(pool.CreateStore("empty"), "empty");
}

// Keeps the pool as it is when a step is come to.
class Keeper : public StepObserver {
 public:
  Keeper(Pool& pool, std::string id, int times) : pool_(pool), id_(std::move(id)), left_(times) {
    SetStepObserver(this);
  }
  ~Keeper() override { SetStepObserver(nullptr); }
  void OnPoint(const Step& step) override {
    if (left_ == 0 || id_ != step.id || --left_ != 0) return;
    const PageMap& map = PoolTestPeer::Map(pool_);
    kept_ = SparseImage::OfMapping(map.base(), OffsetOf(map.frames()));
  }
  const SparseImage& kept() const {
    if (left_ != 0) Must(Status(Code::kNotFound, "the step is not come to"), id_);
    return kept_;
  }

 private:
  Pool& pool_;
  const std::string id_;
  int left_;
  SparseImage kept_;
};

using Act = std::function<void(Pool&)>;

// What is in the file when a step is come to in `act` for the nth time; "": when it is done.
SparseImage Make(const std::string& name, const Act& prepare, const Act& act,
                 const std::string& step, int times) {
  TempDir dir;
  auto pool = Must(Pool::Create(dir.File("pool"), SmallPool()), name);
  prepare(*pool);
  Must(pool->WaitForBackgroundWork(), name);
  if (!step.empty()) {
    const Keeper keeper(*pool, step, times);
    act(*pool);
    Must(pool->WaitForBackgroundWork(), name);
    return keeper.kept();
  }
  act(*pool);
  const PageMap& map = PoolTestPeer::Map(*pool);
  return SparseImage::OfMapping(map.base(), OffsetOf(map.frames()));
}

// A batch over two stores, with values of so many bytes.
void WriteBatchOver(Pool& pool, size_t value_bytes) {
  WriteBatch batch;
  for (const char* name : {"small", "large"}) {
    Store& store = *Must(pool.OpenStore(name), "batch");
    for (int i = 0; i < 4; i++) {
      Must(batch.Put(store, "batch" + std::to_string(i), std::string(value_bytes, 'b')), "batch");
    }
  }
  Must(pool.Write(batch), "batch");
}

void WriteGroup(Pool& pool) {
  WriteBatch batch;
  Store& store = *Must(pool.OpenStore("small"), "group");
  for (int i = 0; i < 3; i++) Must(batch.Put(store, "z" + std::to_string(i), "grouped"), "group");
  Must(pool.Write(batch), "group");
}

void LoadMuch(Pool& pool, const std::string& name, int records, bool finish) {
  Store& store = *Must(pool.CreateStore(name), name);
  const auto loader = Must(store.NewBulkLoader(), name);
  for (int i = 0; i < records; i++) {
    Must(loader->Add("key" + std::to_string(100000 + i), std::string(200, 'l')), name);
  }
  if (finish) Must(loader->Finish(), name);
}

bool IsNode(const PoolImage& image, Pfn pfn) {
  const std::vector<std::byte> bytes = image.ReadNode(pfn);
  const NodeView node(bytes.data(), pfn);
  const auto superblock = image.Get<Superblock>(0);
  return node.header().order <= kNodeOrderMax && bytes.size() == node.bytes() &&
         VerifyNode(node, superblock.hash_seed, node.header().object_id).ok();
}

PoolBase Describe(const std::string& name, const SparseImage& kept) {
  PoolBase base{name, kept, {}, {kCatalogueAnchorPfn}, {}};
  const PoolImage image(kept);
  for (const bool in_use : {true, false}) {
    for (const auto& [pfn, frame] : kept.frames()) {
      if (IsReserved(pfn)) continue;
      const auto owner = image.Get<OwnerWord>(OwnerWordOffset(pfn));
      if (in_use != (owner.kind != 0)) continue;
      if (owner.kind == static_cast<uint8_t>(FrameKind::kMetadata))
        base.anchors.push_back(pfn);
      else if (IsNode(image, pfn))
        base.nodes.push_back(pfn);
    }
  }
  for (unsigned lane = 0; lane < kLanes; lane++) {
    if (image.Get<uint64_t>(OffsetOf(kLanesPfn + lane)) != 0) base.lanes.push_back(lane);
  }
  return base;
}

// What differs from run to run becomes the same: the pool's seed, names and times.
void MakeTheSame(PoolBase* base) {
  PoolImage image(base->image);
  for (const Pfn pfn : {kSuperblockPfn, kMirrorPfn}) {
    auto superblock = image.Get<Superblock>(OffsetOf(pfn));
    superblock.hash_seed = 0x5eed;
    superblock.mount_nonce = 0x1234;
    superblock.created_ns = 0;
    superblock.writer_pid = 0;
    superblock.unsafe_shutdown_count = 0;
    for (auto* bytes : {superblock.uuid, superblock.boot_id}) std::fill_n(bytes, 16, uint8_t{7});
    std::fill_n(superblock.device_id, sizeof superblock.device_id, uint8_t{});
    image.Set(OffsetOf(pfn), superblock);
    image.SignSuperblock(pfn);
  }
  image.Set(kLiveStatusOffset, LiveStatus{});
  for (unsigned lane = 0; lane < kLanes; lane++) {
    const uint64_t at = OffsetOf(kLanesPfn + lane);
    const auto entry = image.Get<LaneEntry>(at);
    // What lies behind an entry is left from those before it.
    const size_t keep = entry.state == 0 ? 0 : PoolImage::EntryBytes(entry);
    const std::vector<std::byte> zeros(kFrameSize - keep);
    image.Write(at + keep, zeros.data(), zeros.size());
  }
  for (const Pfn pfn : base->anchors) {
    auto anchor = image.Get<Anchor>(OffsetOf(pfn));
    anchor.created_ns = anchor.modified_ns = anchor.attributes_changed_ns = 0;
    image.Set(OffsetOf(pfn), anchor);
    image.SignAnchor(pfn);
  }
  for (const Pfn pfn : base->nodes) image.SignNode(pfn, true);
  for (const unsigned lane : base->lanes) {
    auto entry = image.Get<LaneEntry>(OffsetOf(kLanesPfn + lane));
    for (const Pfn pfn : base->nodes) {
      const auto node = image.Get<NodeHeader>(OffsetOf(pfn));
      const uint64_t at = entry.place - OffsetOf(pfn);
      if (entry.place < OffsetOf(pfn) || at >= OffsetOf(1ull << node.order)) continue;
      if (entry.record_bytes != 0) entry.record_seed = RecordSeed(0x5eed, node.number, at);
    }
    image.Set(OffsetOf(kLanesPfn + lane), entry);
    image.SignLane(lane);
  }
  base->image = image.image();
}

// Signs of a good base: it opens, nothing is wrong with it, and its lanes have been believed.
void CheckBase(const PoolBase& base) {
  TempDir dir;
  if (!base.image.WriteTo(dir.File("pool"))) Must(Status(Code::kIo, "cannot write"), base.name);
  const auto pool = Must(Pool::Open(dir.File("pool"), SmallPool().open), base.name);
  Must(pool->WaitForBackgroundWork(), base.name);
  const CheckReport report = Check(*pool);
  if (!report.problems.empty()) Must(Status(Code::kCorruption, report.ToString()), base.name);
  const Statistics statistics = pool->GetStatistics();
  if (statistics.lanes_recovered + statistics.batches_replayed != base.lanes.size()) {
    Must(Status(Code::kCorruption, "a lane is not live"), base.name);
  }
}

PoolBase Finished(const std::string& name, const SparseImage& kept) {
  PoolBase base = Describe(name, kept);
  MakeTheSame(&base);
  CheckBase(base);
  return base;
}

std::vector<PoolBase> MakeBases() {
  const Act nothing = [](Pool&) {};
  const auto fill = [](Pool& pool) { FillStores(pool); };
  const auto put_much = [](Pool& pool) {
    Store& store = *Must(pool.OpenStore("small"), "put");
    for (int i = 0; i < 60; i++) Must(store.Put(Key(i) + "x", std::string(60, 'w')), "put");
  };
  const struct {
    const char* name;
    Act prepare;
    Act act;
    const char* step;
    int times;
  } plans[] = {
      {"filled", fill,
       [](Pool& pool) {
         WriteGroup(pool);
         Must(pool.Close(), "filled");
       },
       "super.3", 2},
      {"unclean", fill, WriteGroup, "", 0},
      {"split undone", fill, put_much, "smo.6", 3},
      {"split done", fill, put_much, "smo.10", 3},
      {"creation", fill, [](Pool& pool) { (void)Must(pool.CreateStore("new"), "new"); }, "object.5",
       1},
      {"batch in a lane", fill, [](Pool& pool) { WriteBatchOver(pool, 100); }, "batch.6", 1},
      {"batch in chunks", fill, [](Pool& pool) { WriteBatchOver(pool, 6000); }, "batch.6", 1},
      {"dismantling",
       [](Pool& pool) {
         FillStores(pool);
         LoadMuch(pool, "doomed", 3000, true);
       },
       [](Pool& pool) { Must(pool.DropStore("doomed"), "drop"); }, "change.6", 2},
      {"loading", nothing, [](Pool& pool) { LoadMuch(pool, "loaded", 7000, false); }, "change.10",
       1},
  };
  std::vector<PoolBase> bases = {Finished("new", NewPool())};
  for (const auto& plan : plans) {
    bases.push_back(
        Finished(plan.name, Make(plan.name, plan.prepare, plan.act, plan.step, plan.times)));
  }
  return bases;
}

}  // namespace

SparseImage NewPool() {
  return Make(
      "new", [](Pool&) {}, [](Pool& pool) { Must(pool.Close(), "new"); }, "super.3", 2);
}

const std::vector<PoolBase>& PoolBases() {
  static const std::vector<PoolBase> bases = MakeBases();
  return bases;
}

}  // namespace tuff::test
