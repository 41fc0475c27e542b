// Scrubs, one after the other, beside writers of all kinds: what merely changes is no damage.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

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

TEST(ScrubStress, FindsNothingBesideWriters) {
  Perturber perturber(5, kSanitized ? 15 : 0);
  CreateOptions create = SmallPool(128 << 20);
  create.open.background_consolidation = true;
  PoolFixture fixture(create);
  Pool& pool = fixture.pool();
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::milliseconds(EnvNumber("TUFF_STRESS_MS", 2000));
  const auto goes_on = [&] {
    return std::chrono::steady_clock::now() < deadline && !testing::Test::HasFailure();
  };
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 3; t++) {
    threads.emplace_back([&, t] {
      Random random(t);
      while (goes_on()) {
        if (t < 2) {
          Write(pool, fixture.store(), random);
        } else {
          MakeAndDrop(pool, "comes and goes", random);
        }
      }
    });
  }
  uint64_t finished = 0;
  uint64_t nodes = 0;
  Random random(7);
  ScrubOptions options;
  while (goes_on() || finished == 0) {
    const uint64_t most = random.OneIn(2) ? 1 + random.Below(100) : UINT64_MAX;
    options.progress = [&](const ScrubProgress& progress) { return progress.nodes < most; };
    auto result = pool.Scrub(options);
    ASSERT_OK(result);
    for (const ScrubProblem& problem : result->problems) {
      ADD_FAILURE() << problem.name << " in '" << problem.store << "': " << problem.text;
    }
    finished += result->finished ? 1 : 0;
    nodes += result->nodes;
    options.resume_from = result->resume_token;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(nodes, 10u);
  ASSERT_OK(pool.WaitForBackgroundWork());
  const CheckReport report = Check(pool);
  EXPECT_TRUE(report.problems.empty()) << report.ToString();
  auto last = pool.Scrub();
  ASSERT_OK(last);
  EXPECT_EQ(last->nodes, report.nodes);
  EXPECT_EQ(last->records, report.records);
  RecordProperty("scrubs", static_cast<int>(finished));
  std::printf("%lu scrubs of %lu nodes in all\n", finished, nodes);
}

}  // namespace
}  // namespace tuff::test
