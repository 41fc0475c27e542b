// More writers than there are lanes, while a store's gate is frozen or its pool is full: who holds
// a lane must not wait for somebody who waits for one.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "pagemap/lanes.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/scrub_fixture.h"
#include "tuff/bulk_loader.h"
#include "tuff/write_batch.h"

namespace tuff::test {
namespace {

constexpr unsigned kSecondsMax = kSanitized ? 120 : 30;

// Holds the first writer that is about to commit a new root, and tells when a bulk load has made
// its nodes.
class RootHolder : public Holder {
 public:
  RootHolder() : Holder("smo.3") {}
  void OnPoint(const Step& step) override {
    if (step.id == std::string_view("change.13")) loaded_ = true;
    Holder::OnPoint(step);
  }
  bool loaded() const { return loaded_; }

 private:
  std::atomic<bool> loaded_{false};
};

class ManyWriters : public testing::TestWithParam<size_t> {
 protected:
  ManyWriters() { alarm(kSecondsMax); }  // these once waited for each other for ever
  ~ManyWriters() override { alarm(0); }

  // Writers come to an empty store: one is held while it makes the root; the others have the other
  // lanes and wait for the anchor's latch, or they wait for a lane. Then they find the gate frozen.
  void FinishBeside(const std::function<Status(PoolFixture&, const std::string& key)>& write) {
    PoolFixture fixture;
    Store::Impl& store = StoreAccess::Of(fixture.store());
    Lanes& lanes = fixture.map().lanes();
    auto loader = fixture.store().NewBulkLoader();
    ASSERT_OK(loader);
    ASSERT_OK((*loader)->Add("loaded", "value"));
    Contents expected = {{"loaded", "value"}};
    {
      RootHolder holder;
      std::vector<std::thread> threads;
      std::unique_lock gate_lock(store.gate_mutex);
      threads.emplace_back([&] { EXPECT_OK((*loader)->Finish()); });
      while (!holder.loaded()) std::this_thread::yield();
      for (size_t i = 0; i < GetParam(); i++) {
        const std::string key = std::to_string(i);
        expected[key] = "value";
        threads.emplace_back([&, key] { EXPECT_OK(write(fixture, key)); });
      }
      while (const auto lane = lanes.TryAcquire()) {
        lanes.Release(*lane);
        std::this_thread::yield();
      }
      while (!holder.held()) std::this_thread::yield();
      gate_lock.unlock();
      while (store.tree.gate() != Tree::Gate::kFrozen) std::this_thread::yield();
      holder.LetGo();
      for (std::thread& thread : threads) thread.join();
    }
    EXPECT_EQ(Read(fixture.store()), expected);
    EXPECT_EQ(Problems(fixture.pool()), "");
    loader = Status(Code::kNotFound, "");
  }
};

TEST_P(ManyWriters, PutWhileAStoreIsFilled) {
  FinishBeside([](PoolFixture& fixture, const std::string& key) {
    return fixture.store().Put(key, "value");
  });
}

TEST_P(ManyWriters, WriteBatchesWhileAStoreIsFilled) {
  FinishBeside([](PoolFixture& fixture, const std::string& key) {
    WriteBatch batch;
    EXPECT_OK(batch.Delete(fixture.store(), key + " not there"));
    EXPECT_OK(batch.Put(fixture.store(), key, "value"));
    return fixture.pool().Write(batch);
  });
}

// Of those who put together, one writes for the others, and may need a lane for it.
TEST_P(ManyWriters, FindAFullPoolTogether) {
  PoolFixture fixture(SmallPool(kPoolSizeMin, Granularity::kPage));
  FrameAllocator& allocator = fixture.map().allocator();
  std::vector<Pfn> taken;
  while (const Pfn pfn = allocator.Allocate(0, AllocFor::kGrowth)) taken.push_back(pfn);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < GetParam(); i++) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 40; n++) {
        EXPECT_EQ(fixture.store().Put(std::to_string(i), "value").code(), Code::kNoSpace);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Pfn pfn : taken) allocator.Free(pfn, 0);
  EXPECT_OK(fixture.store().Put("key", "value"));
  EXPECT_EQ(Problems(fixture.pool()), "");
}

INSTANTIATE_TEST_SUITE_P(All, ManyWriters, testing::Values(kLanes, kLanes + 8, kLanes + 160));

}  // namespace
}  // namespace tuff::test
