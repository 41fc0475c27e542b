// Phases of one thread's kind of work: what an operation costs that nobody is beside.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "phases.h"

namespace tuff::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kMany = 100;  // records of one call that takes many

uint64_t Calls(const Bench& bench) { return std::max<uint64_t>(1, bench.config().records / kMany); }

void OverwriteInBatches(Bench& bench) {
  const uint64_t n = bench.config().records;
  const auto write = [&bench](const auto& record_number) {
    thread_local WriteBatch batch;
    batch.Clear();
    for (uint64_t j = 0; j < kMany; j++) {
      const uint64_t record = record_number(j);
      Check(batch.Put(bench.store(), Key(record).view(), bench.Value(j)));
    }
    Check(bench.pool().Write(batch));
  };
  bench.Phase(
      "batch of 100", Calls(bench),
      [&](uint64_t i, std::string*) {
        write([&](uint64_t j) { return Scramble((i * kMany + j) ^ 4) % n; });
      },
      kMany);
  bench.CompareWith("overwrite", 3);
  const std::vector<uint64_t>& sorted = bench.Sorted();
  bench.Phase(
      "batch of 100, near", Calls(bench),
      [&](uint64_t i, std::string*) {
        const uint64_t first = Scramble(i ^ 5) % n;
        write([&](uint64_t j) { return sorted[(first + j) % n]; });
      },
      kMany);
  bench.CompareWith("overwrite");
}

void OverwriteBesideSnapshot(Bench& bench) {
  const uint64_t n = bench.config().records;
  const double media = bench.MediaPerLogical();
  const Snapshot* snapshot = Must(bench.pool().GetSnapshot());
  bench.Phase("overwrite, snapshot held", n,
              [&](uint64_t i, std::string*) { bench.Put(Scramble(i ^ 6) % n, i); });
  bench.CompareWith("overwrite");
  const Statistics s = bench.pool().GetStatistics();
  Bench::Note(fmt::format(
      "kept in DRAM: {} versions, {:.1f} MiB; media {:.2f} before, {:.2f} now", s.versions_retained,
      static_cast<double>(s.version_bytes_retained) / (1 << 20), media, bench.MediaPerLogical()));
  bench.pool().ReleaseSnapshot(snapshot);
}

void TakeSnapshots(Bench& bench) {
  bench.Phase("snapshot", 1'000'000, [&](uint64_t, std::string*) {
    bench.pool().ReleaseSnapshot(Must(bench.pool().GetSnapshot()));
  });
  Bench::Note(fmt::format("{:.0f} ns to take and release one (expected: below 200)",
                          1e9 / bench.last().Rate()));
}

void ScanAll(Bench& bench, const std::string& name, bool backward) {
  const Statistics before = bench.pool().GetStatistics();
  const auto start = Clock::now();
  Row row;
  row.phase = name;
  auto it = bench.store().NewIterator();
  for (backward ? it->SeekToLast() : it->SeekToFirst(); it->Valid();
       backward ? it->Prev() : it->Next()) {
    bench.CheckValue(it->value());
    row.operations++;
  }
  Check(it->status());
  if (row.operations != bench.config().records) Die({Code::kCorruption, "scan missed records"});
  row.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  bench.Finish(std::move(row), before);
}

}  // namespace

void RunLoad(Bench& bench) {
  const uint64_t n = bench.config().records;
  bench.set_live(n);
  bench.Phase("load", n, [&](uint64_t i, std::string*) { bench.Put(i, 0); });
}

void RunGets(Bench& bench) {
  const uint64_t n = bench.config().records;
  bench.Phase("get", n,
              [&](uint64_t i, std::string* value) { bench.Get(Scramble(i ^ 1) % n, value); });
  bench.Phase(
      "multiget of 100", Calls(bench),
      [&](uint64_t i, std::string*) {
        thread_local std::vector<std::string> values;
        thread_local std::vector<Status> statuses;
        std::vector<Key> keys;
        std::vector<std::string_view> views;
        keys.reserve(kMany);
        views.reserve(kMany);
        for (uint64_t j = 0; j < kMany; j++) {
          keys.emplace_back(Scramble((i * kMany + j) ^ 1) % n);
          views.push_back(keys.back().view());
        }
        bench.store().MultiGet(views, &values, &statuses);
        for (const Status& status : statuses) Check(status);
        for (const std::string& value : values) bench.CheckValue(value);
      },
      kMany);
  bench.CompareWith("get", 1.5);
}

void RunOverwrites(Bench& bench) {
  const uint64_t n = bench.config().records;
  bench.Phase("overwrite", n, [&](uint64_t i, std::string*) { bench.Put(Scramble(i ^ 2) % n, i); });
  OverwriteInBatches(bench);
  OverwriteBesideSnapshot(bench);
  TakeSnapshots(bench);
}

void RunScans(Bench& bench) {
  ScanAll(bench, "scan", false);
  ScanAll(bench, "scan back", true);
}

void RunGetsAgain(Bench& bench) {
  const uint64_t n = bench.config().records;
  bench.Phase("get again", n,
              [&](uint64_t i, std::string* value) { bench.Get(Scramble(i ^ 3) % n, value); });
}

void RunDeletes(Bench& bench) {
  const uint64_t n = bench.config().records;
  const uint64_t deleted = n - n / 10;
  bench.set_live(std::max<uint64_t>(1, n / 10));
  bench.Phase("delete", deleted,
              [&](uint64_t i, std::string*) { Check(bench.store().Delete(Key(i).view())); });
}

/// Into a store of its own, where the deleted records were.
void RunBulkLoad(Bench& bench) {
  const std::vector<uint64_t>& sorted = bench.Sorted();
  Store* const store = Must(bench.pool().CreateStore("bulk"));
  bench.set_live(bench.config().records + bench.config().records / 10);
  const Statistics before = bench.pool().GetStatistics();
  const auto start = Clock::now();
  {
    const std::unique_ptr<BulkLoader> loader = Must(store->NewBulkLoader());
    for (const uint64_t i : sorted) Check(loader->Add(Key(i).view(), bench.Value(i)));
    Check(loader->Finish());
  }
  Row row;
  row.phase = "bulk load";
  row.operations = sorted.size();
  row.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  bench.Finish(std::move(row), before);
  bench.CompareWith("load", 2);
}

}  // namespace tuff::bench
