#include "tests/crash/workload.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

namespace tuff::test {
namespace {

constexpr const char* kStore = "s";

// Numbers below n, each once, in an order that is neither up nor down.
std::vector<int> Shuffled(int n) {
  std::vector<int> order(static_cast<size_t>(n));
  for (int i = 0; i < n; i++) order[static_cast<size_t>(i)] = i;
  Random random(7);
  for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random.Below(i)]);
  return order;
}

std::string SmallKey(int i) { return fmt::format("key{:04}", i); }
// Separators keep the common part, so that inner nodes have few children.
std::string LongKey(int i) { return std::string(100, 'p') + fmt::format("{:04}", i); }

Operations Puts(int n, std::string (*key)(int), size_t value_bytes, bool ascending = false) {
  Operations operations;
  const std::vector<int> order = Shuffled(n);
  for (int i = 0; i < n; i++) {
    const int k = ascending ? i : order[static_cast<size_t>(i)];
    operations.push_back(
        PutOp(kStore, key(k), std::string(value_bytes, static_cast<char>('a' + k % 26))));
  }
  return operations;
}

Operations Deletes(int n, std::string (*key)(int)) {
  Operations operations;
  for (int i = 0; i < n; i++) operations.push_back(DeleteOp(kStore, key(i)));
  return operations;
}

[[noreturn]] void Die(const std::string& why) {
  fmt::print(stderr, "workload: {}\n", why);
  std::abort();
}

// The first of the operations, from number `from` on, at which `counter` grows.
size_t FirstThatGrows(const std::string& path, const Operations& operations, Counter64 counter,
                      size_t from) {
  Session session{path, Granularity::kCacheLine, nullptr};
  if (Status s = session.Create(); !s.ok()) Die(s.ToString());
  for (size_t i = 0; i < operations.size(); i++) {
    const uint64_t before = session.pool->GetStatistics().*counter;
    if (Status s = operations[i].run(session); !s.ok()) {
      Die(operations[i].name + ": " + s.ToString());
    }
    if (i >= from && session.pool->GetStatistics().*counter > before) {
      (void)session.Close();
      unlink(path.c_str());
      return i;
    }
  }
  Die("an operation that should come does not");
}

// Records the operation at which `counter` first grows, and the next.
Workload Until(const std::string& path, const std::string& name, const Operations& operations,
               Counter64 counter, size_t from = 0) {
  const size_t at = FirstThatGrows(path, operations, counter, from);
  const auto split = operations.begin() + static_cast<ptrdiff_t>(at);
  const auto end = at + 1 < operations.size() ? split + 2 : split + 1;
  Workload workload;
  workload.name = name;
  workload.prepare.assign(operations.begin(), split);
  workload.threads = {Operations(split, end)};
  workload.must_grow = counter;
  return workload;
}

Workload Simple(const std::string& name, Operations prepare, Operations record) {
  Workload workload;
  workload.name = name;
  workload.prepare = std::move(prepare);
  workload.threads = {std::move(record)};
  return workload;
}

Operations ManyStores(int n) {
  Operations operations;
  for (int i = 0; i < n; i++) operations.push_back(CreateStoreOp(fmt::format("store{:02}", i)));
  return operations;
}

void AddSimple(std::vector<Workload>* all) {
  const Operations store = {CreateStoreOp(kStore)};
  const Operations some = store + Puts(5, SmallKey, 20);
  all->push_back(Simple("create_pool", {}, {CreatePoolOp()}));
  all->back().with_pool = false;
  all->push_back(Simple("create_first_store", {}, store));
  all->push_back(Simple("create_second_store", some, {CreateStoreOp("second")}));
  all->push_back(Simple("rename_store", some, {RenameStoreOp(kStore, "renamed")}));
  all->push_back(Simple("put_first", store, {PutOp(kStore, "first", "value")}));
  all->push_back(Simple("put", some, {PutOp(kStore, "new", "value"), PutOp(kStore, "new2", "")}));
  all->push_back(Simple("put_long", some, {PutOp(kStore, "long", std::string(300, 'l'))}));
  all->push_back(Simple("overwrite", some, {PutOp(kStore, SmallKey(2), std::string(60, 'o'))}));
  all->push_back(Simple("delete", some, {DeleteOp(kStore, SmallKey(3))}));
  all->push_back(Simple("close", some, {CloseOp()}));
  all->push_back(
      Simple("reopen", some, {CloseOp(), OpenOp(), PutOp(kStore, "after", "reopening")}));
  Workload two = Simple("two_threads_one_leaf", some, {});
  two.threads.clear();
  for (const std::string thread : {"x", "y"}) {
    Operations operations;
    for (int i = 0; i < 3; i++) {
      operations.push_back(PutOp(kStore, thread + SmallKey(i), std::string(40, thread[0])));
    }
    two.threads.push_back(operations + Operations{DeleteOp(kStore, thread + SmallKey(1))});
  }
  all->push_back(std::move(two));
}

void AddStructural(const std::string& path, std::vector<Workload>* all) {
  const Operations store = {CreateStoreOp(kStore)};
  const Operations small = store + Puts(200, SmallKey, 100);
  const auto add = [&](const std::string& name, const Operations& operations, Counter64 counter,
                       size_t from = 0) {
    all->push_back(Until(path, name, operations, counter, from));
  };
  add("consolidate", small, &Statistics::consolidations);
  add("root_growth", small, &Statistics::root_growths);
  add("split", small, &Statistics::splits, 60);
  add("split_ascending", store + Puts(200, SmallKey, 100, true), &Statistics::splits, 60);
  add("catalogue_full", ManyStores(40), &Statistics::consolidations);

  const Operations emptied = store + Puts(100, SmallKey, 100) + Deletes(100, SmallKey);
  add("merge", emptied, &Statistics::merges);
  add("root_shrink", emptied, &Statistics::root_shrinks);

  const Operations tall = store + Puts(900, LongKey, 100);
  add("inner_split", tall, &Statistics::inner_splits);
  add("inner_merge", tall + Deletes(900, LongKey), &Statistics::inner_merges);
  // Merges that go up to a root of two children.
  add("inner_root_shrink", tall + Deletes(900, LongKey), &Statistics::root_shrinks);

  const Operations large = store + Puts(60, SmallKey, 1000);
  add("compound_first", large, &Statistics::compound_nodes);
  add("compound_split", large, &Statistics::splits);
  add("compound_merge", large + Deletes(60, SmallKey), &Statistics::merges);
  add("compound_largest", store + Puts(12, SmallKey, 12000), &Statistics::splits);

  // Two threads in stores of their own, both beyond a consolidation.
  Workload two = Simple("two_threads_restructure", store + Operations{CreateStoreOp("t")}, {});
  two.threads.clear();
  for (const std::string name : {kStore, "t"}) {
    Operations operations;
    for (int i = 0; i < 12; i++) two.prepare.push_back(PutOp(name, SmallKey(i), "old"));
    for (int i = 0; i < 4; i++) operations.push_back(PutOp(name, SmallKey(i), "new"));
    two.threads.push_back(std::move(operations));
  }
  two.must_grow = &Statistics::consolidations;
  all->push_back(std::move(two));
}

}  // namespace

Operations operator+(Operations a, const Operations& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Status Session::Create() {
  auto made = Pool::Create(path, SmallPool(kPoolSizeMin, granularity));
  if (!made.ok()) return made.TakeStatus();
  pool = std::move(*made);
  return Status();
}

Status Session::Open() {
  OpenOptions options;
  options.force_granularity = granularity;
  options.guard = Guard::kNone;
  auto opened = Pool::Open(path, options);
  if (!opened.ok()) return opened.TakeStatus();
  pool = std::move(*opened);
  return Status();
}

Status Session::Close() {
  Status s = pool->Close();
  pool.reset();
  return s;
}

Operation PutOp(std::string store, std::string key, std::string value) {
  Operation operation;
  operation.name = fmt::format("put {}/{}", store, key);
  operation.run = [=](Session& session) -> Status {
    auto opened = session.pool->OpenStore(store);
    if (!opened.ok()) return opened.TakeStatus();
    return (*opened)->Put(key, value);
  };
  operation.effect = [=](Contents* contents) { (*contents)[store + "/" + key] = value; };
  return operation;
}

Operation DeleteOp(std::string store, std::string key) {
  Operation operation;
  operation.name = fmt::format("delete {}/{}", store, key);
  operation.run = [=](Session& session) -> Status {
    auto opened = session.pool->OpenStore(store);
    if (!opened.ok()) return opened.TakeStatus();
    return (*opened)->Delete(key);
  };
  operation.effect = [=](Contents* contents) { contents->erase(store + "/" + key); };
  return operation;
}

Operation CreateStoreOp(std::string store) {
  Operation operation;
  operation.name = "create store " + store;
  operation.run = [=](Session& session) { return session.pool->CreateStore(store).status(); };
  operation.effect = [=](Contents* contents) { (*contents)[store] = ""; };
  return operation;
}

Operation RenameStoreOp(std::string from, std::string to) {
  Operation operation;
  operation.name = fmt::format("rename store {} to {}", from, to);
  operation.run = [=](Session& session) { return session.pool->RenameStore(from, to); };
  operation.effect = [=](Contents* contents) {
    Contents renamed;
    for (const auto& [key, value] : *contents) {
      const bool moves = key == from || key.starts_with(from + "/");
      renamed[moves ? to + key.substr(from.size()) : key] = value;
    }
    *contents = std::move(renamed);
  };
  return operation;
}

Operation CreatePoolOp() {
  Operation operation;
  operation.name = "create pool";
  operation.run = [](Session& session) { return session.Create(); };
  operation.makes_pool = true;
  return operation;
}

Operation OpenOp() {
  Operation operation;
  operation.name = "open";
  operation.run = [](Session& session) { return session.Open(); };
  return operation;
}

Operation CloseOp() {
  Operation operation;
  operation.name = "close";
  operation.run = [](Session& session) { return session.Close(); };
  return operation;
}

std::vector<Workload> AllWorkloads(const std::string& path) {
  std::vector<Workload> all;
  AddSimple(&all);
  AddStructural(path, &all);
  return all;
}

}  // namespace tuff::test
