// Damaged and hostile pools: opening says what is wrong or works around it, and what lies beside
// the damage stays readable (invariant I8).
#include "engine/node_format.h"
#include "engine/object_format.h"
#include "pagemap/lane_format.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/node_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

const OpenOptions kReadOnly = ReadOnly();
const OpenOptions kWritable = Writable();
constexpr int kRecords = 3000;

std::string Key(int i) {
  std::string key = std::to_string(i);
  return "key" + std::string(6 - key.size(), '0') + key;
}

class OpenDamageTest : public testing::Test {
 protected:
  OpenDamageTest() {
    for (int i = 0; i < kRecords; i++) {
      EXPECT_OK(fixture_.store().Put(Key(i), "value of " + Key(i)));
    }
    auto other = fixture_.pool().CreateStore("other");
    EXPECT_OK(other);
    EXPECT_OK((*other)->Put("key", "other value"));
  }

  std::string path() const { return fixture_.path(); }
  void ExpectOpenFails(Code code, std::string_view part) {
    for (const OpenOptions& options : {kWritable, kReadOnly}) {
      auto pool = Pool::Open(path(), options);
      EXPECT_CODE(pool, code);
      EXPECT_TRUE(Contains(pool.status(), part)) << pool.status().ToString();
      EXPECT_TRUE(Contains(pool.status(), path())) << pool.status().ToString();
    }
  }
  // Makes the pool unclean, as if its process had been killed.
  void Crash() {
    ASSERT_EQ(RunInChild([&] {
                auto pool = Pool::Open(path(), kWritable);
                ASSERT_OK(pool);
                auto store = (*pool)->OpenStore("store");
                ASSERT_OK(store);
                ASSERT_OK((*store)->Put("put before the crash", "yes"));
                _exit(0);
              }),
              0);
  }
  // The byte offset in the pool of the leaf that has `key`, and of the value in it.
  uint64_t ValueOffset(const std::string& key) {
    auto pinned = fixture_.store().GetPinned(key);
    EXPECT_OK(pinned);
    return static_cast<uint64_t>(reinterpret_cast<const std::byte*>(pinned->view().data()) -
                                 fixture_.map().base());
  }
  uint64_t RootOffset(Store& store) {
    const auto stores = fixture_.pool().ListStores();
    for (const StoreInfo& info : *stores) {
      if (info.name != store.name()) continue;
      const uint64_t place = OffsetOf(info.anchor_pfn) + offsetof(Anchor, root);
      return OffsetOf(ChildPfn(Load64(fixture_.map().base() + place)));
    }
    return 0;
  }
  // Some keys fail with Corruption, and the others, far from them, still work.
  void ExpectContained(const std::string& damaged_key, int failures_max) {
    Store& store = fixture_.store();
    std::string value;
    Status s = store.Get(damaged_key, &value);
    EXPECT_CODE(s, Code::kCorruption);
    EXPECT_TRUE(Contains(s, "pfn ")) << s.ToString();
    EXPECT_CODE(store.GetPinned(damaged_key), Code::kCorruption);
    EXPECT_CODE(store.Delete(damaged_key), Code::kCorruption);
    int failures = 0;
    for (int i = 0; i < kRecords; i++) {
      Status got = store.Get(Key(i), &value);
      if (got.ok()) {
        EXPECT_EQ(value, "value of " + Key(i));
        // A put that must rewrite the damaged leaf meets the damage, too.
        Status put = i % 7 == 0 ? store.Put(Key(i), value) : Status();
        EXPECT_TRUE(put.ok() || put.message() == s.message()) << put.ToString();
      } else {
        EXPECT_CODE(got, Code::kCorruption);
        failures++;
      }
    }
    EXPECT_GE(failures, 1);
    EXPECT_LE(failures, failures_max);
    const auto iterator = store.NewIterator();
    int walked = 0;
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) walked++;
    EXPECT_LT(walked, kRecords);
    EXPECT_CODE(iterator->status(), Code::kCorruption);
    auto other = fixture_.pool().OpenStore("other");
    ASSERT_OK(other);
    EXPECT_OK((*other)->Get("key", &value));
    EXPECT_OK((*other)->Put("key", value));
    EXPECT_NE(Problems(fixture_.pool()), "") << "CheckPool does not see it";
  }

  PoolFixture fixture_;
};

TEST_F(OpenDamageTest, OneBadSuperblock) {
  for (const Pfn pfn : {kSuperblockPfn, kMirrorPfn}) {
    for (const uint64_t byte : {offsetof(Superblock, magic), offsetof(Superblock, checksum),
                                offsetof(Superblock, frames), sizeof(Superblock) - 1}) {
      fixture_.Close();
      FlipByte(path(), OffsetOf(pfn) + byte);
      LogLines log;
      OpenOptions options = kWritable;
      options.log = log.Callback();
      options.read_only = true;
      {
        auto pool = Pool::Open(path(), options);
        EXPECT_OK(pool);
        EXPECT_EQ(log.Count(LogLevel::kWarning, "superblock copy " + std::to_string(pfn)), 1u);
      }
      options.read_only = false;
      {
        auto pool = Pool::Open(path(), options);
        EXPECT_OK(pool);
        EXPECT_EQ(log.Count(LogLevel::kWarning, "superblock copy " + std::to_string(pfn)), 2u);
      }
      // Repaired: the next opening has nothing to say.
      log.lines.clear();
      { EXPECT_OK(Pool::Open(path(), options)); }
      EXPECT_EQ(log.Count(LogLevel::kWarning, "superblock"), 0u);
      EXPECT_EQ(ReadAt(path(), 0, sizeof(Superblock)),
                ReadAt(path(), OffsetOf(kMirrorPfn), sizeof(Superblock)));
      fixture_.Reopen();
    }
  }
}

TEST_F(OpenDamageTest, BothSuperblocksBad) {
  fixture_.Close();
  FlipByte(path(), 100);
  FlipByte(path(), OffsetOf(kMirrorPfn) + 100);
  ExpectOpenFails(Code::kCorruption, "both superblocks");
}

TEST_F(OpenDamageTest, OlderSuperblockDoesNotCount) {
  const std::string old = ReadAt(path(), 0, sizeof(Superblock));
  fixture_.Reopen();
  fixture_.Close();
  WriteAt(path(), 0, old);  // valid, but of an earlier, unclean moment
  fixture_.Reopen();
  EXPECT_TRUE(fixture_.pool().GetInfo().was_clean);
}

TEST_F(OpenDamageTest, OtherVersion) {
  fixture_.Close();
  EditSuperblocks(path(), [](Superblock& sb) { sb.format_version = 2; });
  ExpectOpenFails(Code::kNotSupported, "format version 2");
  FlipByte(path(), offsetof(Superblock, checksum));  // it may check itself in another way
  FlipByte(path(), OffsetOf(kMirrorPfn) + offsetof(Superblock, checksum));
  ExpectOpenFails(Code::kNotSupported, "format version 2");
}

TEST_F(OpenDamageTest, Features) {
  fixture_.Close();
  EditSuperblocks(path(), [](Superblock& sb) { sb.feature_incompat = 8; });
  ExpectOpenFails(Code::kNotSupported, "0x8");
  EditSuperblocks(path(), [](Superblock& sb) {
    sb.feature_incompat = 0;
    sb.feature_ro_compat = 4;
  });
  EXPECT_CODE(Pool::Open(path(), kWritable), Code::kNotSupported);
  EXPECT_TRUE(Contains(Pool::Open(path(), kWritable).status(), "0x4"));
  { EXPECT_OK(Pool::Open(path(), kReadOnly)); }
  EditSuperblocks(path(), [](Superblock& sb) {
    sb.feature_ro_compat = 0;
    sb.feature_compat = 2;
  });
  { EXPECT_OK(Pool::Open(path(), kWritable)); }
  EXPECT_EQ(ReadStruct<Superblock>(path(), 0).feature_compat, 2u);
}

TEST_F(OpenDamageTest, Truncated) {
  fixture_.Close();
  ASSERT_EQ(truncate(path().c_str(), static_cast<off_t>(kPoolSizeMin - kFrameSize)), 0);
  ExpectOpenFails(Code::kCorruption, "");
  ASSERT_EQ(truncate(path().c_str(), static_cast<off_t>(kPoolSizeMin)), 0);
  EditSuperblocks(path(), [](Superblock& sb) { sb.frames += kBlockFrames; });
  ExpectOpenFails(Code::kCorruption, "truncated");
}

TEST_F(OpenDamageTest, HostileSuperblocks) {
  fixture_.Close();
  const auto good = ReadStruct<Superblock>(path(), 0);
  const std::function<void(Superblock&)> edits[] = {
      [](Superblock& sb) { sb.frames = ~0ull; },
      [](Superblock& sb) { sb.frames = 1ull << 63; },
      [](Superblock& sb) { sb.frames = 1ull << kPfnBits; },
      [](Superblock& sb) { sb.frames = (1ull << kPfnBits) - kBlockFrames; },
      [](Superblock& sb) { sb.frames = 1ull << 52; },
      [](Superblock& sb) { sb.frames = 0; },
      [](Superblock& sb) { sb.frames = kBlockFrames; },
      [](Superblock& sb) { sb.frames -= 1; },
      [](Superblock& sb) { sb.frames = kSectionFrames + kBlockFrames; },
      [](Superblock& sb) { sb.number_limit = 0; },
      [](Superblock& sb) { sb.number_limit = 1ull << 56; },
      [](Superblock& sb) { sb.number_limit = ~0ull; },
      [](Superblock& sb) { sb.memmap_place = 2; },
      [](Superblock& sb) { sb.next_object_id = 0; },
  };
  for (size_t i = 0; i < std::size(edits); i++) {
    SCOPED_TRACE(i);
    EditSuperblocks(path(), [&](Superblock& sb) {
      sb = good;
      edits[i](sb);
    });
    ExpectOpenFails(Code::kCorruption, "");
  }
  EditSuperblocks(path(), [&](Superblock& sb) { sb = good; });
  fixture_.Reopen();
}

// A lane's entry with a right checksum, as Lanes::Enter writes it.
void WriteLane(const std::string& path, unsigned lane, LaneEntry entry,
               const std::vector<LaneRun>& runs) {
  const uint64_t hash_seed = ReadStruct<Superblock>(path, 0).hash_seed;
  std::string bytes(sizeof entry + runs.size() * sizeof(LaneRun), '\0');
  std::memcpy(bytes.data(), &entry, sizeof entry);
  if (!runs.empty()) {
    std::memcpy(bytes.data() + sizeof entry, runs.data(), runs.size() * sizeof(LaneRun));
  }
  constexpr size_t kFrom = offsetof(LaneEntry, decider);
  entry.checksum =
      Checksum64(bytes.data() + kFrom, bytes.size() - kFrom, hash_seed ^ Mix64(entry.state + lane));
  std::memcpy(bytes.data(), &entry, sizeof entry);
  WriteAt(path, OffsetOf(kLanesPfn + lane), bytes);
}

TEST_F(OpenDamageTest, TornLanesAreDropped) {
  fixture_.Close();
  Crash();
  Random random(5);
  for (unsigned lane = 0; lane < kLanes; lane += 3) {
    std::string garbage = random.Bytes(kFrameSize);
    garbage[8 + 8 + 2] = static_cast<char>(lane);  // new_runs: few enough, and too many
    garbage[8 + 8 + 3] = static_cast<char>(lane % 2);
    WriteAt(path(), OffsetOf(kLanesPfn + lane), garbage);
  }
  {
    const std::string before = ReadWholeFile(path());
    auto pool = Pool::Open(path(), kReadOnly);
    ASSERT_OK(pool);
    EXPECT_EQ((*pool)->GetStatistics().lanes_recovered, 0u);
    EXPECT_EQ(Problems(**pool), "");
    EXPECT_TRUE(ReadWholeFile(path()) == before);
  }
  fixture_.Reopen();
  ASSERT_TRUE(fixture_.is_open());
  EXPECT_FALSE(fixture_.pool().GetInfo().was_clean);
  EXPECT_TRUE(fixture_.pool().GetInfo().crashed_since_scrub);
  EXPECT_EQ(fixture_.pool().GetStatistics().lanes_recovered, 0u);
  EXPECT_EQ(Problems(fixture_.pool()), "");
  std::string value;
  EXPECT_OK(fixture_.store().Get("put before the crash", &value));
  fixture_.Reopen();
  EXPECT_TRUE(fixture_.pool().GetInfo().was_clean);
  EXPECT_TRUE(fixture_.pool().GetInfo().crashed_since_scrub);
}

TEST_F(OpenDamageTest, HostileLanesAreRefused) {
  const Pfn root = RootOffset(fixture_.store()) >> kFrameShift;
  const uint64_t frames = fixture_.map().frames();
  fixture_.Close();
  Crash();
  LaneEntry sane{};
  sane.state = 7;
  sane.decider = static_cast<uint16_t>(LaneDecider::kWord);
  sane.place = OffsetOf(root) + 64;
  const LaneRun good_run{root, PackOwner(root, FrameKind::kTreeNode, 0, 17)};
  const auto expect_refused = [&](const LaneEntry& entry, const std::vector<LaneRun>& runs) {
    WriteLane(path(), 5, entry, runs);
    const std::string before = ReadWholeFile(path());
    for (const OpenOptions& options : {kReadOnly, kWritable}) {
      auto pool = Pool::Open(path(), options);
      EXPECT_CODE(pool, Code::kCorruption);
      EXPECT_TRUE(Contains(pool.status(), "lane 5")) << pool.status().ToString();
      if (options.read_only) {
        EXPECT_TRUE(ReadWholeFile(path()) == before) << "a read-only open has written";
      }
    }
  };
  for (const uint64_t place : {OffsetOf(frames), ~uint64_t{7}, uint64_t{sane.place + 4},
                               uint64_t{0}, OffsetOf(kLanesPfn), OffsetOf(FrameTablePfn(0))}) {
    SCOPED_TRACE(place);
    LaneEntry entry = sane;
    entry.place = place;
    expect_refused(entry, {});
  }
  for (const LaneRun& run : {LaneRun{frames, PackOwner(frames, FrameKind::kTreeNode, 0, 17)},
                             LaneRun{~0ull, PackOwner(~0ull, FrameKind::kTreeNode, 0, 17)},
                             LaneRun{kLanesPfn, PackOwner(kLanesPfn, FrameKind::kTreeNode, 0, 17)},
                             LaneRun{root, 0}, LaneRun{root, good_run.owner ^ 1}}) {
    SCOPED_TRACE(run.pfn);
    LaneEntry entry = sane;
    entry.new_runs = 1;
    expect_refused(entry, {run});
    entry.new_runs = 0;
    entry.old_runs = 1;
    expect_refused(entry, {run});
  }
  LaneEntry record = sane;
  record.decider = static_cast<uint16_t>(LaneDecider::kRecord);
  record.record_bytes = ~0u;
  expect_refused(record, {});
  record.decider = 3;
  record.record_bytes = 32;
  expect_refused(record, {});
  LaneEntry neither = sane;  // the word is neither the old nor the new one
  neither.old_value = 1;
  neither.new_value = 2;
  expect_refused(neither, {});
  // Without the lane, the pool is what it was.
  WriteAt(path(), OffsetOf(kLanesPfn + 5), std::string(8, '\0'));
  fixture_.Reopen();
  EXPECT_EQ(Problems(fixture_.pool()), "");
}

TEST_F(OpenDamageTest, LiveLaneInACleanPool) {
  fixture_.Close();
  WriteAt(path(), OffsetOf(kLanesPfn + 9), "garbage!");
  // Refused every time: the first refusal does not turn the pool into a crashed one.
  for (int i = 0; i < 2; i++) {
    auto pool = Pool::Open(path(), kWritable);
    EXPECT_CODE(pool, Code::kCorruption);
    EXPECT_TRUE(Contains(pool.status(), "lane 9")) << pool.status().ToString();
  }
}

TEST_F(OpenDamageTest, NodeHeader) {
  const uint64_t leaf = ValueOffset(Key(1500)) & ~(kFrameSize - 1);
  fixture_.Tamper([&](const std::string& at) { FlipByte(at, leaf + offsetof(NodeHeader, count)); });
  ExpectContained(Key(1500), 200);
}

TEST_F(OpenDamageTest, NodeGone) {
  const uint64_t leaf = ValueOffset(Key(1500)) & ~(kFrameSize - 1);
  fixture_.Tamper([&](const std::string& at) { WriteAt(at, leaf, std::string(kFrameSize, '\0')); });
  ExpectContained(Key(1500), 200);
}

TEST_F(OpenDamageTest, BaseOrLogRecord) {
  for (const int i : {700, 2200, kRecords - 1}) {  // the last one is in a log
    const std::string key = Key(i);
    const uint64_t value = ValueOffset(key);
    fixture_.Tamper([&](const std::string& at) { FlipByte(at, value + 3); });
    ExpectContained(key, 600);
    fixture_.Tamper([&](const std::string& at) { FlipByte(at, value + 3); });
    std::string found;
    EXPECT_OK(fixture_.store().Get(key, &found));
  }
}

TEST_F(OpenDamageTest, RecordWhileMounted) {
  const uint64_t value = ValueOffset(Key(900));
  FlipByte(path(), value + 3);  // the node has been verified long ago
  std::string found;
  EXPECT_CODE(fixture_.store().Get(Key(900), &found), Code::kCorruption);
  EXPECT_OK(fixture_.store().Get(Key(901), &found));
  EXPECT_OK(fixture_.store().Get(Key(899), &found));
  ExpectContained(Key(900), 200);
}

TEST_F(OpenDamageTest, ChildWord) {
  // The root's last child words: to a frame outside, into a table, to a node of another level.
  const uint64_t root = RootOffset(fixture_.store());
  const uint64_t place = ReadStruct<NodeHeader>(path(), root).base_end * 8ull + root;
  for (const uint64_t word :
       {~uint64_t{0}, PackChild(kLanesPfn, 1), PackChild(root >> kFrameShift, 0), uint64_t{0}}) {
    SCOPED_TRACE(word);
    const auto before = ReadStruct<uint64_t>(path(), place);
    fixture_.Tamper([&](const std::string& at) { WriteStruct(at, place, word); });
    ExpectContained(Key(0), kRecords / 2);
    fixture_.Tamper([&](const std::string& at) { WriteStruct(at, place, before); });
  }
}

// A store's tree leads twice to one leaf, or back to its root: dropped, it must not free one frame
// twice, nor what it still reads.
class DroppedDamageTest : public OpenDamageTest, public testing::WithParamInterface<bool> {};

TEST_P(DroppedDamageTest, IsLeftAsItIs) {
  const bool to_root = GetParam();
  const uint64_t root = RootOffset(fixture_.store());
  const uint64_t words = ReadStruct<NodeHeader>(path(), root).base_end * 8ull + root;
  const auto twice = to_root ? PackChild(root >> kFrameShift, 0)
                             : ReadStruct<uint64_t>(path(), words + 5 * sizeof(uint64_t));
  fixture_.Tamper([&](const std::string& at) { WriteStruct(at, words + 2 * sizeof twice, twice); });
  Pool& pool = fixture_.pool();
  ASSERT_OK(pool.DropStore("store"));
  const Status s = pool.WaitForBackgroundWork();
  EXPECT_CODE(s, Code::kCorruption);
  EXPECT_TRUE(Contains(s, "pfn " + std::to_string(ChildPfn(twice)))) << s.ToString();
  EXPECT_EQ(pool.GetStatistics().nodes_dismantled, 0u);

  // What is written now lies beside it.
  fixture_.Reopen();  // makes the store again
  for (int i = 0; i < kRecords; i++) ASSERT_OK(fixture_.store().Put(Key(i), Key(i)));
  EXPECT_CODE(fixture_.pool().WaitForBackgroundWork(), Code::kCorruption);
  std::string value;
  for (int i = 0; i < kRecords; i++) {
    ASSERT_OK(fixture_.store().Get(Key(i), &value));
    EXPECT_EQ(value, Key(i));
  }
}

INSTANTIATE_TEST_SUITE_P(ChildWords, DroppedDamageTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "ToRoot" : "ToOneLeaf"; });

// A leaf with a right checksum that holds more than its parent's slot says: what a split of it
// would put into the parent belongs elsewhere.
TEST_F(OpenDamageTest, ALeafOfAWiderRangeIsNotSplit) {
  const Pfn pfn = ValueOffset(Key(1500)) >> kFrameShift;
  const NodeView leaf(fixture_.map().base() + OffsetOf(pfn), pfn);
  const std::string low(leaf.low());
  NodeIdentity id;
  id.pfn = pfn;
  id.number = leaf.number();
  id.object_id = leaf.header().object_id;
  id.sequence_max = leaf.header().sequence_max;
  id.low = low;
  TestRecords records;
  records.Add(Key(1500), "");
  for (int i = 10; i < 26; i++) records.Add("zzz" + std::to_string(i), std::string(100, 'z'));
  std::array<std::byte, kFrameSize> bytes;
  WriteLeaf(bytes.data(), id, records.views(), fixture_.map().hash_seed());
  fixture_.Tamper([&](const std::string& at) { WriteStruct(at, OffsetOf(pfn), bytes); });

  Status s;
  for (int i = 100; i < 200 && s.ok(); i++) {
    s = fixture_.store().Put(Key(1500) + "-" + std::to_string(i), std::string(100, 'w'));
  }
  EXPECT_CODE(s, Code::kCorruption);
  EXPECT_TRUE(Contains(s, "pfn " + std::to_string(pfn))) << s.ToString();
  EXPECT_TRUE(Contains(s, "another range")) << s.ToString();
  std::string value;
  EXPECT_OK(fixture_.store().Get(Key(100), &value));
  EXPECT_OK(fixture_.store().Put(Key(2900), "new"));
}

TEST_F(OpenDamageTest, OwnerWordOfANode) {
  const Pfn leaf = ValueOffset(Key(1500)) >> kFrameShift;
  fixture_.Tamper([&](const std::string& at) { FlipByte(at, OwnerWordOffset(leaf) + 4); });
  ExpectContained(Key(1500), 200);
}

TEST_F(OpenDamageTest, Anchor) {
  const auto stores = fixture_.pool().ListStores();
  const uint64_t anchor = OffsetOf(stores->front().anchor_pfn);  // of "other"
  fixture_.Close();
  FlipByte(path(), anchor + offsetof(Anchor, created_ns));
  fixture_.Reopen();
  Status s = fixture_.pool().OpenStore("other").status();
  EXPECT_CODE(s, Code::kCorruption);
  EXPECT_TRUE(Contains(s, "pfn " + std::to_string(anchor >> kFrameShift))) << s.ToString();
  std::string value;
  EXPECT_OK(fixture_.store().Get(Key(1), &value));
  EXPECT_NE(Problems(fixture_.pool()), "");
}

TEST_F(OpenDamageTest, Catalogue) {
  const Pfn root = ChildPfn(
      ReadStruct<uint64_t>(path(), OffsetOf(kCatalogueAnchorPfn) + offsetof(struct Anchor, root)));
  fixture_.Close();
  FlipByte(path(), OffsetOf(root) + offsetof(NodeHeader, number));
  {
    auto pool = Pool::Open(path(), kWritable);  // the catalogue is read when it is needed
    ASSERT_OK(pool);
    EXPECT_CODE((*pool)->OpenStore("store"), Code::kCorruption);
    EXPECT_CODE((*pool)->CreateStore("new"), Code::kCorruption);
    EXPECT_CODE((*pool)->ListStores(), Code::kCorruption);
  }
  FlipByte(path(), OffsetOf(root) + offsetof(NodeHeader, number));
  FlipByte(path(), OffsetOf(kCatalogueAnchorPfn) + offsetof(struct Anchor, kind));
  EXPECT_CODE(Pool::Open(path(), kWritable), Code::kCorruption);
  EXPECT_TRUE(Contains(Pool::Open(path(), kReadOnly).status(), "pfn 2:"));
}

}  // namespace
}  // namespace tuff::test
