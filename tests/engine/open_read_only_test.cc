// Read-only opens of pools that were not closed cleanly: recovered in memory, and the file stays as
// the crash has left it. At every crash point: the explorer of tests/crash.
#include <sys/stat.h>

#include <map>
#include <vector>

#include "pagemap/steps.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

using Records = std::map<std::string, std::string>;

// Copies the pool's file at the first time that a step is come to: what a kill leaves there.
class KillAt : public StepObserver {
 public:
  KillAt(std::string id, std::string from, std::string to)
      : id_(std::move(id)), from_(std::move(from)), to_(std::move(to)) {
    SetStepObserver(this);
  }
  ~KillAt() override { SetStepObserver(nullptr); }
  void OnPoint(const Step& step) override {
    if (done_ || step.id != id_) return;
    std::filesystem::copy_file(from_, to_, std::filesystem::copy_options::overwrite_existing);
    done_ = true;
  }
  bool done() const { return done_; }

 private:
  const std::string id_;
  const std::string from_;
  const std::string to_;
  bool done_ = false;
};

// A file's bytes, and what else of it an open could change.
struct FileState {
  std::string bytes;
  struct stat st {};
  explicit FileState(const std::string& path) : bytes(ReadWholeFile(path)) {
    EXPECT_EQ(stat(path.c_str(), &st), 0);
  }
  bool operator==(const FileState& other) const {
    return bytes == other.bytes && st.st_size == other.st.st_size &&
           st.st_mode == other.st.st_mode && st.st_mtim.tv_sec == other.st.st_mtim.tv_sec &&
           st.st_mtim.tv_nsec == other.st.st_mtim.tv_nsec;
  }
};

Records ReadAll(Pool& pool) {
  Records records;
  auto store = pool.OpenStore("store");
  EXPECT_OK(store);
  if (!store.ok()) return records;
  const auto iterator = (*store)->NewIterator();
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
    const std::string key(iterator->key());
    records[key] = iterator->value();
    std::string value;
    EXPECT_OK((*store)->Get(key, &value));
    EXPECT_EQ(value, records[key]);
  }
  EXPECT_OK(iterator->status());
  return records;
}

class OpenReadOnlyTest : public testing::TestWithParam<Granularity> {
 protected:
  OpenOptions Options(bool read_only) const {
    OpenOptions options = SmallPool(kPoolSizeMin, GetParam()).open;
    options.read_only = read_only;
    return options;
  }
  std::string path() const { return dir_.File("pool"); }
  static std::string Key(int i) { return "key" + std::to_string(i * 37 % 1000 + 1000); }
  static std::string Value(int i) { return std::to_string(i) + std::string(150, '='); }

  // Makes path() what is left by a process that is killed at a step of its puts, and `records` what
  // it had been told was written.
  void Kill(const std::string& step) {
    const std::string alive = dir_.File("alive");
    auto pool = Pool::Create(alive, SmallPool(kPoolSizeMin, GetParam()));
    ASSERT_OK(pool);
    auto store = (*pool)->CreateStore("store");
    ASSERT_OK(store);
    const auto put = [&](int i) { ASSERT_OK((*store)->Put(Key(i), Value(i))); };
    int i = 0;
    for (; i < 100; i++) put(i);
    records_.clear();
    for (int k = 0; k < i; k++) records_[Key(k)] = Value(k);
    {
      const KillAt kill(step, alive, path());
      while (!kill.done() && !HasFatalFailure() && i < 1000) {
        in_doubt_ = Key(i);
        put(i);
        if (!kill.done()) records_[Key(i)] = Value(i);
        i++;
      }
      ASSERT_TRUE(kill.done()) << "never at " << step;
    }
    ASSERT_OK((*pool)->Close());
    pool->reset();
    std::filesystem::remove(alive);
  }

  // Under PAGE another function appends.
  const char* Put(std::string_view step) const {
    const bool page = GetParam() == Granularity::kPage;
    if (step == "put.1") return page ? "group.6" : "put.1";
    if (step == "put.2") return page ? "group.7" : "put.2";
    return page ? "group.9" : "put.5";
  }

  // Opens read-only: the pool is sound and holds `records_`, all of the file stays the same.
  Records ExpectReadable(uint64_t lanes) {
    const FileState before(path());
    Records found;
    {
      auto pool = Pool::Open(path(), Options(true));
      EXPECT_OK(pool);
      if (!pool.ok()) return found;
      const PoolInfo info = (*pool)->GetInfo();
      EXPECT_TRUE(info.read_only);
      EXPECT_FALSE(info.was_clean);
      EXPECT_TRUE(info.recovered_in_memory);
      EXPECT_TRUE(info.crashed_since_scrub);
      EXPECT_EQ(info.memmap, MemmapPlace::kDram);
      EXPECT_EQ(Problems(**pool), "");
      found = ReadAll(**pool);
      const Statistics statistics = (*pool)->GetStatistics();
      EXPECT_EQ(statistics.lanes_recovered, lanes);
      EXPECT_EQ(statistics.fences + statistics.flushes + statistics.syncs, 0u);
      ExpectRefusesWrites(**pool);
      EXPECT_OK((*pool)->Close());
    }
    EXPECT_TRUE(FileState(path()) == before) << "the file has changed";
    Records acknowledged = found;
    if (!records_.contains(in_doubt_)) acknowledged.erase(in_doubt_);
    EXPECT_EQ(acknowledged, records_);
    return found;
  }
  static void ExpectRefusesWrites(Pool& pool) {
    EXPECT_CODE(pool.CreateStore("new"), Code::kReadOnly);
    EXPECT_CODE(pool.RenameStore("store", "other"), Code::kReadOnly);
    auto store = pool.OpenStore("store");
    ASSERT_OK(store);
    EXPECT_CODE((*store)->Put("key", "x"), Code::kReadOnly);
    EXPECT_CODE((*store)->Delete("key"), Code::kReadOnly);
  }
  // The same, again, and then for writing: all find the same.
  void ExpectReadableThenRecoverable(uint64_t lanes) {
    const Records found = ExpectReadable(lanes);
    EXPECT_EQ(ExpectReadable(lanes), found);
    {
      auto pool = Pool::Open(path(), Options(false));
      ASSERT_OK(pool);
      EXPECT_FALSE((*pool)->GetInfo().was_clean);
      EXPECT_FALSE((*pool)->GetInfo().recovered_in_memory);
      EXPECT_EQ((*pool)->GetStatistics().lanes_recovered, lanes);
      EXPECT_EQ(ReadAll(**pool), found);
      EXPECT_EQ(Problems(**pool), "");
      ASSERT_OK((*pool)->Close());
    }
    auto pool = Pool::Open(path(), Options(true));
    ASSERT_OK(pool);
    EXPECT_TRUE((*pool)->GetInfo().was_clean);
    EXPECT_FALSE((*pool)->GetInfo().recovered_in_memory);
  }

  TempDir dir_;
  Records records_;
  std::string in_doubt_;  // the key whose put was under way
};

TEST_P(OpenReadOnlyTest, EmptyLanes) {
  for (const char* step : {Put("put.1"), Put("put.5"), "smo.11", "smo.13"}) {
    SCOPED_TRACE(step);
    ASSERT_NO_FATAL_FAILURE(Kill(step));
    ExpectReadableThenRecoverable(0);
  }
}

TEST_P(OpenReadOnlyTest, LiveLanesAreUndone) {
  for (const char* step : {"smo.3", "smo.5", "smo.6"}) {
    SCOPED_TRACE(step);
    ASSERT_NO_FATAL_FAILURE(Kill(step));
    ExpectReadableThenRecoverable(1);
  }
}

TEST_P(OpenReadOnlyTest, LiveLanesAreRedone) {
  for (const char* step : {"smo.7", "smo.10"}) {
    SCOPED_TRACE(step);
    ASSERT_NO_FATAL_FAILURE(Kill(step));
    ExpectReadableThenRecoverable(1);
  }
}

// The record that the process was storing, with its second half missing.
TEST_P(OpenReadOnlyTest, TornTail) {
  ASSERT_NO_FATAL_FAILURE(Kill(Put("put.2")));
  const std::string bytes = ReadWholeFile(path());
  const size_t key = bytes.rfind(in_doubt_);
  ASSERT_NE(key, bytes.npos);
  WriteAt(path(), key + 60, std::string(110, '\0'));
  const Records found = ExpectReadable(0);
  EXPECT_FALSE(found.contains(in_doubt_));
  ExpectReadableThenRecoverable(0);
}

// What lies before whole records is no trace of a crash.
TEST_P(OpenReadOnlyTest, DamageStaysDamage) {
  ASSERT_NO_FATAL_FAILURE(Kill(Put("put.5")));
  const std::string bytes = ReadWholeFile(path());
  const std::string& key = records_.begin()->first;
  for (size_t at = bytes.find(key); at != bytes.npos; at = bytes.find(key, at + 1)) {
    FlipByte(path(), at + key.size() + 10);  // wherever it is: in nodes that are no more, too
  }
  auto pool = Pool::Open(path(), Options(true));
  ASSERT_OK(pool);
  auto store = (*pool)->OpenStore("store");
  ASSERT_OK(store);
  std::string value;
  EXPECT_CODE((*store)->Get(key, &value), Code::kCorruption);
  EXPECT_OK((*store)->Get(records_.rbegin()->first, &value));
  EXPECT_NE(Problems(**pool), "");
}

TEST_P(OpenReadOnlyTest, WithoutPermissionToWrite) {
  ASSERT_NO_FATAL_FAILURE(Kill("smo.6"));
  ASSERT_EQ(chmod(path().c_str(), 0444), 0);
  ASSERT_EQ(chmod(dir_.path().c_str(), 0555), 0);
  EXPECT_EQ(RunInChild([&] {
              if (geteuid() == 0) {
                ASSERT_EQ(setgid(65534), 0);
                ASSERT_EQ(setuid(65534), 0);
              }
              EXPECT_CODE(Pool::Open(path(), Options(false)), Code::kPermission);
              ExpectReadable(1);
            }),
            0);
  ASSERT_EQ(chmod(dir_.path().c_str(), 0755), 0);
}

TEST_P(OpenReadOnlyTest, ReadersShareAndExcludeWriters) {
  ASSERT_NO_FATAL_FAILURE(Kill("smo.6"));
  int ready[2];
  int finish[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(finish), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(finish[1]);
    auto pool = Pool::Open(path(), Options(true));
    char byte = pool.ok() ? 'y' : 'n';
    if (write(ready[1], &byte, 1) != 1) _exit(2);
    while (read(finish[0], &byte, 1) > 0) {
    }
    _exit(pool.ok() && ReadAll(**pool) == records_ && !HasFailure() ? 0 : 1);
  }
  close(finish[0]);
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  ExpectReadable(1);
  {
    auto first = Pool::Open(path(), Options(true));
    ASSERT_OK(first);
    auto second = Pool::Open(path(), Options(true));
    ASSERT_OK(second);
    EXPECT_EQ(ReadAll(**first), records_);
    EXPECT_EQ(ReadAll(**second), records_);
    EXPECT_CODE(Pool::Open(path(), Options(false)), Code::kLocked);
  }
  EXPECT_CODE(Pool::Open(path(), Options(false)), Code::kLocked);
  close(finish[1]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  close(ready[0]);
  close(ready[1]);
  ExpectReadableThenRecoverable(1);
  auto writer = Pool::Open(path(), Options(false));
  ASSERT_OK(writer);
  EXPECT_CODE(Pool::Open(path(), Options(true)), Code::kLocked);
}

// The catalogue's own change of structure is decided by a record.
TEST_P(OpenReadOnlyTest, AStoreThatWasBeingMade) {
  for (const char* step : {"object.4", "object.5", "object.8"}) {
    SCOPED_TRACE(step);
    const std::string alive = dir_.File("alive");
    auto pool = Pool::Create(alive, SmallPool(kPoolSizeMin, GetParam()));
    ASSERT_OK(pool);
    ASSERT_OK((*pool)->CreateStore("store"));
    {
      const KillAt kill(step, alive, path());
      ASSERT_OK((*pool)->CreateStore("second"));
      ASSERT_TRUE(kill.done());
    }
    ASSERT_OK((*pool)->Close());
    std::filesystem::remove(alive);
    records_.clear();
    ExpectReadableThenRecoverable(1);
  }
}

INSTANTIATE_TEST_SUITE_P(Media, OpenReadOnlyTest,
                         testing::Values(Granularity::kCacheLine, Granularity::kPage),
                         [](const auto& info) {
                           return info.param == Granularity::kPage ? "page" : "cache_line";
                         });

}  // namespace
}  // namespace tuff::test
