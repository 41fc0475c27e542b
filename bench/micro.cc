// micro: what this machine can do at best, as rows like those of cell: a fence, persists, copies,
// dependent reads, a change of the protection-key register.
//
//   build/release/bench/micro --dir /dev/shm --disk-dir /var/tmp
//
// Copies, flushes and fences go through pagemap/medium.h, so they are the instructions that tuff
// uses here.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"
#include "measure.h"
#include "pagemap/medium.h"
#include "records.h"

namespace tuff::bench {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kPersist = 128;
constexpr size_t kPage = 4096;
constexpr uint64_t kHugePage = 2ull << 20;

struct Config {
  std::string directory = "/dev/shm";
  std::string disk_directory = "/var/tmp";
  uint64_t bytes = 256ull << 20;  // read and written at random
  double seconds = 0.5;           // of each measurement
  unsigned round = 1;
};

std::string Head(const Config& config, std::string_view workload, size_t bytes,
                 std::string_view granularity) {
  return fmt::format(
      R"("engine": "limit", "setting": "", "workload": "{}", "set": "limits", "records": null, )"
      R"("key_bytes": null, "value_bytes": {}, "threads": 1, "granularity": "{}", "round": {})",
      workload, bytes, granularity, config.round);
}

struct Limit {
  std::string workload;
  size_t bytes = 0;  // of one operation
  std::string granularity = "cache-line";
  unsigned per_sample = 1000;  // operations whose time is taken together
  std::string note = {};
};

/// Calls `operation` for the configured time; the latencies are those of samples, by operation.
void Measure(const Config& config, const Limit& limit, const std::function<void()>& sample) {
  Histogram latencies;  // in picoseconds: some operations take less than ten nanoseconds
  uint64_t samples = 0;
  const auto start = Clock::now();
  double seconds = 0;
  while (seconds < config.seconds) {
    const auto from = Clock::now();
    sample();
    const auto ns = static_cast<uint64_t>((Clock::now() - from).count());
    latencies.Add(ns * 1000 / limit.per_sample);
    samples++;
    seconds = SecondsSince(start);
  }
  fmt::print(R"({{{}, "ops_per_s": {:.1f}, "p50_us": {:.5f}, "p99_us": {:.5f}, "p999_us": {:.5f}, )"
             R"("note": "{}"}})"
             "\n",
             Head(config, limit.workload, limit.bytes, limit.granularity),
             static_cast<double>(samples * limit.per_sample) / seconds,
             latencies.PercentileUs(0.5) / 1000, latencies.PercentileUs(0.99) / 1000,
             latencies.PercentileUs(0.999) / 1000, limit.note);
  std::fflush(stdout);
}

void SkipLimit(const Config& config, const std::string& workload, const std::string& why) {
  fmt::print("{{{}, \"skipped\": \"{}\"}}\n", Head(config, workload, 0, "cache-line"), why);
}

/// A file of its own, without a name, mapped as tuff maps its pool.
class MappedFile {
 public:
  MappedFile(const std::string& directory, uint64_t bytes, Granularity granularity)
      : fd_(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) {
    if (fd_ < 0) Die(fmt::format("micro: {}: {}", directory, std::strerror(errno)));
    if (int error = posix_fallocate(fd_, 0, static_cast<off_t>(bytes)); error != 0) {
      Die(fmt::format("micro: {}: {}", directory, std::strerror(error)));
    }
    Medium::Options options;
    options.force = granularity;
    options.reserve = false;
    Result<std::unique_ptr<Medium>> mapped = Medium::Map(fd_, directory, bytes, options);
    if (!mapped.ok()) Die("micro: " + mapped.status().ToString());
    medium_ = *std::move(mapped);
    std::memset(base(), 1, bytes);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    medium_.reset();
    close(fd_);
  }
  const Medium& medium() const { return *medium_; }
  std::byte* base() const { return const_cast<std::byte*>(medium_->base()); }
  uint64_t bytes() const { return medium_->bytes(); }

 private:
  const int fd_;
  std::unique_ptr<Medium> medium_;
};

void MeasurePersists(const Config& config, const MappedFile& file) {
  const Medium& medium = file.medium();
  std::vector<std::byte> from(kPage, std::byte{7});
  const auto persist = [&](uint64_t at, size_t n) {
    medium.CopyFlushed(file.base() + at, from.data(), n);
    medium.Drain();
  };
  Random random(1);
  Limit limit{"fence", 0};
  Measure(config, limit, [&] {
    for (unsigned i = 0; i < limit.per_sample; i++) medium.Drain();
  });
  Measure(config, {"persist-random", kPersist}, [&] {
    for (unsigned i = 0; i < limit.per_sample; i++) {
      persist(random.Below(file.bytes() / kPersist) * kPersist, kPersist);
    }
  });
  uint64_t next = 0;
  const auto sequential = [&](size_t n) {
    return [&, n] {
      for (unsigned i = 0; i < limit.per_sample; i++) {
        persist(next, n);
        next = (next + n) % file.bytes();
      }
    };
  };
  Measure(config, {"persist-sequential", kPersist}, sequential(kPersist));
  next = 0;
  Measure(config, {"persist-copy", kPage}, sequential(kPage));
}

/// Links the lines of a memory to one cycle in random order (Sattolo).
void LinkLines(std::byte* base, uint64_t bytes) {
  std::vector<uint32_t> order(bytes / kLine);
  for (size_t i = 0; i < order.size(); i++) order[i] = static_cast<uint32_t>(i);
  Random random(2);
  for (size_t i = order.size() - 1; i > 0; i--) std::swap(order[i], order[random.Below(i)]);
  for (size_t i = 0; i < order.size(); i++) {
    const uint64_t next = order[i] * kLine;
    std::memcpy(base + i * kLine, &next, sizeof next);
  }
}

void MeasureReads(const Config& config, std::byte* base, uint64_t bytes, Limit limit) {
  LinkLines(base, bytes);
  uint64_t at = 0;
  Measure(config, limit, [&] {
    for (unsigned i = 0; i < limit.per_sample; i++) std::memcpy(&at, base + at, sizeof at);
  });
  if (at >= bytes) Die("micro: the reads left the memory");
}

/// What smaps says of a mapping that begins at `base`.
uint64_t HugePageKib(const std::byte* base) {
  std::ifstream file("/proc/self/smaps");
  const std::string head = fmt::format("{:x}-", reinterpret_cast<uintptr_t>(base));
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(head)) inside = true;
    constexpr std::string_view kField = "AnonHugePages:";
    if (inside && line.starts_with(kField)) return std::stoull(line.substr(kField.size()));
  }
  return 0;
}

void MeasureHugeReads(const Config& config) {
  const uint64_t bytes = std::max(kHugePage, config.bytes / kHugePage * kHugePage);
  void* const mapped =
      mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) Die("micro: no memory");
  const uintptr_t address = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t aligned = (address + kHugePage - 1) / kHugePage * kHugePage;
  auto* const base = reinterpret_cast<std::byte*>(aligned);
  madvise(base, bytes, MADV_HUGEPAGE);
  std::memset(base, 1, bytes);
  const uint64_t huge = HugePageKib(base) * 1024;
  const std::string note = fmt::format("{} of {} MiB in pages of 2 MiB", huge >> 20, bytes >> 20);
  huge == 0 ? SkipLimit(config, "read-2m-pages", "no transparent huge pages here")
            : MeasureReads(config, base, bytes,
                           {.workload = "read-2m-pages", .bytes = kLine, .note = note});
  munmap(mapped, bytes + kHugePage);
}

void MeasureCopy(const Config& config, std::byte* base, uint64_t bytes) {
  constexpr uint64_t kPiece = 1ull << 20;
  const uint64_t half = bytes / 2;
  uint64_t at = 0;
  Measure(config, {.workload = "copy", .bytes = kPiece, .per_sample = 1}, [&] {
    std::memcpy(base + at, base + half + at, kPiece);
    at = (at + kPiece) % (half / kPiece * kPiece);
  });
}

void MeasureProtectionKeys(const Config& config) {
  const int key = pkey_alloc(0, 0);
  if (key < 0) {
    return SkipLimit(config, "wrpkru",
                     fmt::format("no memory protection keys here: {}", std::strerror(errno)));
  }
  const Limit limit{"wrpkru", 0};
  Measure(config, limit, [&] {
    for (unsigned i = 0; i < limit.per_sample; i++) {
      unsigned rights = 0;
      unsigned zero = 0;
      asm volatile(".byte 0x0f,0x01,0xee" : "=a"(rights), "=d"(zero) : "c"(0));         // rdpkru
      asm volatile(".byte 0x0f,0x01,0xef" : : "a"(rights), "c"(0), "d"(0) : "memory");  // wrpkru
    }
  });
  pkey_free(key);
}

/// What one durable change costs under PAGE.
void MeasureSync(const Config& config) {
  constexpr uint64_t kBytes = 16ull << 20;
  const MappedFile file(config.disk_directory, kBytes, Granularity::kPage);
  if (const Status status = file.medium().SyncAll(); !status.ok()) Die(status.ToString());
  Random random(3);
  Measure(config, {.workload = "sync-page", .bytes = kPage, .granularity = "page", .per_sample = 1},
          [&] {
            const uint64_t at = random.Below(kBytes / kPage) * kPage;
            file.base()[at] ^= std::byte{1};
            const Status status = file.medium().Sync(at, kPage);
            if (!status.ok()) Die(status.ToString());
          });
}

constexpr const char* kUsage =
    "usage: micro [--dir DIR] [--disk-dir DIR] [--bytes N] [--seconds S] [--round N]\n";

template <typename T>
bool Parse(std::string_view text, T* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value > 0;
}

bool Set(Config* config, std::string_view flag, const std::string& value) {
  if (flag == "--dir") return config->directory = value, true;
  if (flag == "--disk-dir") return config->disk_directory = value, true;
  if (flag == "--bytes") return Parse(value, &config->bytes) && config->bytes >= 2 * kHugePage;
  if (flag == "--seconds") return Parse(value, &config->seconds);
  if (flag == "--round") return Parse(value, &config->round);
  return false;
}

void MeasureAll(const Config& config) {
  {
    const MappedFile file(config.directory, config.bytes / kHugePage * kHugePage,
                          Granularity::kCacheLine);
    MeasurePersists(config, file);
    MeasureCopy(config, file.base(), file.bytes());
    MeasureReads(config, file.base(), file.bytes(), {.workload = "read-4k-pages", .bytes = kLine});
  }
  MeasureHugeReads(config);
  MeasureProtectionKeys(config);
  MeasureSync(config);
}

}  // namespace
}  // namespace tuff::bench

int main(int argc, char** argv) {
  using namespace tuff::bench;  // NOLINT: this function is about nothing else
  Config config;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc || !Set(&config, argv[i], argv[i + 1])) {
      fmt::print(stderr, "micro: {}: unknown, or its value is missing or bad\n{}", argv[i], kUsage);
      return kExitUsage;
    }
  }
  MeasureAll(config);
  return 0;
}
