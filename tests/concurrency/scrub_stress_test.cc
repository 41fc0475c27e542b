// Scrubs, one after the other, beside writers of all kinds: what merely changes is no damage, and
// what is a leak is found all the same.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "engine/repair/problems.h"
#include "tests/concurrency/perturber.h"
#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

std::string Key(uint64_t i) { return fmt::format("key{:05}", i); }

void Write(Pool& pool, Store& store, Random& random) {
  constexpr uint64_t kKeys = 3000;
  const uint64_t first = random.Below(kKeys);
  const uint64_t n = random.Below(60);
  switch (random.Below(4)) {
    case 0: {
      WriteBatch batch;
      for (uint64_t i = first; i < first + n; i += 1 + random.Below(9)) {
        EXPECT_OK(batch.Put(store, Key(i), random.Bytes(random.Below(200))));
      }
      EXPECT_OK(pool.Write(batch));
      return;
    }
    case 1:
      for (uint64_t i = first; i < first + 4 * n; i++) {
        const Status s = store.Delete(Key(i));
        EXPECT_TRUE(s.ok() || s.IsNotFound()) << s.ToString();
      }
      return;
    default:
      for (uint64_t i = first; i < first + 2 * n; i++) {
        EXPECT_OK(store.Put(Key(i), random.Bytes(random.Below(random.OneIn(8) ? 4000 : 200))));
      }
  }
}

// Stores that come, are filled, and go.
void MakeAndDrop(Pool& pool, const std::string& name, Random& random) {
  auto store = pool.CreateStore(name);
  ASSERT_OK(store);
  const uint64_t n = random.Below(2000);
  auto loader = (*store)->NewBulkLoader();
  ASSERT_OK(loader);
  for (uint64_t i = 0; i < n; i++) ASSERT_OK((*loader)->Add(Key(i), random.Bytes(50)));
  if (!random.OneIn(4)) {
    ASSERT_OK((*loader)->Finish());
  }
  loader = Status(Code::kNotFound, "");
  for (uint64_t i = 0; i < 200; i++) ASSERT_OK((*store)->Put(Key(random.Below(n + 1)), "again"));
  const std::string other = name + " again";
  ASSERT_OK(pool.RenameStore(name, other));
  ASSERT_OK(pool.DropStore(other));
}

// Old nodes stay pinned while others rewrite theirs.
void ReadAndHold(Pool& pool, Store& store, Random& random) {
  auto it = store.NewIterator();
  auto value = store.GetPinned(Key(random.Below(3000)));
  EXPECT_TRUE(value.ok() || value.status().IsNotFound()) << value.status().ToString();
  it->Seek(Key(random.Below(3000)));
  for (uint64_t i = random.Below(300); i > 0 && it->Valid(); i--) it->Next();
  auto transaction = pool.BeginTransaction();
  ASSERT_OK(transaction);
  ASSERT_OK((*transaction)->Put(store, Key(random.Below(3000)), random.Bytes(300)));
  const Status s = (*transaction)->Commit();
  EXPECT_TRUE(s.ok() || s.code() == Code::kConflict) << s.ToString();
}

// Frames that are in use and nobody's: of the store, as if it had an anchor more.
class Leaks {
 public:
  explicit Leaks(Pool& pool) : map_(PoolTestPeer::Map(pool)) {
    const auto info = PoolTestPeer::GetCatalogue(pool).Find("store");
    EXPECT_OK(info);
    for (const FrameKind kind : {FrameKind::kTreeNode, FrameKind::kMetadata}) {
      const Pfn pfn = map_.allocator().Allocate(0, AllocFor::kGrowth);
      SetWord(pfn, PackOwner(pfn, kind, 0, info->id));
      pfns_.insert(pfn);
    }
  }
  void GiveBack() {
    for (const Pfn pfn : pfns_) {
      SetWord(pfn, 0);
      map_.allocator().Free(pfn, 0);
    }
  }
  const std::multiset<Pfn>& pfns() const { return pfns_; }

 private:
  void SetWord(Pfn pfn, uint64_t word) {
    WriteWindow window(map_.domain());
    window.Store64(OwnerWordOffset(pfn), word);
  }
  PageMap& map_;
  std::multiset<Pfn> pfns_;
};

class ScrubStress : public testing::TestWithParam<Granularity> {};

TEST_P(ScrubStress, FindsNothingFalseBesideWriters) {
  Perturber perturber(5, kSanitized ? 15 : 0);
  CreateOptions create = SmallPool(128 << 20, GetParam());
  create.open.background_consolidation = true;
  PoolFixture fixture(create);
  Pool& pool = fixture.pool();
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::milliseconds(EnvNumber("TUFF_STRESS_MS", 2000));
  const auto goes_on = [&] {
    return std::chrono::steady_clock::now() < deadline && !testing::Test::HasFailure();
  };
  Leaks leaks(pool);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 5; t++) {
    threads.emplace_back([&, t] {
      Random random(t);
      while (goes_on()) {
        if (t < 2) {
          Write(pool, fixture.store(), random);
        } else if (t < 4) {
          MakeAndDrop(pool, fmt::format("comes and goes {}", t), random);
        } else {
          ReadAndHold(pool, fixture.store(), random);
        }
      }
    });
  }
  uint64_t finished = 0;
  uint64_t nodes = 0;
  Random random(7);
  ScrubOptions options;
  std::multiset<Pfn> leaked;
  while (goes_on() || finished == 0) {
    uint64_t most = random.OneIn(2) ? 1 + random.Below(100) : UINT64_MAX;
    options.progress = [&](const ScrubProgress&) { return most-- > 1; };
    auto result = pool.Scrub(options);
    ASSERT_OK(result);
    for (const ScrubProblem& problem : result->problems) {
      if (leaks.pfns().contains(problem.pfn)) {
        EXPECT_EQ(problem.code, static_cast<uint16_t>(ProblemCode::kLeaked));
        leaked.insert(problem.pfn);
      } else {
        ADD_FAILURE() << problem.name << " in '" << problem.store << "': " << problem.text;
      }
    }
    if (result->finished) {
      finished++;
      EXPECT_TRUE(leaked == leaks.pfns()) << leaked.size() << " leaks found";
      leaked.clear();
    }
    nodes += result->nodes;
    options.resume_from = result->resume_token;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(nodes, 10u);
  ASSERT_OK(pool.WaitForBackgroundWork());
  leaks.GiveBack();
  const CheckReport report = Check(pool);
  EXPECT_TRUE(report.problems.empty()) << report.ToString();
  auto last = pool.Scrub();
  ASSERT_OK(last);
  EXPECT_EQ(last->nodes, report.nodes);
  EXPECT_EQ(last->records, report.records);
  EXPECT_TRUE(last->problems.empty());
  RecordProperty("scrubs", static_cast<int>(finished));
  std::printf("%lu scrubs of %lu nodes in all\n", finished, nodes);
}

INSTANTIATE_TEST_SUITE_P(All, ScrubStress,
                         testing::Values(Granularity::kCacheLine, Granularity::kPage),
                         [](const auto& test) {
                           return test.param == Granularity::kPage ? "Page" : "CacheLine";
                         });

}  // namespace
}  // namespace tuff::test
