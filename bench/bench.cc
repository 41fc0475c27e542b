#include "bench.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <thread>
#include <utility>

#include "histogram.h"

namespace tuff::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kSampleEvery = 4;  // calls to one latency sample
constexpr int kNameColumns = 26;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

uint64_t Number(Pool& pool, std::string_view property) {
  return std::stoull(Must(pool.GetProperty(property)));
}

OpenOptions OptionsFor(const Config& config) {
  OpenOptions open;
  if (config.granularity == "cache-line") open.force_granularity = Granularity::kCacheLine;
  if (config.granularity == "page") open.force_granularity = Granularity::kPage;
  if (config.granularity == "byte") open.force_granularity = Granularity::kByte;
  open.guard = config.guard == "none"       ? Guard::kNone
               : config.guard == "mprotect" ? Guard::kMprotect
               : config.guard == "pkey"     ? Guard::kPkey
                                            : Guard::kAuto;
  return open;
}

}  // namespace

void Die(const Status& status) {
  fmt::print(stderr, "kv_bench: {}\n", status.ToString());
  std::exit(1);
}

void Check(const Status& status) {
  if (!status.ok()) Die(status);
}

Bench::Bench(const Config& config)
    : config_(config),
      path_(fmt::format("{}/kv_bench.{}.pool", config.directory, getpid())),
      open_(OptionsFor(config)) {}

Bench::~Bench() { unlink(path_.c_str()); }

uint64_t Bench::PoolBytes() const {
  const uint64_t logical = config_.records * (kKeyBytes + config_.value_bytes + 48);
  return std::max<uint64_t>(64ull << 20, logical * 3);
}

void Bench::Open() {
  CreateOptions create;
  create.size_bytes = PoolBytes();
  create.open = open_;
  pool_ = Must(Pool::Create(path_, create));
  frames_unused_ = Number(*pool_, "tuff.free-frames");
  store_ = Must(pool_->CreateStore("bench"));
  const PoolInfo info = pool_->GetInfo();
  fmt::print("{} records of ({} B, {} B), {} thread(s), granularity {}{}, guard {}, memmap {}\n",
             config_.records, kKeyBytes, config_.value_bytes, config_.threads,
             GranularityName(info.granularity),
             info.granularity < info.medium_granularity ? " (forced)" : "", GuardName(info.guard),
             info.memmap == MemmapPlace::kPool ? "pool" : "dram");
  fmt::print("{:<{}} {:>9} {:>8} {:>8} {:>8} {:>7} {:>8} {:>8} {:>7}\n", "phase", kNameColumns,
             "ops/s", "p50 us", "p99 us", "p99.9 us", "fences", "flushes", "B/op", "media");
}

void Bench::Close() {
  Check(pool_->Close());
  pool_.reset();
}

std::string_view Bench::Value(uint64_t salt) const {
  thread_local std::string value;
  value.resize(config_.value_bytes, 'v');
  if (value.size() >= sizeof salt) std::memcpy(value.data(), &salt, sizeof salt);
  return value;
}

void Bench::Get(uint64_t i, std::string* value) {
  Check(store_->Get(Key(i).view(), value));
  CheckValue(*value);
}

void Bench::CheckValue(std::string_view value) const {
  if (value.size() != config_.value_bytes) Die({Code::kCorruption, "wrong value"});
}

const std::vector<uint64_t>& Bench::Sorted() {
  if (sorted_.empty()) {
    sorted_.resize(config_.records);
    std::iota(sorted_.begin(), sorted_.end(), uint64_t{0});
    std::sort(sorted_.begin(), sorted_.end(),
              [](uint64_t a, uint64_t b) { return Key(a).view() < Key(b).view(); });
  }
  return sorted_;
}

void Bench::Phase(const std::string& name, uint64_t calls, const Operation& operation,
                  uint64_t records_per_call) {
  const Statistics before = pool_->GetStatistics();
  std::vector<Histogram> samples(config_.threads);
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < config_.threads; t++) {
    threads.emplace_back([&, t] {
      std::string scratch;
      for (uint64_t i = t; i < calls; i += config_.threads) {
        if ((i / config_.threads) % kSampleEvery != 0) {
          operation(i, &scratch);
          continue;
        }
        const auto from = Clock::now();
        operation(i, &scratch);
        samples[t].Add(static_cast<uint64_t>((Clock::now() - from).count()));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Row row;
  row.phase = name;
  row.operations = calls * records_per_call;
  row.seconds = SecondsSince(start);
  Histogram all;
  for (const Histogram& one : samples) all.Merge(one);
  row.p50_us = all.PercentileUs(0.50);
  row.p99_us = all.PercentileUs(0.99);
  row.p999_us = all.PercentileUs(0.999);
  Finish(std::move(row), before);
}

double Bench::Beside(const std::vector<Loop>& loops, std::vector<uint64_t>* calls) const {
  std::atomic<bool> stop{false};
  calls->assign(loops.size(), 0);
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (size_t t = 0; t < loops.size(); t++) {
    threads.emplace_back([&, t] {
      uint64_t i = 0;
      while (!stop.load(std::memory_order_relaxed)) loops[t](i++);
      (*calls)[t] = i;
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(config_.seconds));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  return SecondsSince(start);
}

double Bench::MediaPerLogical() const {
  const uint64_t free_now = Number(*pool_, "tuff.free-frames");
  const uint64_t frames = frames_unused_ - std::min(frames_unused_, free_now);
  return static_cast<double>(frames) * 4096 /
         static_cast<double>(config_.records * (kKeyBytes + config_.value_bytes));
}

void Bench::Finish(Row row, const Statistics& before) {
  const Statistics after = pool_->GetStatistics();
  const auto n = static_cast<double>(row.operations);
  row.fences = static_cast<double>(after.fences - before.fences) / n;
  row.flushes = static_cast<double>(after.flushes - before.flushes) / n;
  row.flushed_bytes = static_cast<double>(after.flushed_bytes - before.flushed_bytes) / n;
  row.media_per_logical = MediaPerLogical();
  fmt::print("{:<{}} {:>9.0f} {:>8.2f} {:>8.2f} {:>8.2f} {:>7.2f} {:>8.2f} {:>8.0f} {:>7.2f}\n",
             row.phase, kNameColumns, row.Rate(), row.p50_us, row.p99_us, row.p999_us, row.fences,
             row.flushes, row.flushed_bytes, row.media_per_logical);
  std::fflush(stdout);
  rows_.push_back(std::move(row));
}

void Bench::CompareWith(std::string_view earlier) const {
  const auto found = std::find_if(rows_.begin(), rows_.end(),
                                  [earlier](const Row& row) { return row.phase == earlier; });
  if (found == rows_.end()) return;
  Note(fmt::format("{:.2f} x {}", last().Rate() / found->Rate(), earlier));
}

void Bench::Note(std::string_view text) {
  fmt::print("{:<{}}   {}\n", "", kNameColumns, text);
  std::fflush(stdout);
}

void Bench::WriteJson() const {
  FILE* file = std::fopen(config_.json.c_str(), "w");
  if (file == nullptr) Die({Code::kIo, config_.json + ": cannot write"});
  fmt::print(file, "[");
  for (size_t i = 0; i < rows_.size(); i++) {
    const Row& r = rows_[i];
    fmt::print(
        file,
        "{}\n  {{\"engine\": \"tuff\", \"workload\": \"{}\", \"value_bytes\": {}, "
        "\"threads\": {}, \"granularity\": \"{}\", \"ops_per_s\": {:.0f}, \"p50_us\": {:.3f}, "
        "\"p99_us\": {:.3f}, \"p999_us\": {:.3f}, \"fences_per_op\": {:.4f}, "
        "\"flushes_per_op\": {:.4f}, \"flushed_bytes_per_op\": {:.1f}, "
        "\"media_per_logical\": {:.3f}}}",
        i == 0 ? "" : ",", r.phase, config_.value_bytes, config_.threads, config_.granularity,
        r.Rate(), r.p50_us, r.p99_us, r.p999_us, r.fences, r.flushes, r.flushed_bytes,
        r.media_per_logical);
  }
  fmt::print(file, "\n]\n");
  if (std::fclose(file) != 0) Die({Code::kIo, config_.json + ": cannot write"});
}

}  // namespace tuff::bench
