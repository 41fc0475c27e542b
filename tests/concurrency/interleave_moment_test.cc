// Forced interleavings of what writes or reads several keys at one moment: A runs up to a step, B
// runs as far as it can, A goes on. All of it together must be strictly serializable, and a
// snapshot from before must stay as it was.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <map>
#include <memory>

#include "tests/concurrency/arena.h"
#include "tests/concurrency/scheduler.h"
#include "tests/concurrency/serial.h"

namespace tuff::test {
namespace {

enum class Side {
  kPut,
  kDelete,  // and puts it back
  kBatchOfOneLeaf,
  kBatchOfManyLeaves,
  kTransaction,
  kGet,
  kMultiGet,
  kSnapshotGet,
  kForward,
  kBackward,
};
constexpr Side kSides[] = {
    Side::kPut,         Side::kDelete,  Side::kBatchOfOneLeaf, Side::kBatchOfManyLeaves,
    Side::kTransaction, Side::kGet,     Side::kMultiGet,       Side::kSnapshotGet,
    Side::kForward,     Side::kBackward};

const char* NameOf(Side side) {
  static constexpr const char* kNames[] = {
      "put",         "delete",  "batch_of_one_leaf", "batch_of_many_leaves",
      "transaction", "get",     "MultiGet",          "snapshot_get",
      "forward",     "backward"};
  return kNames[static_cast<size_t>(side)];
}

// Two neighbours, and two in other leaves.
constexpr std::array<const char*, 4> kKeys = {"m030", "m031", "m060", "m090"};

// A pool where these keys have version 0, written down by a snapshot. `full`: the leaf of the first
// key is rewritten by the next write that comes.
class Scene {
 public:
  explicit Scene(bool full) : arena(std::make_unique<Arena>()) {
    for (int i = 0; i < 120; i++) {
      const std::string number = std::to_string(1000 + i).substr(1);
      EXPECT_OK(arena->store().Put("m" + number, Text(0)));
    }
    auto taken = arena->pool().GetSnapshot();
    EXPECT_OK(taken);
    snapshot = *taken;
    if (!full) return;
    static const size_t writes = WritesUntilRewritten();
    for (size_t i = 0; i < writes; i++) EXPECT_OK(Fill());
  }

  static std::string Text(uint64_t version) {
    std::string text = std::to_string(version) + " ";
    text.resize(100, 'v');
    return text;
  }

  std::unique_ptr<Arena> arena;
  const Snapshot* snapshot;  // released when it is judged

 private:
  Status Fill() { return arena->store().Put("m032", Text(0)); }

  static size_t WritesUntilRewritten() {
    Scene scratch(false);
    const auto count = [&] {
      return scratch.arena->Count(Counter::kConsolidations) +
             scratch.arena->Count(Counter::kSplits);
    };
    const uint64_t before = count();
    size_t writes = 0;
    for (; count() == before; writes++) EXPECT_OK(scratch.Fill());
    scratch.arena->pool().ReleaseSnapshot(scratch.snapshot);
    return writes - 1;
  }
};

// What one side does, and what it saw.
class Player {
 public:
  Player(Scene& scene, Side side, uint64_t number)
      : arena_(*scene.arena), side_(side), number_(number), next_version_(number * 100) {}

  void Act() {
    switch (side_) {
      case Side::kPut:
        return Put();
      case Side::kDelete:
        return DeleteAndPut();
      case Side::kBatchOfOneLeaf:
        return Batch({0, 1});
      case Side::kBatchOfManyLeaves:
        return Batch({0, 1, 2, 3});
      case Side::kTransaction:
        return Transact();
      case Side::kGet:
        Get(0);
        Get(2);
        return Get(1);
      case Side::kMultiGet:
        return MultiGet();
      case Side::kSnapshotGet:
        return ReadSnapshot();
      case Side::kForward:
      case Side::kBackward:
        return Iterate();
    }
  }

  // See serializability_test.cc for why there are two.
  std::vector<Event> by_number;
  std::vector<Event> by_showing;

 private:
  enum class Reads { kNewest, kSnapshot, kOfWriter };

  static uint64_t VersionIn(const Status& s, std::string_view text) {
    if (s.IsNotFound()) return kGone;
    EXPECT_OK(s);
    return s.ok() ? std::stoull(std::string(text)) : 0;
  }

  void Note(uint64_t invoked, uint64_t returned, KeyVersions reads, KeyVersions writes,
            Reads kind) {
    const Event event{std::string(number_ == 1 ? "A " : "B ") + NameOf(side_), invoked, returned,
                      std::move(reads), std::move(writes)};
    if (kind != Reads::kNewest) by_number.push_back(event);
    if (kind != Reads::kSnapshot) by_showing.push_back(event);
  }

  void Put() {
    const uint64_t version = ++next_version_;
    const uint64_t invoked = arena_.clock().Now();
    EXPECT_OK(arena_.store().Put(kKeys[0], Scene::Text(version)));
    Note(invoked, arena_.clock().Now(), {}, {{kKeys[0], version}}, Reads::kOfWriter);
  }

  // One only of two sides deletes, so that "gone" is a version like others.
  void DeleteAndPut() {
    if (number_ != 1) return Put();
    const uint64_t invoked = arena_.clock().Now();
    EXPECT_OK(arena_.store().Delete(kKeys[0]));
    Note(invoked, arena_.clock().Now(), {}, {{kKeys[0], kGone}}, Reads::kOfWriter);
    Put();
  }

  void Batch(const std::vector<size_t>& keys) {
    WriteBatch batch;
    KeyVersions writes;
    for (const size_t i : keys) {
      writes[kKeys[i]] = ++next_version_;
      EXPECT_OK(batch.Put(arena_.store(), kKeys[i], Scene::Text(next_version_)));
    }
    const uint64_t invoked = arena_.clock().Now();
    EXPECT_OK(arena_.pool().Write(batch));
    Note(invoked, arena_.clock().Now(), {}, writes, Reads::kOfWriter);
  }

  void Transact() {
    const uint64_t invoked = arena_.clock().Now();
    auto transaction = arena_.pool().BeginTransaction();
    ASSERT_OK(transaction);
    const uint64_t begun = arena_.clock().Now();
    KeyVersions reads;
    KeyVersions writes;
    for (const size_t i : {0, 2, 3}) {
      std::string text;
      const Status s = (*transaction)->Get(arena_.store(), kKeys[i], &text);
      reads[kKeys[i]] = VersionIn(s, text);
      if (i == 3) continue;  // only read
      writes[kKeys[i]] = ++next_version_;
      EXPECT_OK((*transaction)->Put(arena_.store(), kKeys[i], Scene::Text(next_version_)));
    }
    const Status s = (*transaction)->Commit();
    if (s.code() == Code::kConflict) {
      Note(invoked, begun, reads, {}, Reads::kSnapshot);
      return;
    }
    EXPECT_OK(s);
    Note(invoked, arena_.clock().Now(), reads, writes, Reads::kOfWriter);
  }

  void Get(size_t i) {
    std::string text;
    const uint64_t invoked = arena_.clock().Now();
    const Status s = arena_.store().Get(kKeys[i], &text);
    Note(invoked, arena_.clock().Now(), {{kKeys[i], VersionIn(s, text)}}, {}, Reads::kNewest);
  }

  void MultiGet() {
    const std::vector<std::string_view> keys(kKeys.begin(), kKeys.end());
    std::vector<std::string> values;
    std::vector<Status> statuses;
    const uint64_t invoked = arena_.clock().Now();
    arena_.store().MultiGet(keys, &values, &statuses);
    const uint64_t returned = arena_.clock().Now();
    KeyVersions reads;
    for (size_t i = 0; i < kKeys.size(); i++) reads[kKeys[i]] = VersionIn(statuses[i], values[i]);
    Note(invoked, returned, reads, {}, Reads::kSnapshot);
  }

  void ReadSnapshot() {
    const uint64_t invoked = arena_.clock().Now();
    auto snapshot = arena_.pool().GetSnapshot();
    ASSERT_OK(snapshot);
    const uint64_t returned = arena_.clock().Now();
    for (int times = 0; times < 2; times++) {
      KeyVersions reads;
      for (const char* key : kKeys) {
        std::string text;
        const Status s = arena_.store().Get(key, &text, *snapshot);
        reads[key] = VersionIn(s, text);
      }
      Note(invoked, returned, reads, {}, Reads::kSnapshot);
    }
    EXPECT_EQ(by_number[0].reads, by_number[1].reads);
    arena_.pool().ReleaseSnapshot(*snapshot);
  }

  void Iterate() {
    const uint64_t invoked = arena_.clock().Now();
    const auto at = arena_.store().NewIterator();
    const uint64_t returned = arena_.clock().Now();
    KeyVersions reads;
    for (const char* key : kKeys) reads[key] = kGone;
    size_t records = 0;
    const bool forward = side_ == Side::kForward;
    for (forward ? at->SeekToFirst() : at->SeekToLast(); at->Valid();
         forward ? at->Next() : at->Prev()) {
      records++;
      const auto read = reads.find(std::string(at->key()));
      if (read != reads.end()) read->second = VersionIn(Status(), at->value());
    }
    EXPECT_OK(at->status());
    EXPECT_GE(records, 119u);
    Note(invoked, returned, reads, {}, Reads::kSnapshot);
  }

  static constexpr uint64_t kGone = 99999;

  Arena& arena_;
  const Side side_;
  const uint64_t number_;
  uint64_t next_version_;
};

void Judge(Scene& scene, const Player& a, const Player& b) {
  Player after(scene, Side::kSnapshotGet, 3);
  after.Act();
  Player newest(scene, Side::kGet, 4);
  newest.Act();
  for (const bool by_number : {true, false}) {
    std::vector<Event> events;
    for (const Player* player :
         {&a, &b, static_cast<const Player*>(&after), static_cast<const Player*>(&newest)}) {
      const auto& of_player = by_number ? player->by_number : player->by_showing;
      events.insert(events.end(), of_player.begin(), of_player.end());
    }
    const auto problem = FindCycle(events);
    EXPECT_FALSE(problem) << (by_number ? "by number: " : "by showing: ") << *problem;
  }
  Pool& pool = scene.arena->pool();
  std::string text;
  for (const char* key : kKeys) {
    EXPECT_OK(scene.arena->store().Get(key, &text, scene.snapshot));
    EXPECT_EQ(text, Scene::Text(0)) << "in the snapshot from before";
  }
  pool.ReleaseSnapshot(scene.snapshot);
  EXPECT_EQ(pool.GetStatistics().snapshots, 0u);
  EXPECT_EQ(pool.GetStatistics().versions_retained, 0u);
  EXPECT_EQ(scene.arena->Problems(), "");
}

// The first two passings of each step that A passes alone.
std::vector<At> StopsOf(Side a, bool full) {
  Scene scene(full);
  Player player(scene, a, 1);
  std::vector<At> stops;
  {
    Scheduler scheduler;
    Actor& actor = scheduler.Add("A", [&] { player.Act(); });
    scheduler.JoinAll();
    std::map<std::string, size_t> passings;
    for (const std::string& id : actor.trace()) {
      if (++passings[id] <= 2) stops.emplace_back(id, passings[id]);
    }
  }
  scene.arena->pool().ReleaseSnapshot(scene.snapshot);
  return stops;
}

class Moments : public testing::TestWithParam<Side> {};

TEST_P(Moments, EveryStepOfAWithEveryB) {
  const Side a = GetParam();
  const size_t stride = EnvNumber("TUFF_INTERLEAVE_STRIDE", kSanitized ? 24 : 4);
  size_t turn = static_cast<size_t>(a);
  size_t played = 0;
  size_t blocked = 0;
  std::vector<std::unique_ptr<Arena>> arenas;
  for (const bool full : {false, true}) {
    const std::vector<At> stops = StopsOf(a, full);
    for (const Side b : kSides) {
      for (const At& stop : stops) {
        if (turn++ % stride != 0) continue;
        SCOPED_TRACE(std::string("A: ") + NameOf(a) + " up to " + stop.id + " (passing " +
                     std::to_string(stop.nth) + "); B: " + NameOf(b) +
                     (full ? "; the leaf is full" : ""));
        Scene scene(full);
        Player player_a(scene, a, 1);
        Player player_b(scene, b, 2);
        {
          Scheduler scheduler;
          Actor& actor_a = scheduler.Add("A", [&] { player_a.Act(); });
          Actor& actor_b = scheduler.Add("B", [&] { player_b.Act(); });
          EXPECT_EQ(scheduler.MustRunTo(actor_a, stop), Outcome::kParked);
          if (b == Side::kGet) {  // which waits for nobody
            EXPECT_EQ(scheduler.MustFinish(actor_b), Outcome::kFinished);
          } else if (scheduler.RunOn(actor_b) == Outcome::kBlocked) {
            blocked++;
          }
          scheduler.JoinAll();
        }
        Judge(scene, player_a, player_b);
        arenas.push_back(std::move(scene.arena));
        if (arenas.size() == 24) CloseTogether(&arenas);
        played++;
        if (HasFailure()) break;
      }
      if (HasFailure()) break;
    }
    if (HasFailure()) break;
  }
  CloseTogether(&arenas);
  std::printf("%-20s %zu, blocked %zu\n", NameOf(a), played, blocked);
}

INSTANTIATE_TEST_SUITE_P(All, Moments, testing::ValuesIn(kSides),
                         [](const auto& info) { return std::string(NameOf(info.param)); });

// T1, a batch, holds leaf A and waits for the latch of leaf B, which it has found without a latch.
// Meanwhile B is replaced and freed, and leaf C, left of A, is reborn in its frame. T2, another
// batch, holds C and waits for A. Neither may wait for the other.
TEST(FrameReuse, ABatchDoesNotMeetALeafToTheLeftInTheFrameItWaitsFor) {
  const std::string c = "m010";
  const std::string a = "m050";
  const std::string b = "m090";
  Scene scene(false);
  Arena& arena = *scene.arena;
  PageMap& map = arena.map();
  arena.pool().ReleaseSnapshot(scene.snapshot);
  const auto leaf_of = [&](const std::string& key) {
    const auto object = PoolTestPeer::GetCatalogue(arena.pool()).Find("store");
    Tree tree(map, object->id, object->anchor);
    LeafSnapshot leaf;
    EXPECT_OK(tree.PinLeaf(key, SeekTo::kAt, &leaf));
    tree.Unpin(leaf.node.pfn());
    return leaf.node.pfn();
  };
  const auto rewrite = [&](const std::string& key) {
    const Pfn before = leaf_of(key);
    while (leaf_of(key) == before) ASSERT_OK(arena.store().Put(key, Scene::Text(0)));
  };
  const auto write = [&](const std::string& first, const std::string& second) {
    WriteBatch batch;
    EXPECT_OK(batch.Put(arena.store(), first, Scene::Text(1)));
    EXPECT_OK(batch.Put(arena.store(), second, Scene::Text(1)));
    EXPECT_OK(arena.pool().Write(batch));
  };
  rewrite(a);  // so that T1 finds room in it and comes to B at its second latch
  {
    Scheduler scheduler;
    Actor& t1 = scheduler.Add("T1", [&] { write(a, b); });
    Actor& t2 = scheduler.Add("T2", [&] { write(c, a); });
    ASSERT_EQ(scheduler.MustRunTo(t1, At("put.latch", 2)), Outcome::kParked);
    const Pfn old_b = leaf_of(b);
    ASSERT_NE(old_b, leaf_of(a));
    ASSERT_EQ(map.memmap().At(old_b).pins.load(), 1u) << "T1 waits for another leaf";
    rewrite(b);
    map.limbo().Reclaim();
    // Little else is free, if that is, so that it will soon be C's.
    std::vector<Pfn> taken;
    bool reused = false;
    while (const Pfn pfn = map.allocator().Allocate(0, AllocFor::kGrowth)) {
      reused = reused || pfn == old_b;
      if (pfn != old_b) taken.push_back(pfn);
    }
    if (reused) map.allocator().Free(old_b, 0);
    for (int tries = 0; reused && tries < 20000 && leaf_of(c) != old_b; tries++) {
      const Status s = arena.store().Put(c, Scene::Text(0));
      map.limbo().Reclaim();
      if (s.ok() || taken.empty()) continue;
      map.allocator().Free(taken.back(), 0);
      taken.pop_back();
    }
    for (const Pfn pfn : taken) map.allocator().Free(pfn, 0);
    EXPECT_FALSE(reused) << "and C's is " << leaf_of(c);
    EXPECT_EQ(scheduler.RunOn(t2), Outcome::kBlocked);
    scheduler.JoinAll();
  }
  EXPECT_EQ(arena.Problems(), "");
}

}  // namespace
}  // namespace tuff::test
