// kv_bench: phases over one pool of what bench/compare.sh does not measure (snapshots,
// transactions, scans beside writers, shared syncs), after a load, gets and overwrites to profile.
//
//   build/release/bench/kv_bench                      2 M records of (16 B, 100 B) on /dev/shm
//   build/release/bench/kv_bench --threads 2 --records 500000 --dir /mnt/pmem --granularity medium
//   build/release/bench/kv_bench --records 2000 --dir /var/tmp --granularity page
//
// Every put is durable on return; every get verifies a checksum. What the phases do and the columns
// mean: bench/README.md.

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "phases.h"

namespace {

constexpr const char* kUsage =
    "usage: kv_bench [--records N] [--value-bytes N] [--threads N] [--seconds N]\n"
    "                [--dir DIR] [--granularity cache-line|page|byte|medium]\n"
    "                [--guard auto|pkey|mprotect|none] [--json FILE]\n";

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

tuff::bench::Config ParseArguments(int argc, char** argv) {
  tuff::bench::Config config;
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
    } else if (flag == "--seconds") {
      config.seconds = static_cast<double>(ParseNumber(flag, value));
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
  using namespace tuff::bench;  // NOLINT: this function is about nothing else
  Bench bench(ParseArguments(argc, argv));
  bench.Open();
  RunLoad(bench);
  RunGets(bench);
  RunOverwrites(bench);
  RunScansBesideWriter(bench);
  RunTransactions(bench);
  RunSharedSyncs(bench);
  if (!bench.config().json.empty()) bench.WriteJson();
  bench.Close();
  return 0;
}
