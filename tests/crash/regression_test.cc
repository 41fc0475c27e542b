// Reduced cases of what the explorer has found.
#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <thread>

#include "pagemap/superblock_format.h"
#include "tests/crash/crash_image.h"
#include "tests/crash/recording.h"

namespace tuff::test {
namespace {

// A machine with one pool in CACHE_LINE memory, whose processes are killed and whose power fails.
class Machine {
 public:
  Machine() : durable_(kPoolSizeMin), model_(NewModel()) {}

  /// Runs a program and notes what it stores. It is killed just before the nth time that it comes
  /// to step `stop`; without `stop`, at its end, if it has not closed its pool then.
  void Run(const Operations& operations, const std::string& stop = "", int nth = 1) {
    Session session{dir_.File("pool"), Granularity::kCacheLine, nullptr};
    unlink(session.path.c_str());
    if (!is_new_) {
      ASSERT_TRUE(WithLines(Durable(), EverythingStored(model_)).WriteTo(session.path));
    }
    is_new_ = false;
    const Recording recording = Record(session, {operations}, {}, {});
    ASSERT_OK(recording.failure);
    if (session.pool != nullptr) {
      EXPECT_OK(session.Close());
    }
    for (const PersistEvent& event : recording.events) {
      if (event.step != nullptr && event.step->id == stop && --nth == 0) break;
      model_.Apply(event);
    }
    ASSERT_TRUE(stop.empty() || nth == 0) << "never at " << stop;
    model_.Kill();
  }

  /// Nothing arrives on the medium that need not.
  void FailPower() {
    durable_ = Durable();
    model_ = NewModel();
  }
  /// Of what was stored to each line, the first half arrives, and nothing else.
  void FailPowerTearing() {
    CrashImage torn;
    for (const uint64_t offset : model_.dirty()) {
      const MemoryModel::Line& line = model_.lines().at(offset);
      torn.emplace_back(offset, MemoryModel::AfterPrefix(line, line.pending.size() / 2));
    }
    ASSERT_FALSE(torn.empty());
    durable_ = WithLines(Durable(), torn);
    model_ = NewModel();
  }

  /// What is wrong with the pool; empty if it is sound and holds what is expected.
  std::string Wrong(const Contents& expected, bool may_be_no_pool = false) {
    const std::string path = dir_.File("copy");
    EXPECT_TRUE(durable_.WriteTo(path));
    return Examine(path, {expected}, {Granularity::kCacheLine, may_be_no_pool, false}).problem;
  }

 private:
  SparseImage Durable() const { return DurableImage(durable_, model_); }
  MemoryModel NewModel() const {
    return MemoryModel(Granularity::kCacheLine,
                       [image = durable_](uint64_t offset) { return image.LineAt(offset); });
  }

  TempDir dir_;
  bool is_new_ = true;
  SparseImage durable_;  // at the last power failure
  MemoryModel model_;    // since
};

Operations NewPool() { return {CreatePoolOp(), CreateStoreOp("s")}; }

Operations ThirteenPuts() {
  Operations operations;
  for (int i = 0; i < 13; i++) operations.push_back(PutOp("s", fmt::format("key{:02}", i), "old"));
  return operations;
}

Contents After(const std::vector<Operations>& programs) {
  Contents contents;
  for (const Operations& operations : programs) {
    for (const Operation& operation : operations) operation.effect(&contents);
  }
  return contents;
}

// A lane that a killed process had emptied in the caches only was believed to be empty.
TEST(RegressionTest, ALaneRetiredInTheCachesOnlyStaysRetired) {
  const Operations full = NewPool() + ThirteenPuts() + Operations{CloseOp()};
  const Operations restructure = {OpenOp(), PutOp("s", "key13", "new")};
  const Operations nothing = {OpenOp(), CloseOp()};
  Machine machine;
  machine.Run(full);
  machine.Run(restructure, "smo.12");
  machine.Run(nothing);
  machine.FailPower();
  EXPECT_EQ(machine.Wrong(After({full, restructure})), "") << "it came true with smo.9";
}

// The pool was clean at the mount that looked, so nobody flushed what was read.
TEST(RegressionTest, WhatAKilledProcessLeftInTheCachesIsFlushedTwoMountsLater) {
  const Operations fill = NewPool() + Operations{PutOp("s", "a", "1"), CloseOp()};
  const Operations put = {OpenOp(), PutOp("s", "b", "2")};
  const Operations nothing = {OpenOp(), CloseOp()};
  Operation read;
  read.run = [](Session& session) { return ReadContents(*session.pool).status(); };
  Machine machine;
  machine.Run(fill);
  machine.Run(put, "put.4");
  machine.Run(nothing);
  machine.Run({OpenOp(), read});
  machine.FailPower();
  EXPECT_EQ(machine.Wrong(After({fill, put})), "");
}

// The mirror was in the caches only when copy 0 was overwritten.
TEST(RegressionTest, OneSuperblockIsWholeWhenTheNextMountAfterAKillLosesPower) {
  const Operations fill = NewPool() + Operations{CloseOp()};
  Machine machine;
  machine.Run(fill);
  machine.Run({OpenOp()}, "super.2", 2);
  machine.Run({OpenOp()}, "super.2", 1);
  machine.FailPowerTearing();
  EXPECT_EQ(machine.Wrong(After({fill})), "");
}

// A torn mirror was to be rewritten, but the mount began with the copy that was whole.
TEST(RegressionTest, OneSuperblockIsWholeWhenPowerFailsTwiceInARow) {
  const Operations fill = NewPool() + Operations{CloseOp()};
  for (int nth = 1; nth <= 2; nth++) {
    Machine machine;
    machine.Run(fill);
    machine.Run({OpenOp()}, "super.2", 2);
    machine.FailPowerTearing();
    machine.Run({OpenOp()}, "super.2", nth);
    machine.FailPowerTearing();
    EXPECT_EQ(machine.Wrong(After({fill})), "");
  }
}

// The first words of a superblock had arrived: "format version 0, use the tuff that made it".
TEST(RegressionTest, ATornFirstSuperblockIsNotANewerFormat) {
  Machine machine;
  machine.Run(NewPool(), "super.2", 1);
  machine.FailPowerTearing();
  EXPECT_EQ(machine.Wrong({}, true), "");
}

// libpmem2 kept a thread-specific key for every pool opened with a forced granularity, and after
// 1024 of them deleted those of others: the process died when a thread ended.
TEST(RegressionTest, ManyPoolsCanBeOpenedInOneProcess) {
  TempDir dir;
  Session session{dir.File("pool"), Granularity::kCacheLine, nullptr};
  ASSERT_OK(session.Create());
  ASSERT_OK(session.Close());
  for (int i = 0; i < 1100; i++) {
    ASSERT_OK(session.Open());
    ASSERT_OK(session.Close());
  }
  pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key, nullptr), 0);
  EXPECT_EQ(pthread_key_delete(key), 0);
}

}  // namespace
}  // namespace tuff::test
