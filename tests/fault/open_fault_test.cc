// Making a pool, opening one (after a crash too, read-only too) and closing it, with every call
// failing in turn; and what goes on in the background of an open one.
#include <fmt/format.h>

#include "tests/fault/fault_loop.h"

namespace tuff::test {
namespace {

std::string NameOf(Granularity granularity) {
  return granularity == Granularity::kPage ? "Page" : "CacheLine";
}

std::string Key(int i) { return fmt::format("key{:05}", i); }

Operation CreateAs(CreateOptions options) {
  Operation operation;
  operation.name = "create pool";
  operation.makes_pool = true;
  operation.run = [=](Session& session) -> Status {
    auto made = Pool::Create(session.path, options);
    if (!made.ok()) return made.TakeStatus();
    session.pool = std::move(*made);
    return Status();
  };
  return operation;
}

Operation OpenAs(OpenOptions options) {
  Operation operation;
  operation.name = "open";
  operation.run = [=](Session& session) -> Status {
    auto opened = Pool::Open(session.path, options);
    if (!opened.ok()) return opened.TakeStatus();
    session.pool = std::move(*opened);
    return Status();
  };
  return operation;
}

// By all ways of reading, of which none may throw.
Operation ReadOp(std::string key) {
  Operation operation;
  operation.name = "read " + key;
  operation.run = [=](Session& session) -> Status {
    auto store = session.pool->OpenStore("s");
    if (!store.ok()) return store.TakeStatus();
    auto snapshot = session.pool->GetSnapshot();
    if (!snapshot.ok()) return snapshot.TakeStatus();
    std::string value;
    Status s = (*store)->Get(key, &value, *snapshot);
    if (s.ok()) s = (*store)->GetPinned(key).status();
    if (s.ok()) s = session.pool->ListStores().status();
    session.pool->ReleaseSnapshot(*snapshot);
    return s;
  };
  return operation;
}

// Drops a store, and waits until it is gone.
Operation DropAndWaitOp(const std::string& store) {
  Operation operation = DropStoreOp(store);
  operation.name = "drop and wait";
  operation.run = [drop = operation.run](Session& session) -> Status {
    if (Status s = drop(session); !s.ok()) return s;
    return session.pool->WaitForBackgroundWork();
  };
  return operation;
}

OpenOptions Opening(Granularity granularity, bool read_only = false) {
  OpenOptions options = SmallPool(kPoolSizeMin, granularity).open;
  options.read_only = read_only;
  return options;
}

Operations Puts(int n, size_t value_bytes) {
  Operations operations = {CreatePoolOp(), CreateStoreOp("s")};
  for (int i = 0; i < n; i++) {
    operations.push_back(
        PutOp("s", Key(i), value_bytes == 0 ? "value" : std::string(value_bytes, 'v')));
  }
  return operations;
}

class LifeFaultTest : public testing::TestWithParam<Granularity> {
 protected:
  Scenario Make(const std::string& name) {
    Scenario scenario;
    scenario.name = name + "/" + NameOf(GetParam());
    scenario.granularity = GetParam();
    scenario.begins_open = false;
    return scenario;
  }
};

TEST_P(LifeFaultTest, CreateSparse) {
  Scenario scenario = Make("create sparse");
  CreateOptions options = SmallPool(kPoolSizeMin, GetParam());
  options.mode = 0640;
  scenario.run = {CreateAs(options), CloseOp()};
  RunFaultLoops(scenario);
}

TEST_P(LifeFaultTest, CreateWhole) {
  Scenario scenario = Make("create whole");
  CreateOptions options = SmallPool(kPoolSizeMin, GetParam());
  options.sparse = false;
  scenario.run = {CreateAs(options), CloseOp()};
  scenario.calls = {Call::kFtruncate, Call::kPwrite, Call::kFsync, Call::kMmap, Call::kMadvise};
  scenario.density = 1;  // each run writes 16 MiB of zeros
  RunFaultLoops(scenario);
}

TEST_P(LifeFaultTest, OpenAndClose) {
  Scenario scenario = Make("open and close");
  scenario.prepare = Puts(40, 0);
  scenario.run = {OpenAs(Opening(GetParam())), ReadOp(Key(7)), PutOp("s", "new", "value"),
                  CloseOp()};
  RunFaultLoops(scenario);
}

TEST_P(LifeFaultTest, OpenReadOnly) {
  Scenario scenario = Make("open read-only");
  scenario.prepare = Puts(40, 0);
  scenario.run = {OpenAs(Opening(GetParam(), true)), ReadOp(Key(7)), CloseOp()};
  RunFaultLoops(scenario);
}

// What a crash leaves: a lane whose change is to be undone, one to be redone, a batch to be
// replayed, an emptied lane, a half dismantled tree.
struct Crash {
  const char* name;
  const char* step;
  int times;
  Operations (*prepare)();
};

Operations WithBatch() {
  std::vector<KeyWrite> writes;
  for (int i = 0; i < 90; i += 15) writes.push_back({"s", Key(i), "of a batch"});
  return Puts(90, 100) + Operations{BatchOp(std::move(writes))};
}
Operations WithDrop() {
  std::vector<std::string> keys;
  for (int i = 0; i < 3000; i++) keys.push_back(Key(i));
  return Puts(9, 0) + Operations{CreateStoreOp("t"),
                                 BulkLoadOp("t", std::move(keys), std::string(400, 'v')),
                                 DropAndWaitOp("t")};
}
Operations WithStore() { return Puts(9, 0) + Operations{CreateStoreOp("t")}; }

const Crash kCrashes[] = {
    {"undo a store", "object.4", 1, WithStore},    {"redo a store", "object.8", 1, WithStore},
    {"replay a batch", "batch.6", 1, WithBatch},   {"redone batch", "batch.10", 1, WithBatch},
    {"undo dismantling", "change.6", 2, WithDrop}, {"redo dismantling", "change.10", 2, WithDrop},
};

class RecoveryFaultTest : public testing::TestWithParam<std::tuple<size_t, Granularity, bool>> {};

TEST_P(RecoveryFaultTest, EveryCall) {
  const auto& [number, granularity, read_only] = GetParam();
  const Crash& crash = kCrashes[number];
  Scenario scenario;
  scenario.name =
      fmt::format("{}{}/{}", crash.name, read_only ? ", read-only" : "", NameOf(granularity));
  scenario.granularity = granularity;
  scenario.begins_open = false;
  scenario.prepare = crash.prepare();
  scenario.killed_at = crash.step;
  scenario.killed_at_times = crash.times;
  scenario.density = 1;
  scenario.run = {OpenAs(Opening(granularity, read_only)), ReadOp(Key(3))};
  if (!read_only) scenario.run.push_back(PutOp("s", "new", "value"));
  scenario.run.push_back(CloseOp());
  RunFaultLoops(scenario);
}

INSTANTIATE_TEST_SUITE_P(Granularities, LifeFaultTest,
                         testing::Values(Granularity::kCacheLine, Granularity::kPage),
                         [](const auto& info) { return NameOf(info.param); });
INSTANTIATE_TEST_SUITE_P(
    Crashes, RecoveryFaultTest,
    testing::Combine(testing::Range(size_t{0}, std::size(kCrashes)),
                     testing::Values(Granularity::kCacheLine, Granularity::kPage), testing::Bool()),
    [](const auto& info) {
      std::string name = kCrashes[std::get<0>(info.param)].name;
      for (char& c : name) c = c == ' ' ? '_' : c;
      return name + NameOf(std::get<1>(info.param)) + (std::get<2>(info.param) ? "ReadOnly" : "");
    });

// Guards and threads. Each loop's first run is the first in its process.
TEST(BackgroundFaultTest, ProtectionKeys) {
  Scenario scenario;
  scenario.name = "protection keys";
  scenario.begins_open = false;
  scenario.calls = {Call::kPkeyAlloc, Call::kPkeyMprotect};
  CreateOptions options = SmallPool();
  options.open.guard = Guard::kAuto;
  scenario.run = {CreateAs(options), CreateStoreOp("s"), PutOp("s", "key", "value"), CloseOp()};
  RunFaultLoops(scenario);
}

// Leaves are rewritten in the background, and what they free is deferred.
TEST(BackgroundFaultTest, Consolidation) {
  Scenario scenario;
  scenario.name = "background consolidation";
  scenario.begins_open = false;
  scenario.calls = {Call::kThreadStart, Call::kNew, Call::kOpen, Call::kPread};
  scenario.prepare = Puts(9, 0);
  OpenOptions options = Opening(Granularity::kCacheLine);
  options.background_consolidation = true;
  scenario.run = {OpenAs(options)};
  for (int i = 0; i < 2000; i++) scenario.run.push_back(PutOp("s", Key(i % 10), "again"));
  scenario.run.push_back(CloseOp());
  scenario.density = 1;
  RunFaultLoops(scenario);
}

}  // namespace
}  // namespace tuff::test
