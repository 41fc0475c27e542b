// Pools on real persistent memory: fs-dax, devdax, protection keys. Runs inside the guest that
// tests/vm/run makes; anywhere else the environment is missing and every test reports SKIP.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "engine/check.h"
#include "engine/pool_impl.h"
#include "pagemap/steps.h"
#include "tuff/tuff.h"

namespace tuff {
namespace {

// Kills the process when it comes to a step.
class KillAtStep : public StepObserver {
 public:
  explicit KillAtStep(std::string id) : id_(std::move(id)) { SetStepObserver(this); }
  ~KillAtStep() override { SetStepObserver(nullptr); }
  void OnPoint(const Step& step) override {
    if (step.id == id_) (void)raise(SIGKILL);
  }

 private:
  const std::string id_;
};

std::string FsdaxDir() {
  const char* dir = std::getenv("PMEM_DIR");
  return dir == nullptr ? "" : dir;
}
std::string Devdax() {
  const char* device = std::getenv("PMEM_DEVDAX");
  return device == nullptr ? "" : device;
}

void FillAndCheck(Pool& pool, int records) {
  auto store = pool.OpenOrCreateStore("s");
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  for (int i = 0; i < records; i++) {
    const std::string key = "key" + std::to_string(i * 7919 % records);
    ASSERT_TRUE((*store)->Put(key, std::string(100 + i % 1500, 'v')).ok());
  }
  ASSERT_TRUE(pool.WaitForBackgroundWork().ok());
  const CheckReport report = CheckPool(PoolTestPeer::Map(pool), PoolTestPeer::GetCatalogue(pool));
  EXPECT_TRUE(report.problems.empty()) << report.ToString();
}

void ExpectRecords(Pool& pool, int records) {
  auto store = pool.OpenStore("s");
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  std::string value;
  for (int i = 0; i < records; i++) {
    ASSERT_TRUE((*store)->Get("key" + std::to_string(i), &value).ok()) << i;
  }
}

TEST(Dax, PoolOnFsdaxIsCacheLineWithoutForcing) {
  if (FsdaxDir().empty()) GTEST_SKIP() << "no fs-dax here: PMEM_DIR is not set";
  const std::string path = FsdaxDir() + "/pool";
  CreateOptions create;
  create.size_bytes = 64 << 20;
  {
    auto pool = Pool::Create(path, create);
    ASSERT_TRUE(pool.ok()) << pool.status().ToString();
    const PoolInfo info = (*pool)->GetInfo();
    EXPECT_LE(info.granularity, Granularity::kCacheLine);
    EXPECT_EQ(info.granularity, info.medium_granularity);
    EXPECT_FALSE(info.ever_forced);
    EXPECT_EQ(info.memmap, MemmapPlace::kPool);
    FillAndCheck(**pool, 3000);
    EXPECT_EQ((*pool)->GetStatistics().syncs, 0u);
    ASSERT_TRUE((*pool)->Close().ok());
  }
  auto pool = Pool::Open(path);
  ASSERT_TRUE(pool.ok()) << pool.status().ToString();
  ExpectRecords(**pool, 3000);
}

TEST(Dax, PoolOnDevdax) {
  if (Devdax().empty()) GTEST_SKIP() << "no devdax here: PMEM_DEVDAX is not set";
  CreateOptions create;  // size 0: all of the device
  {
    auto pool = Pool::Create(Devdax(), create);
    ASSERT_TRUE(pool.ok()) << pool.status().ToString();
    EXPECT_LE((*pool)->GetInfo().granularity, Granularity::kCacheLine);
    FillAndCheck(**pool, 3000);
    ASSERT_TRUE((*pool)->Close().ok());
  }
  EXPECT_EQ(Pool::Create(Devdax(), create).status().code(), Code::kExists);
  auto pool = Pool::Open(Devdax());
  ASSERT_TRUE(pool.ok()) << pool.status().ToString();
  ExpectRecords(**pool, 3000);
}

// The child kills itself in the middle of writing: what it was told is there afterwards.
TEST(Dax, KilledWriterLosesNothing) {
  if (FsdaxDir().empty()) GTEST_SKIP() << "no fs-dax here: PMEM_DIR is not set";
  const std::string path = FsdaxDir() + "/killed";
  const pid_t child = fork();
  if (child == 0) {
    CreateOptions create;
    create.size_bytes = 64 << 20;
    auto pool = Pool::Create(path, create);
    if (!pool.ok()) _exit(1);
    FillAndCheck(**pool, 1000);
    (void)raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  auto pool = Pool::Open(path);
  ASSERT_TRUE(pool.ok()) << pool.status().ToString();
  EXPECT_TRUE((*pool)->GetInfo().crashed_since_scrub);
  ExpectRecords(**pool, 1000);
}

// Its pages are replaced by copies: on devdax, huge ones.
void ExpectReadableAsKilled(const std::string& path, int size_mib) {
  const pid_t child = fork();
  if (child == 0) {
    CreateOptions create;
    create.size_bytes = static_cast<uint64_t>(size_mib) << 20;
    create.open.background_consolidation = false;  // one lane is in use when it is killed
    auto pool = size_mib == 0 ? Pool::Open(path, create.open) : Pool::Create(path, create);
    if (!pool.ok()) _exit(1);
    FillAndCheck(**pool, 1000);
    KillAtStep kill("smo.6");
    FillAndCheck(**pool, 3000);
    _exit(2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  OpenOptions options;
  for (const bool read_only : {true, true, false}) {
    options.read_only = read_only;
    auto pool = Pool::Open(path, options);
    ASSERT_TRUE(pool.ok()) << pool.status().ToString();
    EXPECT_EQ((*pool)->GetInfo().recovered_in_memory, read_only);
    EXPECT_EQ((*pool)->GetStatistics().lanes_recovered, 1u);
    ExpectRecords(**pool, 1000);
    const CheckReport report =
        CheckPool(PoolTestPeer::Map(**pool), PoolTestPeer::GetCatalogue(**pool));
    EXPECT_TRUE(report.problems.empty()) << report.ToString();
  }
}

TEST(Dax, AKilledWritersPoolIsReadOnFsdax) {
  if (FsdaxDir().empty()) GTEST_SKIP() << "no fs-dax here: PMEM_DIR is not set";
  ExpectReadableAsKilled(FsdaxDir() + "/unclean", 64);
}

// After PoolOnDevdax, which has made the pool.
TEST(Dax, AKilledWritersPoolIsReadOnDevdax) {
  if (Devdax().empty()) GTEST_SKIP() << "no devdax here: PMEM_DEVDAX is not set";
  ExpectReadableAsKilled(Devdax(), 0);
}

volatile sig_atomic_t fault_code = 0;

void OnFault(int, siginfo_t* info, void*) {
  fault_code = info->si_code;
  _exit(info->si_code == SEGV_PKUERR ? 0 : 3);
}

TEST(Dax, StrayStoreHitsTheProtectionKey) {
  if (FsdaxDir().empty()) GTEST_SKIP() << "no fs-dax here: PMEM_DIR is not set";
  const int key = pkey_alloc(0, 0);
  if (key < 0) GTEST_SKIP() << "no protection keys here: pkey_alloc fails";
  (void)pkey_free(key);
  // A forked child has no mapping of the pool (MADV_DONTFORK), so the child starts afresh.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::string path = FsdaxDir() + "/guarded" + std::to_string(getpid());
  CreateOptions create;
  create.size_bytes = 64 << 20;
  create.open.guard = Guard::kPkey;
  auto pool = Pool::Create(path, create);
  ASSERT_TRUE(pool.ok()) << pool.status().ToString();
  EXPECT_EQ((*pool)->GetInfo().guard, Guard::kPkey);
  EXPECT_EQ((*pool)->GetInfo().memmap, MemmapPlace::kPool);
  FillAndCheck(**pool, 2000);
  const std::byte* base = PoolTestPeer::Map(**pool).base();
  const auto stray = [&] {
    struct sigaction action {};
    action.sa_sigaction = OnFault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, nullptr);
    *const_cast<volatile std::byte*>(base) = std::byte{1};
    _exit(4);  // the store passed
  };
  EXPECT_EXIT(stray(), testing::ExitedWithCode(0), "");
}

// A thread that is older than the key may read at its first operation.
TEST(Dax, OlderThreadsAreLetIn) {
  if (FsdaxDir().empty()) GTEST_SKIP() << "no fs-dax here: PMEM_DIR is not set";
  const std::string path = FsdaxDir() + "/older";
  int to_thread[2];
  ASSERT_EQ(pipe(to_thread), 0);
  Store* store = nullptr;
  Status got(Code::kBusy, "not run");
  std::thread older([&] {
    char go = 0;
    if (read(to_thread[0], &go, 1) != 1) return;
    std::string value;
    got = store->Get("key1", &value);
    if (got.ok()) got = store->Put("from", "older");
  });
  CreateOptions create;
  create.size_bytes = 64 << 20;
  auto pool = Pool::Create(path, create);
  ASSERT_TRUE(pool.ok()) << pool.status().ToString();
  FillAndCheck(**pool, 100);
  auto opened = (*pool)->OpenStore("s");
  ASSERT_TRUE(opened.ok());
  store = *opened;
  ASSERT_EQ(write(to_thread[1], "g", 1), 1);
  older.join();
  EXPECT_TRUE(got.ok()) << got.ToString();
}

}  // namespace
}  // namespace tuff
