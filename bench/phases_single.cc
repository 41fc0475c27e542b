// Phases of one thread's kind of work: what an operation costs that nobody is beside.
#include <fmt/format.h>

#include <algorithm>

#include "phases.h"

namespace tuff::bench {
namespace {

constexpr uint64_t kMany = 100;  // records of one batch

/// Each batch of keys that follow one another.
void OverwriteInBatches(Bench& bench) {
  const uint64_t n = bench.config().records;
  const std::vector<uint64_t>& sorted = bench.Sorted();
  bench.Phase(
      "batch of 100, near", std::max<uint64_t>(1, n / kMany),
      [&](uint64_t i, std::string*) {
        thread_local WriteBatch batch;
        batch.Clear();
        const uint64_t first = Scramble(i ^ 5) % n;
        for (uint64_t j = 0; j < kMany; j++) {
          const Key key(sorted[(first + j) % n]);
          Check(batch.Put(bench.store(), key.view(), bench.Value(j)));
        }
        Check(bench.pool().Write(batch));
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

}  // namespace

void RunLoad(Bench& bench) {
  const uint64_t n = bench.config().records;
  bench.Phase("load", n, [&](uint64_t i, std::string*) { bench.Put(i, 0); });
}

void RunGets(Bench& bench) {
  const uint64_t n = bench.config().records;
  bench.Phase("get", n,
              [&](uint64_t i, std::string* value) { bench.Get(Scramble(i ^ 1) % n, value); });
}

void RunOverwrites(Bench& bench) {
  const uint64_t n = bench.config().records;
  bench.Phase("overwrite", n, [&](uint64_t i, std::string*) { bench.Put(Scramble(i ^ 2) % n, i); });
  OverwriteInBatches(bench);
  OverwriteBesideSnapshot(bench);
  TakeSnapshots(bench);
}

}  // namespace tuff::bench
