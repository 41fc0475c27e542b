// Phases in which two threads meet, whatever --threads says.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "phases.h"

namespace tuff::bench {
namespace {

constexpr uint64_t kScanRecords = 100;

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

uint64_t Sum(const std::vector<uint64_t>& calls) {
  uint64_t sum = 0;
  for (const uint64_t n : calls) sum += n;
  return sum;
}

/// Reads two keys and writes two, `keys` of them at stake. False: a conflict.
bool Transact(Bench& bench, uint64_t keys, uint64_t random) {
  const std::unique_ptr<Transaction> transaction = Must(bench.pool().BeginTransaction());
  std::string value;
  for (uint64_t j = 0; j < 2; j++) {
    const Key key(Scramble(random + j) % keys);
    Check(transaction->Get(bench.store(), key.view(), &value));
  }
  for (uint64_t j = 2; j < 4; j++) {
    const Key key(Scramble(random + j) % keys);
    Check(transaction->Put(bench.store(), key.view(), bench.Value(random)));
  }
  const Status status = transaction->Commit();
  if (status.code() == Code::kConflict) return false;
  Check(status);
  return true;
}

void TransactOn(Bench& bench, uint64_t keys) {
  std::atomic<uint64_t> conflicts{0};
  const auto loop = [&](uint64_t seed) {
    return [&, seed](uint64_t i) {
      if (!Transact(bench, keys, Scramble(seed ^ i))) conflicts++;
    };
  };
  const Statistics before = bench.pool().GetStatistics();
  std::vector<uint64_t> calls;
  Row row;
  row.seconds = bench.Beside({loop(1ull << 40), loop(2ull << 40)}, &calls);
  row.phase = fmt::format("transactions, {} keys", keys);
  row.operations = Sum(calls) - conflicts;
  bench.Finish(std::move(row), before);
  Bench::Note(
      fmt::format("2 threads; {:.2f} % ended in a conflict", 100 * Share(conflicts, Sum(calls))));
}

void PutBeside(Bench& bench, const std::string& name, uint64_t keys, Store& store) {
  const auto loop = [&](uint64_t seed) {
    return [&, seed](uint64_t i) {
      Check(store.Put(Key(Scramble(seed ^ i) % keys).view(), bench.Value(i)));
    };
  };
  const Statistics before = bench.pool().GetStatistics();
  std::vector<uint64_t> calls;
  Row row;
  row.seconds = bench.Beside({loop(1ull << 40), loop(2ull << 40)}, &calls);
  row.phase = name;
  row.operations = Sum(calls);
  bench.Finish(std::move(row), before);
  const Statistics after = bench.pool().GetStatistics();
  Bench::Note(fmt::format("2 threads; {:.2f} syncs per put, {:.2f} appends shared with another's",
                          Share(after.syncs - before.syncs, Sum(calls)),
                          Share(after.group_commits - before.group_commits, Sum(calls))));
}

}  // namespace

void RunScansBesideWriter(Bench& bench) {
  const uint64_t n = bench.config().records;
  const Bench::Loop write = [&](uint64_t i) { bench.Put(Scramble(i ^ 7) % n, i); };
  const Bench::Loop scan = [&](uint64_t i) {
    const auto it = bench.store().NewIterator();
    uint64_t seen = 0;
    for (it->Seek(Key(Scramble(i ^ 8) % n).view()); it->Valid() && seen < kScanRecords;
         it->Next()) {
      bench.CheckValue(it->value());
      seen++;
    }
    Check(it->status());
  };
  std::vector<uint64_t> calls;
  double seconds = bench.Beside({scan}, &calls);
  const double scans_alone = static_cast<double>(calls[0]) / seconds;
  seconds = bench.Beside({write}, &calls);
  const double writes_alone = static_cast<double>(calls[0]) / seconds;
  const Statistics before = bench.pool().GetStatistics();
  Row row;
  row.phase = "scan of 100 under writers";
  row.seconds = seconds = bench.Beside({scan, write}, &calls);
  row.operations = calls[0];
  const double writes = static_cast<double>(calls[1]) / seconds;
  bench.Finish(std::move(row), before);
  Bench::Note(fmt::format("scans/s without a writer: {:.0f}", scans_alone));
  Bench::Note(fmt::format("the writer: {:.0f} ops/s, {:.0f} without scans, {:.2f} x", writes,
                          writes_alone, writes / writes_alone));
}

void RunTransactions(Bench& bench) {
  for (const uint64_t keys : {uint64_t{100}, uint64_t{1'000'000}}) {
    TransactOn(bench, std::min(keys, bench.config().records));
  }
}

void RunSharedSyncs(Bench& bench) {
  if (!bench.syncs()) return;
  Store* const hot = Must(bench.pool().OpenOrCreateStore("hot"));
  PutBeside(bench, "put, one hot leaf", 4, *hot);
  PutBeside(bench, "put, many leaves", bench.config().records, bench.store());
}

}  // namespace tuff::bench
