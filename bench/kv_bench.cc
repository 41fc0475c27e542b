// kv_bench: what durable operations on one store cost, by phases over the same pool.
//
//   build/release/bench/kv_bench                      2 M records of (16 B, 100 B) on /dev/shm
//   build/release/bench/kv_bench --threads 2 --records 500000 --dir /mnt/pmem --granularity medium
//
// Phases: load in random order, get, overwrite, scan both ways, close, reopen (to the first get),
// get again, delete nine of ten. Every put is durable on return; every get verifies a checksum.
// What the columns mean: bench/README.md.

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tuff/tuff.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Config {
  uint64_t records = 2'000'000;
  size_t value_bytes = 100;
  unsigned threads = 1;
  std::string directory = "/dev/shm";
  std::string granularity = "cache-line";
  std::string guard = "auto";
  std::string json;
};

constexpr size_t kKeyBytes = 16;
constexpr unsigned kSampleEvery = 4;  // operations to one latency sample

uint64_t Scramble(uint64_t x) {  // SplitMix64 (Steele, Lea, Flood 2014)
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// The i-th key: 16 random-looking bytes, so that loading 0, 1, 2 … is loading in random order.
struct Key {
  char bytes[kKeyBytes];
  explicit Key(uint64_t i) {
    const uint64_t words[2] = {Scramble(i), Scramble(~i)};
    std::memcpy(bytes, words, sizeof bytes);
  }
  std::string_view view() const { return {bytes, sizeof bytes}; }
};

struct Row {
  std::string phase;
  uint64_t operations = 0;
  double seconds = 0;
  double p50_us = 0, p99_us = 0, p999_us = 0;
  double fences = 0, flushes = 0, flushed_bytes = 0;  // per operation
  double media_per_logical = 0;
};

[[noreturn]] void Die(const tuff::Status& status) {
  fmt::print(stderr, "kv_bench: {}\n", status.ToString());
  std::exit(1);
}
void Check(const tuff::Status& status) {
  if (!status.ok()) Die(status);
}

double Percentile(std::vector<uint32_t>& samples_ns, double p) {
  if (samples_ns.empty()) return 0;
  const auto at =
      samples_ns.begin() + static_cast<ptrdiff_t>(p * static_cast<double>(samples_ns.size() - 1));
  std::nth_element(samples_ns.begin(), at, samples_ns.end());
  return *at / 1000.0;
}

class Bench {
 public:
  explicit Bench(const Config& config)
      : config_(config), path_(fmt::format("{}/kv_bench.{}.pool", config.directory, getpid())) {
    if (config.granularity == "cache-line") open_.force_granularity = tuff::Granularity::kCacheLine;
    if (config.granularity == "page") open_.force_granularity = tuff::Granularity::kPage;
    if (config.granularity == "byte") open_.force_granularity = tuff::Granularity::kByte;
    open_.guard = config.guard == "none"       ? tuff::Guard::kNone
                  : config.guard == "mprotect" ? tuff::Guard::kMprotect
                  : config.guard == "pkey"     ? tuff::Guard::kPkey
                                               : tuff::Guard::kAuto;
  }
  ~Bench() { unlink(path_.c_str()); }

  void Run() {
    tuff::CreateOptions create;
    create.size_bytes = PoolBytes();
    create.open = open_;
    auto pool = tuff::Pool::Create(path_, create);
    if (!pool.ok()) Die(pool.status());
    pool_ = std::move(*pool);
    auto store = pool_->CreateStore("bench");
    if (!store.ok()) Die(store.status());
    store_ = *store;
    const tuff::PoolInfo info = pool_->GetInfo();
    fmt::print("{} records of ({} B, {} B), {} thread(s), granularity {}{}, guard {}, memmap {}\n",
               config_.records, kKeyBytes, config_.value_bytes, config_.threads,
               tuff::GranularityName(info.granularity),
               info.granularity < info.medium_granularity ? " (forced)" : "",
               tuff::GuardName(info.guard),
               info.memmap == tuff::MemmapPlace::kPool ? "pool" : "dram");
    PrintHead();

    const uint64_t n = config_.records;
    Phase("load", n, [&](uint64_t i, std::string*) { Put(i, 0); });
    live_ = n;
    Phase("get", n, [&](uint64_t i, std::string* value) { Get(Scramble(i ^ 1) % n, value); });
    Phase("overwrite", n, [&](uint64_t i, std::string*) { Put(Scramble(i ^ 2) % n, i); });
    Scan("scan", false);
    Scan("scan back", true);
    Reopen();
    Phase("get again", n, [&](uint64_t i, std::string* value) { Get(Scramble(i ^ 3) % n, value); });
    Phase("delete", n - n / 10,
          [&](uint64_t i, std::string*) { Check(store_->Delete(Key(i).view())); });
    live_ = n / 10;
    rows_.back().media_per_logical = MediaPerLogical();
    if (!config_.json.empty()) WriteJson();
    Check(pool_->Close());
  }

 private:
  uint64_t PoolBytes() const {
    const uint64_t logical = config_.records * (kKeyBytes + config_.value_bytes + 48);
    return std::max<uint64_t>(64ull << 20, logical * 3);
  }

  void Put(uint64_t i, uint64_t salt) {
    thread_local std::string value(config_.value_bytes, 'v');
    if (value.size() >= 8) std::memcpy(value.data(), &salt, 8);
    Check(store_->Put(Key(i).view(), value));
  }
  void Get(uint64_t i, std::string* value) {
    Check(store_->Get(Key(i).view(), value));
    if (value->size() != config_.value_bytes) Die({tuff::Code::kCorruption, "wrong value"});
  }

  // Runs operation 0 .. n-1, dealt over the threads, and prints the row.
  void Phase(const std::string& name, uint64_t n,
             const std::function<void(uint64_t, std::string*)>& operation) {
    const tuff::Statistics before = pool_->GetStatistics();
    std::vector<std::vector<uint32_t>> samples(config_.threads);
    const auto start = Clock::now();
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < config_.threads; t++) {
      threads.emplace_back([&, t] {
        std::string value;
        samples[t].reserve(n / config_.threads / kSampleEvery + 1);
        for (uint64_t i = t; i < n; i += config_.threads) {
          if ((i / config_.threads) % kSampleEvery != 0) {
            operation(i, &value);
            continue;
          }
          const auto from = Clock::now();
          operation(i, &value);
          samples[t].push_back(static_cast<uint32_t>((Clock::now() - from).count()));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    Row row;
    row.phase = name;
    row.operations = n;
    row.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    std::vector<uint32_t> all;
    for (const auto& one : samples) all.insert(all.end(), one.begin(), one.end());
    row.p50_us = Percentile(all, 0.50);
    row.p99_us = Percentile(all, 0.99);
    row.p999_us = Percentile(all, 0.999);
    Finish(std::move(row), before);
  }

  void Scan(const std::string& name, bool backward) {
    const tuff::Statistics before = pool_->GetStatistics();
    const auto start = Clock::now();
    uint64_t seen = 0;
    auto it = store_->NewIterator();
    for (backward ? it->SeekToLast() : it->SeekToFirst(); it->Valid();
         backward ? it->Prev() : it->Next()) {
      seen += it->value().size() == config_.value_bytes ? 1 : 0;
    }
    Check(it->status());
    if (seen != config_.records) Die({tuff::Code::kCorruption, "scan missed records"});
    Row row;
    row.phase = name;
    row.operations = seen;
    row.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    Finish(std::move(row), before);
  }

  void Reopen() {
    media_frames_ += FramesInUse(pool_->GetStatistics());
    auto start = Clock::now();
    Check(pool_->Close());
    const double close_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    pool_.reset();
    start = Clock::now();
    auto pool = tuff::Pool::Open(path_, open_);
    if (!pool.ok()) Die(pool.status());
    pool_ = std::move(*pool);
    auto store = pool_->OpenStore("bench");
    if (!store.ok()) Die(store.status());
    store_ = *store;
    std::string value;
    Get(0, &value);
    const double open_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    fmt::print("{:<10} close {:.2f} ms, reopen to first get {:.2f} ms\n", "reopen", close_ms,
               open_ms);
    Row row;
    row.phase = "reopen";
    row.operations = 1;
    row.seconds = open_ms / 1000;
    rows_.push_back(row);
  }

  static int64_t FramesInUse(const tuff::Statistics& s) {
    return static_cast<int64_t>(s.frames_allocated) - static_cast<int64_t>(s.frames_freed);
  }
  double MediaPerLogical() const {
    const int64_t frames = media_frames_ + FramesInUse(pool_->GetStatistics());
    return static_cast<double>(frames) * 4096 /
           static_cast<double>(live_ * (kKeyBytes + config_.value_bytes));
  }

  void Finish(Row row, const tuff::Statistics& before) {
    const tuff::Statistics after = pool_->GetStatistics();
    const auto n = static_cast<double>(row.operations);
    row.fences = static_cast<double>(after.fences - before.fences) / n;
    row.flushes = static_cast<double>(after.flushes - before.flushes) / n;
    row.flushed_bytes = static_cast<double>(after.flushed_bytes - before.flushed_bytes) / n;
    if (row.phase == "load") live_ = row.operations;
    if (row.phase == "delete") live_ -= row.operations;
    row.media_per_logical = MediaPerLogical();
    fmt::print("{:<10} {:>9.0f} {:>8.2f} {:>8.2f} {:>8.2f} {:>7.2f} {:>8.2f} {:>8.0f} {:>7.2f}\n",
               row.phase, n / row.seconds, row.p50_us, row.p99_us, row.p999_us, row.fences,
               row.flushes, row.flushed_bytes, row.media_per_logical);
    std::fflush(stdout);
    rows_.push_back(std::move(row));
  }

  static void PrintHead() {
    fmt::print("{:<10} {:>9} {:>8} {:>8} {:>8} {:>7} {:>8} {:>8} {:>7}\n", "phase", "ops/s",
               "p50 us", "p99 us", "p99.9 us", "fences", "flushes", "B/op", "media");
  }

  void WriteJson() const {
    FILE* file = std::fopen(config_.json.c_str(), "w");
    if (file == nullptr) Die({tuff::Code::kIo, config_.json + ": cannot write"});
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
          static_cast<double>(r.operations) / r.seconds, r.p50_us, r.p99_us, r.p999_us, r.fences,
          r.flushes, r.flushed_bytes, r.media_per_logical);
    }
    fmt::print(file, "\n]\n");
    if (std::fclose(file) != 0) Die({tuff::Code::kIo, config_.json + ": cannot write"});
  }

  const Config config_;
  const std::string path_;
  tuff::OpenOptions open_;
  std::unique_ptr<tuff::Pool> pool_;
  tuff::Store* store_ = nullptr;
  uint64_t live_ = 1;
  int64_t media_frames_ = 0;  // of earlier mounts
  std::vector<Row> rows_;
};

constexpr const char* kUsage =
    "usage: kv_bench [--records N] [--value-bytes N] [--threads N] [--dir DIR]\n"
    "                [--granularity cache-line|page|byte|medium] [--guard "
    "auto|pkey|mprotect|none]\n"
    "                [--json FILE]\n";

[[noreturn]] void BadUsage(const std::string& what) {
  fmt::print(stderr, "kv_bench: {}\n{}", what, kUsage);
  std::exit(2);
}

uint64_t ParseNumber(const std::string& flag, const std::string& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0) {
    BadUsage(fmt::format("{}: '{}' is not a positive number", flag, text));
  }
  return value;
}

Config ParseArguments(int argc, char** argv) {
  Config config;
  for (int i = 1; i < argc; i++) {
    const std::string flag = argv[i];
    if (flag == "--help") {
      fmt::print("{}", kUsage);
      std::exit(0);
    }
    if (i + 1 == argc) BadUsage(flag + ": unknown, or its value is missing");
    const std::string value = argv[++i];
    if (flag == "--records") {
      config.records = ParseNumber(flag, value);
    } else if (flag == "--value-bytes") {
      config.value_bytes = ParseNumber(flag, value);
    } else if (flag == "--threads") {
      config.threads = static_cast<unsigned>(ParseNumber(flag, value));
    } else if (flag == "--dir") {
      config.directory = value;
    } else if (flag == "--granularity") {
      config.granularity = value;
    } else if (flag == "--guard") {
      config.guard = value;
    } else if (flag == "--json") {
      config.json = value;
    } else {
      BadUsage(flag + ": unknown");
    }
  }
  return config;
}

}  // namespace

int main(int argc, char** argv) {
  Bench(ParseArguments(argc, argv)).Run();
  return 0;
}
