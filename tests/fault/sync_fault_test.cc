// A sync or a write that fails while several threads write: the pool is read-only until it is
// opened again; what was acknowledged can be read meanwhile and is there afterwards, what was under
// way wholly or not at all.
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "tests/crash/isolate.h"
#include "tests/engine/holder.h"
#include "tests/fault/fault_loop.h"

namespace tuff::test {
namespace {

constexpr int kThreads = 4;
constexpr int kKeys = 5;  // of each thread; the last two are written by batches
constexpr int kWritesMax = 4000;

std::string Key(int thread, int key) { return fmt::format("key{}-{}", key, thread); }

// What one thread has written to each of its keys: a number that grows.
struct Written {
  std::array<int, kKeys> tried{};
  std::array<int, kKeys> acknowledged{};
  Status failure;
};

Status WriteOnce(Pool& pool, Store& store, int thread, int version, Written* written) {
  const int key = version % (kKeys - 1);
  const std::string value = std::to_string(version) + std::string(50, '.');
  const int last = key == kKeys - 2 ? kKeys - 1 : key;
  Status s;
  for (int k = key; k <= last; k++) written->tried[static_cast<size_t>(k)] = version;
  if (last == key) {
    s = store.Put(Key(thread, key), value);
  } else {
    WriteBatch batch;
    for (int k = key; k <= last && s.ok(); k++) s = batch.Put(store, Key(thread, k), value);
    if (s.ok()) s = pool.Write(batch);
  }
  if (!s.ok()) return s;
  for (int k = key; k <= last; k++) written->acknowledged[static_cast<size_t>(k)] = version;
  return s;
}

// What is wrong with what the store holds.
std::string Wrong(Store& store, const std::array<Written, kThreads>& all) {
  for (int t = 0; t < kThreads; t++) {
    const Written& written = all[static_cast<size_t>(t)];
    std::array<int, kKeys> found{};
    for (int k = 0; k < kKeys; k++) {
      const auto i = static_cast<size_t>(k);
      std::string value;
      const Status s = store.Get(Key(t, k), &value);
      if (!s.ok() && !s.IsNotFound()) return s.ToString();
      found[i] = s.ok() ? std::stoi(value) : 0;
      if (found[i] != written.acknowledged[i] && found[i] != written.tried[i]) {
        return fmt::format("{} is {}, acknowledged {}, tried {}", Key(t, k), found[i],
                           written.acknowledged[i], written.tried[i]);
      }
    }
    if (found[kKeys - 1] != found[kKeys - 2]) return "half a batch";
  }
  return "";
}

// What is wrong with a pool of which a sync has failed.
std::string WrongWhileReadOnly(Pool& pool, Store& store) {
  WriteBatch batch;
  if (Status s = batch.Put(store, "a", "b"); !s.ok()) return s.ToString();
  const Status writes[] = {store.Put("new", "value"),
                           store.Delete(Key(0, 0)),
                           pool.Write(batch),
                           pool.CreateStore("t").status(),
                           pool.RenameStore("s", "renamed"),
                           pool.DropStore("s"),
                           store.NewBulkLoader().status(),
                           store.DeleteRange("a", "z"),
                           store.CompareAndSwap("x", {}, "y")};
  for (const Status& s : writes) {
    const bool says_why = s.message().find("a sync failed") != std::string_view::npos;
    const bool is_full = s.code() == Code::kInvalidArgument;  // the bulk loader looks first
    if (!is_full && (s.code() != Code::kReadOnly || !says_why)) {
      return fmt::format("write {}: {}", &s - writes, s.ToString());
    }
  }
  return "";
}

std::string FailBesideWriters(const std::string& path, const Fault& fault) {
  NowDoing(FaultText(fault));
  CreateOptions options = SmallPool(kPoolSizeMin, Granularity::kPage);
  auto pool = Pool::Create(path, options);
  if (!pool.ok()) return pool.status().ToString();
  auto store = (*pool)->CreateStore("s");
  if (!store.ok()) return store.status().ToString();
  std::array<Written, kThreads> all;
  Injection injection(fault);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      Written& written = all[static_cast<size_t>(t)];
      for (int i = 1; i <= kWritesMax && written.failure.ok(); i++) {
        written.failure = WriteOnce(**pool, **store, t, i, &written);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  injection.Stop();
  if (Injection::refused() == 0) return "the fault is not met";
  for (const Written& written : all) {
    const Code code = written.failure.code();
    if (code != Code::kReadOnly && code != Code::kIo) {
      return "a writer ends with " + written.failure.ToString();
    }
  }
  if (std::string wrong = Wrong(**store, all); !wrong.empty()) return "while open: " + wrong;
  if (std::string wrong = WrongWhileReadOnly(**pool, **store); !wrong.empty()) return wrong;
  if (Status s = (*pool)->Close(); s.code() != Code::kReadOnly) return "close: " + s.ToString();
  pool = Pool::Open(path, options.open);
  if (!pool.ok()) return "opening again: " + pool.status().ToString();
  store = (*pool)->OpenStore("s");
  if (!store.ok()) return store.status().ToString();
  if (std::string wrong = Wrong(**store, all); !wrong.empty()) return "afterwards: " + wrong;
  if (std::string wrong = Problems(**pool); !wrong.empty()) return wrong;
  if (Status s = (*store)->Put(Key(0, 0), "1"); !s.ok()) return "writing again: " + s.ToString();
  return "";
}

TEST(SyncFaultTest, BesideWriters) {
  for (const Call call : {Call::kMsync, Call::kFdatasync, Call::kPwrite}) {
    for (const uint64_t nth : {0u, 1u, 2u, 5u, 11u, 30u, 70u, 150u}) {
      for (const bool for_ever : {false, true}) {
        const Fault fault{call, nth, EIO, for_ever};
        SCOPED_TRACE(FaultText(fault));
        const TempDir dir;
        const Isolated run =
            RunIsolated([&] { return FailBesideWriters(dir.File("pool"), fault); });
        EXPECT_EQ(run.death + run.output, "");
      }
    }
  }
}

unsigned CountTaken(Lanes& lanes) {
  unsigned taken = 0;
  for (unsigned lane = 0; lane < kLanes; lane++) {
    if (lanes.TryAcquire(lane)) {
      lanes.Release(lane);
    } else {
      taken++;
    }
  }
  return taken;
}

// Two threads make a store's root: the second has found the pool writable, and waits for the latch
// while the first meets the fault. `met` is false if it does not.
std::string FailBeforeAWaiter(const std::string& path, const Fault& fault, bool* met) {
  NowDoing(FaultText(fault));
  CreateOptions options = SmallPool(kPoolSizeMin, Granularity::kPage);
  auto pool = Pool::Create(path, options);
  if (!pool.ok()) return pool.status().ToString();
  auto store = (*pool)->CreateStore("s");
  if (!store.ok()) return store.status().ToString();
  std::array<Status, 2> written;
  std::vector<std::thread> threads;
  const auto start = [&](size_t number) {
    threads.emplace_back([&, number] {
      WriteBatch batch;
      written[number] = batch.Put(**store, std::to_string(number), "value");
      if (written[number].ok()) written[number] = (*pool)->Write(batch);
    });
  };
  {
    Holder holder("root.latched");
    Injection injection(fault);
    start(0);
    while (!holder.held()) std::this_thread::yield();
    start(1);
    while (CountTaken(PoolTestPeer::Map(**pool).lanes()) < 2) std::this_thread::yield();
    holder.LetGo();
    for (std::thread& thread : threads) thread.join();
  }
  *met = Injection::refused() > 0;
  if (!*met) return "";
  for (const Status& s : written) {
    if (s.code() != Code::kIo && s.code() != Code::kReadOnly && !s.ok()) return s.ToString();
  }
  if (std::string wrong = WrongWhileReadOnly(**pool, **store); !wrong.empty()) return wrong;
  if (Status s = (*pool)->Close(); s.code() != Code::kReadOnly) return "close: " + s.ToString();
  pool = Pool::Open(path, options.open);
  if (!pool.ok()) return "opening again: " + pool.status().ToString();
  store = (*pool)->OpenStore("s");
  if (!store.ok()) return store.status().ToString();
  for (size_t i = 0; i < written.size(); i++) {
    std::string value;
    const Status s = (*store)->Get(std::to_string(i), &value);
    if (s.ok() ? value != "value" : !s.IsNotFound() || written[i].ok()) {
      return fmt::format("batch {}, {}, afterwards: {}", i, written[i].ToString(), s.ToString());
    }
  }
  return Problems(**pool);
}

// What one thread's failed store has left, another's window neither writes over nor makes durable.
TEST(SyncFaultTest, OfAnotherWindow) {
  const TempDir dir;
  const Isolated run = RunIsolated([&]() -> std::string {
    auto pool = Pool::Create(dir.File("pool"), SmallPool(kPoolSizeMin, Granularity::kPage));
    if (!pool.ok()) return pool.status().ToString();
    PersistDomain& domain = PoolTestPeer::Map(**pool).domain();
    const uint64_t place = kPoolSizeMin - kFrameSize;
    WriteWindow first(domain);
    WriteWindow second(domain);
    const uint64_t old = Load64(domain.base() + place);
    const uint64_t next = ~old;
    Injection injection({Call::kPwrite, 0, EIO, false});
    first.Store(place, &next, sizeof next);
    injection.Stop();
    second.Store(place, &next, sizeof next);
    second.StoreUnread64(place + 8, next);
    if (Load64(domain.base() + place) != old || Load64(domain.base() + place + 8) == next) {
      return "stored";
    }
    TUFF_FLUSH("put.3", second, place, 16);
    if (Status s = TUFF_FENCE("put.4", second); s.code() != Code::kReadOnly) {
      return "the other's fence: " + s.ToString();
    }
    if (Status s = TUFF_FENCE("put.4", first); s.code() != Code::kIo) return s.ToString();
    return "";
  });
  EXPECT_EQ(run.death + run.output, "");
}

TEST(SyncFaultTest, BeforeAWaiter) {
  for (const Call call : {Call::kMsync, Call::kFdatasync, Call::kPwrite}) {
    bool met = true;
    uint64_t nth = 0;
    for (; met; nth++) {
      const Fault fault{call, nth, EIO, false};
      SCOPED_TRACE(FaultText(fault));
      const TempDir dir;
      const Isolated run = RunIsolated([&] {
        bool it_was = false;
        const std::string wrong = FailBeforeAWaiter(dir.File("pool"), fault, &it_was);
        return (it_was ? "+" : "-") + wrong;
      });
      EXPECT_EQ(run.death, "");
      ASSERT_FALSE(run.output.empty());
      EXPECT_EQ(run.output.substr(1), "");
      met = run.output[0] == '+';
    }
    EXPECT_GT(nth, 2u) << CallName(call);
  }
}

}  // namespace
}  // namespace tuff::test
