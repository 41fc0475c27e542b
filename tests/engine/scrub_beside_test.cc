// Pool::Scrub finds nothing wrong where a change of structure is in the middle of something: beside
// it, and in what a process that is killed there leaves.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "tests/engine/pool_bytes.h"
#include "tests/engine/scrub_fixture.h"
#include "tuff/write_batch.h"

namespace tuff::test {
namespace {

// At a step's first turn, copies the pool's file as a process that is killed there leaves it, if
// no other thread writes meanwhile.
class Copier : public StepObserver {
 public:
  Copier(std::string_view step, const std::string& from, const std::string& to)
      : step_(step), from_(from), to_(to) {
    SetStepObserver(this);
  }
  ~Copier() override { SetStepObserver(nullptr); }
  void OnPoint(const Step& step) override {
    NoteWriting();
    if (step.id != step_ || done_.exchange(true)) return;
    copying_ = true;
    EXPECT_TRUE(std::filesystem::copy_file(from_, to_));
    copying_ = false;
  }
  bool OnFlush(const Step&, const std::byte*, uint64_t, size_t) override { return NoteWriting(); }
  bool OnFence(const Step&, const std::byte*) override { return NoteWriting(); }
  bool done() const { return done_; }
  bool disturbed() const { return disturbed_; }

 private:
  bool NoteWriting() {
    if (copying_) disturbed_ = true;
    return true;
  }

  const std::string_view step_;
  const std::string from_;
  const std::string to_;
  std::atomic<bool> done_{false};
  std::atomic<bool> copying_{false};
  std::atomic<bool> disturbed_{false};
};

TEST(ScrubAfterKillTest, FindsNothingWrong) {
  for (const std::string_view step :
       {"smo.3", "smo.5", "smo.6", "smo.7", "smo.10", "smo.11", "object.4", "object.5", "object.8",
        "change.5", "change.6", "change.7", "change.11", "batch.6", "batch.11"}) {
    PoolFixture fixture;
    const std::string copy = fixture.path() + " killed";
    {
      const Copier copier(step, fixture.path(), copy);
      for (int turn = 0; turn < 3; turn++) {
        auto filled = fixture.pool().CreateStore("filled");
        ASSERT_OK(filled);
        auto loader = (*filled)->NewBulkLoader();
        ASSERT_OK(loader);
        for (int i = 10000; i < 12000; i++) {
          ASSERT_OK((*loader)->Add(std::to_string(i), std::string(200, 'v')));
          ASSERT_OK(fixture.store().Put(std::to_string(i * 7919 % 10007), "value"));
        }
        WriteBatch batch;
        for (const char* key : {"1", "1a"}) ASSERT_OK(batch.Put(fixture.store(), key, "value"));
        ASSERT_OK(fixture.pool().Write(batch));
        if (turn > 0) {
          ASSERT_OK((*loader)->Finish());
        }
        loader = Status(Code::kNotFound, "");
        ASSERT_OK(fixture.pool().WaitForBackgroundWork());  // one writes at a time
        ASSERT_OK(fixture.pool().DropStore("filled"));
        ASSERT_OK(fixture.pool().WaitForBackgroundWork());
      }
      ASSERT_TRUE(copier.done()) << step;
      ASSERT_FALSE(copier.disturbed()) << step;
    }
    for (const OpenOptions& options : {ReadOnly(), SmallPool().open}) {
      auto pool = Pool::Open(copy, options);
      ASSERT_OK(pool);
      EXPECT_TRUE((*pool)->GetInfo().crashed_since_scrub);
      for (const ScrubResult& found : {Scrub(**pool), ScrubByQuestions(**pool, 2)}) {
        EXPECT_TRUE(found.problems.empty()) << step << ": " << Describe(found);
      }
    }
  }
}

// What a change of structure does is half done: the trees have been seen, frames are looked at.
class ScrubBesideTest : public ScrubTest {
 protected:
  std::string TokenBehindTheTrees() {
    const ScrubResult now = Scrub(pool());
    EXPECT_TRUE(now.problems.empty()) << Describe(now);
    ScrubOptions options;
    options.progress = [&](const ScrubProgress& progress) { return progress.nodes < now.nodes; };
    std::string token = Scrub(pool(), options).resume_token;
    EXPECT_NE(token, "");
    return token;
  }
  void ExpectNothingAt(std::initializer_list<std::string_view> steps,
                       const std::function<void()>& change) {
    for (const std::string_view step : steps) {
      ScrubOptions options;
      options.resume_from = TokenBehindTheTrees();
      Holder holder(step);
      std::atomic<bool> done{false};
      std::thread changing([&] {
        change();
        done = true;
      });
      while (!holder.held() && !done) std::this_thread::yield();
      EXPECT_TRUE(holder.held()) << step;
      std::thread letting_go([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        holder.LetGo();
      });
      const ScrubResult result = Scrub(pool(), options);
      EXPECT_TRUE(result.problems.empty()) << step << ": " << Describe(result);
      EXPECT_TRUE(result.finished);
      letting_go.join();
      changing.join();
      ASSERT_OK(pool().WaitForBackgroundWork());
    }
    ExpectProblems({});
  }
  int n_ = 0;
};

TEST_F(ScrubBesideTest, APutIntoAFullLeaf) {
  ExpectNothingAt({"smo.2", "smo.3", "smo.5", "smo.6", "smo.7", "smo.10", "smo.11", "smo.13"}, [&] {
    for (int i = 0; i < 200; i++) {
      ASSERT_OK(store().Put("new" + std::to_string(n_++), std::string(200, 'v')));
    }
  });
}

TEST_F(ScrubBesideTest, CreatingAStore) {
  ExpectNothingAt({"object.2", "object.4", "object.5", "object.8", "object.10"},
                  [&] { ASSERT_OK(pool().CreateStore(std::to_string(n_++))); });
}

TEST_F(ScrubBesideTest, DroppingAStore) {
  const auto fill_and_drop = [&] {
    auto made = pool().CreateStore(std::to_string(n_));
    ASSERT_OK(made);
    for (int i = 0; i < 300; i++) ASSERT_OK((*made)->Put(std::to_string(i), std::string(99, 'v')));
    ASSERT_OK(pool().DropStore(std::to_string(n_++)));
    ASSERT_OK(pool().WaitForBackgroundWork());
  };
  ExpectNothingAt({"batch.4", "batch.6", "batch.10", "batch.11", "batch.13", "batch.shown",
                   "change.5", "change.6", "change.7", "change.10", "change.13"},
                  fill_and_drop);
}

TEST_F(ScrubBesideTest, ABulkLoad) {
  const auto load = [&] {
    auto made = pool().CreateStore(std::to_string(n_++));
    ASSERT_OK(made);
    ASSERT_OK((*made)->Put("key", "value"));
    ASSERT_OK((*made)->Delete("key"));
    auto loader = (*made)->NewBulkLoader();
    ASSERT_OK(loader);
    for (int i = 10000; i < 14000; i++) {
      ASSERT_OK((*loader)->Add(std::to_string(i), std::string(99, 'v')));
    }
    ASSERT_OK((*loader)->Finish());
  };
  ExpectNothingAt({"change.2", "change.5", "change.6", "change.7", "change.10", "change.11",
                   "change.13", "batch.4", "batch.6", "batch.10", "batch.13"},
                  load);
}

// What is new at the first look is linked, and replaced, at the second.
TEST_F(ScrubBesideTest, ANodeThatIsReplacedMeanwhile) {
  class Replacer : public Holder {
   public:
    Replacer(std::string_view step, Store& store) : Holder(step), store_(store) {}
    void OnPoint(const Step& step) override {
      if (step.id == std::string_view("scrub.suspect") && !replaced_.exchange(true)) {
        for (int i = 0; i < 2000; i++) {
          EXPECT_OK(store_.Put("new" + std::to_string(i % 400), std::string(200, 'w')));
          EXPECT_OK(store_.Put("long" + std::to_string(i % 8), std::string(9000, 'w')));
        }
      }
      Holder::OnPoint(step);
    }
    bool replaced() const { return replaced_; }

   private:
    Store& store_;
    std::atomic<bool> replaced_{false};
  };
  ScrubOptions options;
  options.resume_from = TokenBehindTheTrees();
  Replacer replacer("smo.6", store());
  std::thread changing([&] {
    for (int i = 0; i < 200; i++) {
      EXPECT_OK(store().Put("new" + std::to_string(i), std::string(200, 'v')));
    }
  });
  while (!replacer.held()) std::this_thread::yield();
  std::thread letting_go([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    replacer.LetGo();
  });
  const ScrubResult result = Scrub(pool(), options);
  EXPECT_TRUE(result.problems.empty()) << Describe(result);
  EXPECT_TRUE(replacer.replaced());
  letting_go.join();
  changing.join();
}

}  // namespace
}  // namespace tuff::test
