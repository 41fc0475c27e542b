// I2, I4: changes of structure happen wholly or not at all.
#include "pagemap/lanes.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "tests/pagemap/pagemap_test_util.h"

namespace tuff::test {
namespace {

constexpr uint64_t kSeed = 77;
constexpr uint64_t kFrames = kPoolSizeMin >> kFrameShift;
constexpr Pfn kNew = 2000;
constexpr Pfn kOld = 2048;
constexpr uint64_t kPlace = OffsetOf(1500) + 64;

class LanesTest : public testing::Test {
 protected:
  LanesTest() : lanes_(kSeed, 12345) {
    change_.place = kPlace;
    change_.old_value = 1;
    change_.new_value = 2;
    change_.object_id = 16;
    change_.new_runs = {{kNew, PackOwner(kNew, FrameKind::kTreeNode, 0, 16)}};
    change_.old_runs = {{kOld, PackOwner(kOld, FrameKind::kTreeNode, 2, 16)}};
    WriteWindow window(domain());
    window.Store64(kPlace, 1);
    window.Store64(OwnerWordOffset(kOld), change_.old_runs[0].owner);
  }
  PersistDomain& domain() { return fixture_.domain(); }
  uint64_t Owner(Pfn pfn) { return Load64(domain().base() + OwnerWordOffset(pfn)); }
  void Enter(unsigned lane = 5) {
    WriteWindow window(domain());
    lanes_.Enter(window, lane, change_);
  }
  Status Recover(bool record_is_there = false) {
    return Lanes::Recover(domain(), kSeed, kFrames,
                          [=](std::span<const std::byte>, uint64_t seed, uint64_t sequence) {
                            EXPECT_EQ(seed, 99u);
                            EXPECT_EQ(sequence, 2u);
                            return record_is_there;
                          });
  }
  void ExpectBefore() {
    EXPECT_EQ(Owner(kNew), 0u);
    EXPECT_EQ(Owner(kOld), change_.old_runs[0].owner);
  }
  void ExpectAfter() {
    EXPECT_EQ(Owner(kNew), change_.new_runs[0].owner);
    EXPECT_EQ(Owner(kOld), 0u);
  }

  DomainFixture fixture_;
  Lanes lanes_;
  LaneChange change_;
};

TEST_F(LanesTest, EmptyLanesNeedNothing) {
  EXPECT_OK(Recover());
  EXPECT_OK(Lanes::CheckEmpty(domain()));
  ExpectBefore();
  EXPECT_EQ(domain().counters().Sum(Counter::kLanesRecovered), 0u);
}

TEST_F(LanesTest, UndoesWhatTheWordDoesNotShow) {
  Enter();
  {
    WriteWindow window(domain());
    lanes_.SetOwners(window, change_);
  }
  ExpectAfter();
  EXPECT_CODE(Lanes::CheckEmpty(domain()), Code::kCorruption);
  EXPECT_OK(Recover());
  ExpectBefore();
  EXPECT_OK(Lanes::CheckEmpty(domain()));
  EXPECT_EQ(domain().counters().Sum(Counter::kLanesRecovered), 1u);
}

TEST_F(LanesTest, RedoesWhatTheWordShowsAndIsIdempotent) {
  Enter();
  {
    WriteWindow window(domain());
    window.Store64(kPlace, 2);
  }
  EXPECT_OK(Recover());
  ExpectAfter();
  EXPECT_OK(Recover());
  ExpectAfter();
}

TEST_F(LanesTest, ARetiredLaneIsLeftAlone) {
  Enter();
  {
    WriteWindow window(domain());
    lanes_.Retire(window, 5);
  }
  EXPECT_OK(Recover());
  ExpectBefore();
}

TEST_F(LanesTest, ATornEntryIsDropped) {
  for (size_t at = 8; at < sizeof(LaneEntry) + 2 * sizeof(LaneRun); at += 4) {
    Enter();
    const uint64_t offset = OffsetOf(kLanesPfn + 5) + at;
    auto byte = static_cast<std::byte>(~static_cast<unsigned>(domain().base()[offset]));
    {
      WriteWindow window(domain());
      window.Store64(kPlace, 2);  // as if F2 had happened: a torn entry must not act on it
      window.Store(offset, &byte, 1);
    }
    EXPECT_OK(Recover()) << at;
    ExpectBefore();
    EXPECT_OK(Lanes::CheckEmpty(domain()));
  }
}

TEST_F(LanesTest, AnEntryOfAnotherLaneOrPoolIsNotBelieved) {
  Enter(5);
  std::vector<std::byte> entry(domain().base() + OffsetOf(kLanesPfn + 5),
                               domain().base() + OffsetOf(kLanesPfn + 6));
  {
    WriteWindow window(domain());
    lanes_.Retire(window, 5);
    window.Store(OffsetOf(kLanesPfn + 6), entry.data(), entry.size());
    window.Store64(kPlace, 2);
  }
  EXPECT_OK(Recover());
  ExpectBefore();
}

TEST_F(LanesTest, ARecordCanDecide) {
  for (const bool there : {false, true}) {
    change_.decider = LaneDecider::kRecord;
    change_.record_seed = 99;
    change_.record_bytes = 40;
    Enter();
    EXPECT_OK(Recover(there));
    if (there) {
      ExpectAfter();
    } else {
      ExpectBefore();
    }
  }
}

// I8: entries whose checksum is right are still not trusted.
TEST_F(LanesTest, HostileEntriesAreDamage) {
  const auto hostile = [&](auto edit) {
    const LaneChange good = change_;
    edit();
    Enter();
    EXPECT_CODE(Recover(), Code::kCorruption);
    change_ = good;
    WriteWindow window(domain());
    lanes_.Retire(window, 5);
  };
  hostile([&] { change_.place = OffsetOf(kFrames); });
  hostile([&] { change_.place = kPlace + 1; });
  hostile([&] { change_.place = OffsetOf(kSuperblockPfn); });
  hostile([&] { change_.old_value = 7; });  // then the word is neither
  hostile([&] { change_.new_runs[0] = {kFrames, PackOwner(kFrames, FrameKind::kTreeNode, 0, 1)}; });
  hostile([&] { change_.new_runs[0] = {3, PackOwner(3, FrameKind::kTreeNode, 0, 1)}; });
  hostile([&] { change_.old_runs[0].owner ^= 1; });
  hostile([&] {
    change_.decider = LaneDecider::kRecord;
    change_.record_bytes = ~0u;
  });
  hostile([&] { change_.decider = static_cast<LaneDecider>(3); });
  ExpectBefore();
}

TEST_F(LanesTest, OneCertainLane) {
  ASSERT_TRUE(lanes_.TryAcquire(9));
  EXPECT_FALSE(lanes_.TryAcquire(9));
  for (unsigned i = 1; i < kLanes; i++) EXPECT_NE(lanes_.TryAcquire(), std::nullopt);
  EXPECT_EQ(lanes_.TryAcquire(), std::nullopt);
  lanes_.Release(9);
  EXPECT_EQ(lanes_.TryAcquire(), 9u);
}

TEST_F(LanesTest, ChangesUnderWayAreWaitedFor) {
  lanes_.AwaitChanges();
  ASSERT_TRUE(lanes_.TryAcquire(5));
  lanes_.AwaitChanges();  // held, but nothing is in it
  const auto waits_until = [&](const std::function<void()>& end) {
    std::atomic<bool> ended{false};
    std::thread ending([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      ended = true;
      end();
    });
    lanes_.AwaitChanges();
    EXPECT_TRUE(ended);
    ending.join();
  };
  Enter();
  {
    WriteWindow window(domain());
    lanes_.Retire(window, 5);  // what is shown only after F3 is not shown yet
  }
  waits_until([&] { Enter(); });  // its holder has gone on
  waits_until([&] { lanes_.Release(5); });
  lanes_.AwaitChanges();
  ASSERT_TRUE(lanes_.TryAcquire(5));
  {
    WriteWindow window(domain());
    lanes_.EnterRedo(window, 5, lanes_.NextEntryNumber(), {}, 0);
  }
  waits_until([&] { lanes_.Release(5); });
  ASSERT_TRUE(lanes_.TryAcquire(5));
  {
    WriteWindow window(domain());
    EXPECT_OK(lanes_.Change(window, 5, change_, {}));
  }
  lanes_.AwaitChanges();  // held, and done
}

TEST_F(LanesTest, TheSixtyFifthWriterWaits) {
  std::vector<unsigned> held;
  for (unsigned i = 0; i < kLanes; i++) held.push_back(lanes_.Acquire());
  std::sort(held.begin(), held.end());
  EXPECT_EQ(std::unique(held.begin(), held.end()), held.end());
  EXPECT_EQ(lanes_.TryAcquire(), std::nullopt);
  std::atomic<bool> released{false};
  std::thread waiter([&] {
    const unsigned lane = lanes_.Acquire();
    EXPECT_TRUE(released);
    EXPECT_EQ(lane, held[17]);
    lanes_.Release(lane);
  });
  released = true;
  lanes_.Release(held[17]);
  waiter.join();
  EXPECT_NE(lanes_.TryAcquire(), std::nullopt);
}

}  // namespace
}  // namespace tuff::test
