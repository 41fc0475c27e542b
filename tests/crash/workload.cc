#include "tests/crash/workload.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/crash/maker.h"

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
std::string LongerKey(int i) { return std::string(400, 'p') + fmt::format("{:04}", i); }

// Separators are long, and have nothing in common.
std::string SpreadKey(int i) {
  return fmt::format("{:02}", i / 100) + std::string(300, 'p') + fmt::format("{:02}", i % 100);
}

std::vector<std::string> Keys(int n, std::string (*key)(int)) {
  std::vector<std::string> keys;
  for (int i = 0; i < n; i++) keys.push_back(key(i));
  return keys;
}

// Of every so manieth key; without bytes deletes.
std::vector<KeyWrite> Writes(int first, int last, int step, std::optional<size_t> value_bytes) {
  std::vector<KeyWrite> writes;
  for (int i = first; i < last; i += step) {
    writes.push_back({kStore, SmallKey(i), std::nullopt});
    if (value_bytes)
      writes.back().value = std::string(*value_bytes, static_cast<char>('A' + i % 26));
  }
  return writes;
}

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
size_t FirstThatGrows(const DryRun& dry_run, const Operations& operations, Counter64 counter,
                      size_t from) {
  Session session{dry_run.path, dry_run.granularity, nullptr};
  if (Status s = session.Create(); !s.ok()) Die(s.ToString());
  for (size_t i = 0; i < operations.size(); i++) {
    const uint64_t before = session.pool->GetStatistics().*counter;
    if (Status s = operations[i].run(session); !s.ok()) {
      Die(operations[i].name + ": " + s.ToString());
    }
    if (i >= from && session.pool->GetStatistics().*counter > before) {
      (void)session.Close();
      unlink(dry_run.path.c_str());
      return i;
    }
  }
  Die("an operation that should come does not");
}

// Records the operation at which `counter` first grows, and the next.
Workload Until(const DryRun& dry_run, const Operations& operations, Counter64 counter,
               size_t from = 0) {
  const size_t at = FirstThatGrows(dry_run, operations, counter, from);
  const auto split = operations.begin() + static_cast<ptrdiff_t>(at);
  const auto end = at + 1 < operations.size() ? split + 2 : split + 1;
  Workload workload;
  workload.prepare.assign(operations.begin(), split);
  workload.threads = {Operations(split, end)};
  workload.must_grow = counter;
  return workload;
}

Workload Simple(Operations prepare, Operations record) {
  Workload workload;
  workload.prepare = std::move(prepare);
  workload.threads = {std::move(record)};
  return workload;
}

Operations ManyStores(int n) {
  Operations operations;
  for (int i = 0; i < n; i++) operations.push_back(CreateStoreOp(fmt::format("store{:02}", i)));
  return operations;
}

Operations OneStore() { return {CreateStoreOp(kStore)}; }
Operations Some() { return OneStore() + Puts(5, SmallKey, 20); }
Operations Small() { return OneStore() + Puts(200, SmallKey, 100); }
Operations Emptied() { return OneStore() + Puts(100, SmallKey, 100) + Deletes(100, SmallKey); }
// Under PAGE leaves hold four times as many records.
int TallRecords(const DryRun& dry_run) {
  return dry_run.granularity == Granularity::kPage ? 1800 : 900;
}
Operations Tall(const DryRun& dry_run) {
  return OneStore() + Puts(TallRecords(dry_run), LongKey, 100);
}
Operations TallEmptied(const DryRun& dry_run) {
  return Tall(dry_run) + Deletes(TallRecords(dry_run), LongKey);
}
Operations Large() { return OneStore() + Puts(100, SmallKey, 1000); }

Operations Batches(std::vector<KeyWrite> writes) { return {BatchOp(std::move(writes))}; }

// A second store.
Operations Other() {
  return {CreateStoreOp("t"), PutOp("t", "kept", "as it is"), PutOp("t", "key", "old")};
}

Workload Growing(Counter64 counter, Operations prepare, Operations record) {
  Workload workload;
  workload.prepare = std::move(prepare);
  workload.threads = {std::move(record)};
  workload.must_grow = counter;
  return workload;
}

Workload CompareAndSwap() {
  return Simple(Some(), {CompareAndSwapOp(kStore, SmallKey(1), std::string(20, 'b'), "swapped"),
                         CompareAndSwapOp(kStore, "new", std::nullopt, "made"),
                         CompareAndSwapOp(kStore, SmallKey(2), std::string(20, 'c'), {})});
}

const std::vector<KeyWrite> kInTwoStores = {{kStore, SmallKey(1), std::nullopt},
                                            {kStore, "new", "in s"},
                                            {"t", "key", "new"},
                                            {"t", "new", "in t"}};

// Stores whose only leaves have room for much.
Operations NewStores(int n) {
  Operations operations;
  for (int i = 0; i < n; i++) {
    operations.push_back(CreateStoreOp(fmt::format("store{}", i)));
    operations.push_back(PutOp(fmt::format("store{}", i), "key", "old"));
  }
  return operations;
}

// A batch with a list of stores that is longer than a lane.
Operations LongBatch(int stores) {
  std::vector<KeyWrite> writes;
  for (int i = 0; i < stores; i++) {
    const std::string store = fmt::format("store{}", i);
    writes.push_back({store, "key", std::nullopt});
    for (int k = 0; k < 4; k++) {
      writes.push_back({store, SmallKey(k), std::string(600, static_cast<char>('a' + k))});
    }
  }
  return Batches(std::move(writes));
}

// In chunks, one after the other.
Workload BatchInChunks(int stores, Operations before, size_t chunks) {
  Workload workload = Simple(NewStores(stores) + before, LongBatch(stores));
  workload.must_meet = "batch.1";
  workload.must_meet_times = chunks;
  return workload;
}

// Small leaves; beside them a store that stays.
Operations Leaves(int n, std::string (*key)(int), size_t value_bytes) {
  return Other() + OneStore() +
         Operations{BulkLoadOp(kStore, Keys(n, key), std::string(value_bytes, 'v'))};
}

Workload InSteps(Workload workload, size_t steps) {
  workload.must_meet = "change.5";
  workload.must_meet_times = steps;
  return workload;
}

// Under PAGE leaves hold four times as many records, and more of some sizes.
int ForLeaves(const DryRun& dry_run, int n) {
  return dry_run.granularity == Granularity::kPage ? 6 * n : n;
}

Workload Drop(Operations prepare, size_t steps) {
  return InSteps(
      Growing(&Statistics::nodes_dismantled, std::move(prepare), {DropStoreOp(kStore), WaitOp()}),
      steps);
}

// The empty tree that was there is dismantled.
Workload BulkLoad(int n, std::string (*key)(int), size_t value_bytes, size_t parents) {
  return InSteps(
      Growing(&Statistics::bulk_records, Some() + Deletes(5, SmallKey),
              {BulkLoadOp(kStore, Keys(n, key), std::string(value_bytes, 'v')), WaitOp()}),
      parents + 1);
}

Workload GiveUpBulkLoad(int n) {
  return Growing(&Statistics::nodes_dismantled, Other() + OneStore(),
                 {GiveUpBulkLoadOp(kStore, Keys(n, LongerKey), ""), WaitOp()});
}

// On the same leaves: a batch over three of them, and puts.
Workload BatchBesidePuts() {
  Workload workload;
  workload.prepare = Small();
  workload.threads = {Batches(Writes(0, 200, 70, 50)), {}};
  for (int i = 1; i < 200; i += 70) {
    workload.threads[1].push_back(PutOp(kStore, SmallKey(i), "by itself"));
  }
  return workload;
}

Workload TwoBatches() {
  Workload workload;
  workload.prepare = Small();
  for (int thread = 0; thread < 2; thread++) {
    workload.threads.push_back(Batches(Writes(thread, 200, 70, 50)) +
                               Batches(Writes(thread + 2, 160, 50, 200)));
  }
  return workload;
}

Workload TwoThreadsOneLeaf() {
  Workload workload;
  workload.prepare = Some();
  for (const char thread : {'x', 'y'}) {
    Operations operations;
    for (int i = 0; i < 3; i++) {
      operations.push_back(PutOp(kStore, thread + SmallKey(i), std::string(40, thread)));
    }
    operations.push_back(DeleteOp(kStore, thread + SmallKey(1)));
    workload.threads.push_back(std::move(operations));
  }
  return workload;
}

// In stores of their own, both about to restructure a leaf.
Workload TwoThreadsRestructure() {
  Workload workload;
  workload.prepare = {CreateStoreOp(kStore), CreateStoreOp("t")};
  for (const std::string store : {kStore, "t"}) {
    Operations operations;
    for (int i = 0; i < 12; i++) workload.prepare.push_back(PutOp(store, SmallKey(i), "old"));
    for (int i = 0; i < 4; i++) operations.push_back(PutOp(store, SmallKey(i), "new"));
    workload.threads.push_back(std::move(operations));
  }
  workload.must_grow = &Statistics::consolidations;
  return workload;
}

// With nothing in it that would not be there without.
Workload ConsolidateAhead() {
  const std::string value(100, 'f');
  return Growing(&Statistics::consolidated_ahead,
                 Small() + Operations{FillLeafOp(kStore, SmallKey(100), value)},
                 {ConsolidateAheadOp(kStore, SmallKey(100), value.size())});
}

Workload CreatePool() {
  Workload workload = Simple({}, {CreatePoolOp()});
  workload.with_pool = false;
  return workload;
}

struct Maker {
  const char* name;
  Workload (*make)(const DryRun& dry_run);
};

using S = Statistics;
using P = const DryRun&;

const Maker kMakers[] = {
    {"create_pool", [](P) { return CreatePool(); }},
    {"create_first_store", [](P) { return Simple({}, OneStore()); }},
    {"create_second_store", [](P) { return Simple(Some(), {CreateStoreOp("second")}); }},
    {"rename_store", [](P) { return Simple(Some(), {RenameStoreOp(kStore, "renamed")}); }},
    {"put_first", [](P) { return Simple(OneStore(), {PutOp(kStore, "first", "value")}); }},
    {"put",
     [](P) {
       return Simple(Some(), {PutOp(kStore, "new", "value"), PutOp(kStore, "new2", "")});
     }},
    {"put_long", [](P) { return Simple(Some(), {PutOp(kStore, "long", std::string(300, 'l'))}); }},
    {"overwrite",
     [](P) { return Simple(Some(), {PutOp(kStore, SmallKey(2), std::string(60, 'o'))}); }},
    {"delete", [](P) { return Simple(Some(), {DeleteOp(kStore, SmallKey(3))}); }},
    {"close", [](P) { return Simple(Some(), {CloseOp()}); }},
    {"reopen",
     [](P) {
       return Simple(Some(), {CloseOp(), OpenOp(), PutOp(kStore, "after", "reopening")});
     }},
    {"two_threads_one_leaf", [](P) { return TwoThreadsOneLeaf(); }},
    {"two_threads_restructure", [](P) { return TwoThreadsRestructure(); }},
    {"consolidate", [](P path) { return Until(path, Small(), &S::consolidations); }},
    {"root_growth", [](P path) { return Until(path, Small(), &S::root_growths); }},
    {"split", [](P path) { return Until(path, Small(), &S::splits, 60); }},
    {"split_ascending",
     [](P path) {
       return Until(path, OneStore() + Puts(200, SmallKey, 100, true), &S::splits, 60);
     }},
    {"catalogue_full", [](P path) { return Until(path, ManyStores(40), &S::consolidations); }},
    {"merge", [](P path) { return Until(path, Emptied(), &S::merges); }},
    {"root_shrink", [](P path) { return Until(path, Emptied(), &S::root_shrinks); }},
    {"inner_split", [](P path) { return Until(path, Tall(path), &S::inner_splits); }},
    {"inner_merge", [](P path) { return Until(path, TallEmptied(path), &S::inner_merges); }},
    // The inner root has two children, which become one.
    {"inner_root_shrink", [](P path) { return Until(path, TallEmptied(path), &S::root_shrinks); }},
    {"compound_first", [](P path) { return Until(path, Large(), &S::compound_nodes); }},
    {"compound_split", [](P path) { return Until(path, Large(), &S::splits); }},
    {"compound_merge",
     [](P path) { return Until(path, Large() + Deletes(100, SmallKey), &S::merges); }},
    {"compound_largest",
     [](P path) { return Until(path, OneStore() + Puts(12, SmallKey, 12000), &S::splits); }},
    {"compare_and_swap", [](P) { return CompareAndSwap(); }},
    {"batch_one_leaf", [](P) { return Simple(Some(), Batches(Writes(2, 8, 1, 30))); }},
    {"batch_stores", [](P) { return Simple(Some() + Other(), Batches(kInTwoStores)); }},
    {"batch_leaves", [](P) { return Simple(Small(), Batches(Writes(0, 200, 45, 10))); }},
    {"batch_makes_room",
     [](P dry_run) {
       const bool page = dry_run.granularity == Granularity::kPage;  // larger logs
       return Growing(page ? &S::consolidations : &S::splits, Small(),
                      Batches(Writes(20, 60, 1, 110)));
     }},
    {"batch_chunk", [](P) { return BatchInChunks(2, {}, 1); }},
    {"batch_chunks", [](P) { return BatchInChunks(5, {FragmentOp()}, 3); }},
    {"batch_deletes",
     [](P) { return Growing(&S::merges, Small(), Batches(Writes(30, 110, 1, std::nullopt))); }},
    {"transaction",
     [](P) {
       return Simple(Some() + Other(), {TransactionOp(kStore, SmallKey(2), kInTwoStores)});
     }},
    {"delete_range",
     [](P) { return Simple(Small(), {DeleteRangeOp(kStore, SmallKey(50), SmallKey(120))}); }},
    {"consolidate_ahead", [](P) { return ConsolidateAhead(); }},
    {"batch_beside_puts", [](P) { return BatchBesidePuts(); }},
    {"two_batches", [](P) { return TwoBatches(); }},
    {"drop_store", [](P) { return Drop(Other() + Some(), 1); }},
    {"drop_reopen",
     [](P) {
       return Simple(Other() + Small(), {DropStoreOp(kStore), CloseOp(), OpenOp(), WaitOp()});
     }},
    {"drop_tall", [](P dry_run) { return Drop(Leaves(ForLeaves(dry_run, 500), LongerKey, 0), 4); }},
    // More leaves under one node than are freed in one step.
    {"drop_large", [](P) { return Drop(Leaves(2500, SmallKey, 160), 3); }},
    {"bulk_one_leaf", [](P) { return BulkLoad(10, SmallKey, 20, 1); }},
    {"bulk_one_parent", [](P) { return BulkLoad(100, SmallKey, 100, 1); }},
    {"bulk_two_parents",
     [](P dry_run) { return BulkLoad(ForLeaves(dry_run, 500), LongerKey, 0, 2); }},
    {"bulk_parents", [](P) { return BulkLoad(2600, SpreadKey, 0, 3); }},
    {"bulk_given_up", [](P dry_run) { return GiveUpBulkLoad(ForLeaves(dry_run, 500)); }},
};

}  // namespace

std::vector<std::string> WorkloadNames() {
  std::vector<std::string> names;
  for (const Maker& maker : kMakers) names.emplace_back(maker.name);
  return names;
}

Workload MakeWorkload(const std::string& name, const DryRun& dry_run) {
  if (auto made = MakeByName(name)) return std::move(*made);
  for (const Maker& maker : kMakers) {
    if (name != maker.name) continue;
    Workload workload = maker.make(dry_run);
    workload.name = name;
    return workload;
  }
  Die("no workload " + name);
}

}  // namespace tuff::test
