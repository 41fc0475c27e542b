// Leaves that are rewritten ahead of the put that would have to: by the thread, and step by step.
#include "engine/consolidator.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

constexpr size_t kValueBytes = 100;

CreateOptions Ahead(Granularity granularity = Granularity::kCacheLine) {
  CreateOptions options = SmallPool(64 << 20, granularity);
  options.open.background_consolidation = true;
  return options;
}

TEST(Consolidator, RewritesWhatPutsHaveFilled) {
  if (access("/proc/thread-self/schedstat", R_OK) != 0) {
    GTEST_SKIP() << "this kernel does not tell how long a thread waits";
  }
  PoolFixture fixture(Ahead());
  Contents expected;
  Random random(1);
  // On a machine without an idle processor it stands back, so it gets time.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (fixture.pool().GetStatistics().consolidated_ahead < 20) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    for (int i = 0; i < 100; i++) {
      const std::string key = std::to_string(random.Below(20000));
      expected[key] = random.Bytes(kValueBytes);
      ASSERT_OK(fixture.store().Put(key, expected[key]));
    }
    ASSERT_OK(fixture.pool().WaitForBackgroundWork());
  }
  EXPECT_EQ(Problems(fixture.pool()), "");
  fixture.Reopen();
  EXPECT_EQ(Problems(fixture.pool()), "");
  EXPECT_EQ(Read(fixture.store()), expected);
}

// So that who looks at a busy process knows whose they are.
TEST(Consolidator, ThreadsHaveNames) {
  PoolFixture fixture(Ahead());
  for (int i = 0; i < 500; i++) {
    ASSERT_OK(fixture.store().Put(std::to_string(i % 50), std::string(kValueBytes, 'v')));
  }
  ASSERT_OK(fixture.pool().DropStore("store"));
  std::set<std::string> missing{"tuff-consolid", "tuff-rcu", "tuff-worker"};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!missing.empty() && std::chrono::steady_clock::now() < deadline) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream comm(task.path() / "comm");
      std::string name;
      std::getline(comm, name);
      missing.erase(name);
    }
  }
  EXPECT_EQ(missing, std::set<std::string>());
}

// Under PAGE it would make others wait for its syncs.
TEST(Consolidator, IsIdleIfNotWantedAndUnderPage) {
  for (const CreateOptions& options : {SmallPool(64 << 20), Ahead(Granularity::kPage)}) {
    PoolFixture fixture(options);
    for (int i = 0; i < 500; i++) {
      ASSERT_OK(fixture.store().Put(std::to_string(i % 50), std::string(kValueBytes, 'v')));
    }
    ASSERT_OK(fixture.pool().WaitForBackgroundWork());
    const Statistics s = fixture.pool().GetStatistics();
    EXPECT_GT(s.consolidations + s.splits, 0u);
    EXPECT_EQ(s.consolidated_ahead, 0u);
  }
}

// Close comes while there are notes left.
TEST(Consolidator, EndsWithThePool) {
  for (int round = 0; round < 20; round++) {
    PoolFixture fixture(Ahead());
    for (int i = 0; i < 2000; i++) {
      ASSERT_OK(fixture.store().Put(std::to_string(i * 7919 % 500), std::to_string(i)));
    }
    if (round % 2 == 0) {
      ASSERT_OK(fixture.pool().DropStore("store"));
    }
    fixture.Reopen();
    EXPECT_EQ(Problems(fixture.pool()), "");
  }
}

// What the thread does with one note, which may be late.
class ConsolidateIfFull : public testing::Test {
 protected:
  static constexpr size_t kKeyBytes = 4;
  static constexpr size_t kBytes = RecordBytes(kKeyBytes, kValueBytes);

  ConsolidateIfFull() {
    for (int i = 0; i < 200; i++) Put(1000 + 10 * i);
  }
  void Put(int key) {
    expected_[std::to_string(key)] = std::string(kValueBytes, 'v');
    ASSERT_OK(store().Put(std::to_string(key), expected_[std::to_string(key)]));
  }
  Tree& tree() { return StoreAccess::Of(store()).tree; }
  NodeView LeafOf(int key) {
    LeafSnapshot leaf;
    EXPECT_OK(tree().PinLeaf(std::to_string(key), SeekTo::kAt, &leaf));
    tree().Unpin(leaf.node.pfn());
    return leaf.node;
  }
  bool IsFull(const NodeView& leaf) {
    return !Leaf(fixture_.map(), leaf).HasRoomForPut(kKeyBytes, kBytes);
  }
  // Overwrites until the key's leaf has no room for another such put.
  NodeView Fill(int key) {
    Put(key);
    while (!IsFull(LeafOf(key))) Put(key);
    return LeafOf(key);
  }
  Status Consolidate(const NodeView& leaf, uint64_t number) {
    return tree().ConsolidateIfFull(leaf, number, kKeyBytes, kBytes);
  }
  uint64_t Rewritten() {
    const Statistics s = fixture_.pool().GetStatistics();
    return s.consolidations + s.splits;
  }
  void ExpectNothingDone(const NodeView& leaf, uint64_t number) {
    const uint64_t before = Rewritten();
    EXPECT_OK(Consolidate(leaf, number));
    EXPECT_EQ(Rewritten(), before);
    EXPECT_EQ(Problems(fixture_.pool()), "");
    EXPECT_EQ(Read(store()), expected_);
  }
  std::vector<Pfn> TakeAllFrames() {
    std::vector<Pfn> taken;
    for (const AllocFor purpose : {AllocFor::kGrowth, AllocFor::kExchange}) {
      while (const Pfn pfn = fixture_.map().allocator().Allocate(0, purpose)) taken.push_back(pfn);
    }
    return taken;
  }
  Store& store() { return fixture_.store(); }

  PoolFixture fixture_;
  Contents expected_;
};

TEST_F(ConsolidateIfFull, MakesRoomForTheNextPut) {
  const NodeView leaf = Fill(1500);
  const uint64_t before = Rewritten();
  ASSERT_OK(Consolidate(leaf, leaf.number()));
  EXPECT_EQ(Rewritten(), before + 1);
  EXPECT_NE(LeafOf(1500).pfn(), leaf.pfn());
  EXPECT_FALSE(IsFull(LeafOf(1500)));
  Put(1500);
  EXPECT_EQ(Rewritten(), before + 1);
  EXPECT_EQ(Problems(fixture_.pool()), "");
  EXPECT_EQ(Read(store()), expected_);
}

TEST_F(ConsolidateIfFull, LeavesALeafWithRoom) {
  const NodeView leaf = Fill(1500);
  ASSERT_OK(Consolidate(leaf, leaf.number()));
  const NodeView fresh = LeafOf(1500);
  ExpectNothingDone(fresh, fresh.number());
}

TEST_F(ConsolidateIfFull, LeavesALeafThatIsGone) {
  const NodeView leaf = Fill(1500);
  const uint64_t number = leaf.number();
  Put(1500);
  ASSERT_NE(LeafOf(1500).pfn(), leaf.pfn());
  ExpectNothingDone(leaf, number);
}

// As full, but not the one that was noted: the frame has been used again.
TEST_F(ConsolidateIfFull, LeavesAnotherLeafInTheFrame) {
  const NodeView leaf = Fill(1500);
  ExpectNothingDone(leaf, leaf.number() - 1);
}

TEST_F(ConsolidateIfFull, LeavesALeafThatSomebodyWrites) {
  const NodeView leaf = Fill(1500);
  {
    const LatchHold hold(fixture_.map().memmap().At(leaf.pfn()).latch);
    const uint64_t before = Rewritten();
    EXPECT_OK(Consolidate(leaf, leaf.number()));
    EXPECT_EQ(Rewritten(), before);
  }
  EXPECT_EQ(Read(store()), expected_);
}

TEST_F(ConsolidateIfFull, LeavesAStoreThatIsDropped) {
  const NodeView leaf = Fill(1500);
  const uint64_t number = leaf.number();
  Tree& tree = this->tree();
  ASSERT_OK(fixture_.pool().DropStore("store"));
  EXPECT_CODE(tree.ConsolidateIfFull(leaf, number, kKeyBytes, kBytes), Code::kNotFound);
  ASSERT_OK(fixture_.pool().WaitForBackgroundWork());
  EXPECT_EQ(Problems(fixture_.pool()), "");
}

TEST_F(ConsolidateIfFull, LosesNothingInAFullPool) {
  const NodeView leaf = Fill(1500);
  const std::vector<Pfn> taken = TakeAllFrames();
  EXPECT_CODE(Consolidate(leaf, leaf.number()), Code::kNoSpace);
  EXPECT_EQ(LeafOf(1500).pfn(), leaf.pfn());
  for (const Pfn pfn : taken) fixture_.map().allocator().Free(pfn, 0);
  EXPECT_EQ(Problems(fixture_.pool()), "");
  EXPECT_EQ(Read(store()), expected_);
}

// A snapshot from before sees what it saw.
TEST_F(ConsolidateIfFull, KeepsVersionsForSnapshots) {
  auto snapshot = fixture_.pool().GetSnapshot();
  ASSERT_OK(snapshot);
  ASSERT_OK(store().Put("1500", "new"));
  while (!IsFull(LeafOf(1500))) ASSERT_OK(store().Put("1500", "new"));
  const NodeView leaf = LeafOf(1500);
  ASSERT_OK(Consolidate(leaf, leaf.number()));
  EXPECT_NE(LeafOf(1500).pfn(), leaf.pfn());
  std::string value;
  ASSERT_OK(store().Get("1500", &value, *snapshot));
  EXPECT_EQ(value, std::string(kValueBytes, 'v'));
  ASSERT_OK(store().Get("1500", &value));
  EXPECT_EQ(value, "new");
  fixture_.pool().ReleaseSnapshot(*snapshot);
}

// Whenever it comes, in whatever order, beside writers of the same leaves.
TEST_F(ConsolidateIfFull, BesideWriters) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto is_done = [&] {
    return fixture_.pool().GetStatistics().consolidated_ahead >= 50 ||
           std::chrono::steady_clock::now() > deadline;
  };
  const auto text_of = [](int key, uint64_t version) {
    std::string text = std::to_string(key) + " " + std::to_string(version);
    text.resize(kValueBytes, '.');
    return text;
  };
  std::vector<std::thread> threads;
  std::array<Contents, 2> written;
  for (size_t t = 0; t < written.size(); t++) {
    threads.emplace_back([&, t] {
      Random random(t);
      for (uint64_t version = 0; !is_done(); version++) {
        const int key = 1000 + 10 * static_cast<int>(2 * random.Below(100) + t);
        const std::string text = text_of(key, version);
        written[t][std::to_string(key)] = text;
        EXPECT_OK(store().Put(std::to_string(key), text));
      }
    });
  }
  Random random(2);
  while (!is_done()) {
    LeafSnapshot leaf;
    EXPECT_OK(tree().PinLeaf(std::to_string(1000 + 10 * random.Below(200)), SeekTo::kAt, &leaf));
    const uint64_t number = leaf.node.number();
    tree().Unpin(leaf.node.pfn());
    EXPECT_OK(Consolidate(leaf.node, number));
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(fixture_.pool().GetStatistics().consolidated_ahead, 50u);
  for (Contents& contents : written) {
    for (auto& [key, text] : contents) expected_[key] = text;
  }
  EXPECT_EQ(Problems(fixture_.pool()), "");
  EXPECT_EQ(Read(store()), expected_);
}

}  // namespace
}  // namespace tuff::test
