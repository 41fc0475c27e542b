// Bench: one pool with one store of records, phases over it, and the rows they print. What the
// columns mean: bench/README.md.
// Ownership: the pool file is made by Open and removed by the destructor. Any failure ends the
// program. Thread-safety: none; Phase and Beside make threads of their own and join them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "records.h"
#include "tuff/tuff.h"

namespace tuff::bench {

struct Config {
  uint64_t records = 2'000'000;
  size_t value_bytes = 100;
  unsigned threads = 1;
  double seconds = 2;  // of each phase whose length is a time
  std::string directory = "/dev/shm";
  std::string granularity = "cache-line";
  std::string guard = "auto";
  std::string json;
};

struct Row {
  std::string phase;
  uint64_t operations = 0;
  double seconds = 0;
  double p50_us = 0, p99_us = 0, p999_us = 0;
  double fences = 0, flushes = 0, flushed_bytes = 0;  // per operation
  double media_per_logical = 0;
  double Rate() const { return static_cast<double>(operations) / seconds; }
};

[[noreturn]] void Die(const Status& status);
void Check(const Status& status);
/// The value, or the end of the program.
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) Die(result.status());
  return *std::move(result);
}

class Bench {
 public:
  explicit Bench(const Config& config);
  ~Bench();
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  /// Makes the pool and prints what is in force and the head of the table.
  void Open();
  void Close();

  const Config& config() const { return config_; }
  Pool& pool() { return *pool_; }
  Store& store() { return *store_; }
  /// Under PAGE each durable write is a sync.
  bool syncs() const { return pool_->GetInfo().granularity == Granularity::kPage; }

  /// A value of the wanted size that begins with `salt`. This thread's; until the next call.
  std::string_view Value(uint64_t salt) const;
  void Put(uint64_t i, uint64_t salt) { Check(store_->Put(Key(i).view(), Value(salt))); }
  void Get(uint64_t i, std::string* value);
  /// Ends the program if that is not the length of a value.
  void CheckValue(std::string_view value) const;

  /// Numbers of the keys, in the keys' order. Computed at the first call.
  const std::vector<uint64_t>& Sorted();

  using Operation = std::function<void(uint64_t i, std::string* scratch)>;
  /// Calls `operation` with 0 to calls-1, dealt over the threads, and prints the row. A call is
  /// `records_per_call` operations in the row, but one in its latencies.
  void Phase(const std::string& name, uint64_t calls, const Operation& operation,
             uint64_t records_per_call = 1);

  /// Calls each of `loops` over and over in a thread of its own, with 0, 1, 2 …, for the configured
  /// time; `*calls` says how often. Returns the time.
  using Loop = std::function<void(uint64_t i)>;
  double Beside(const std::vector<Loop>& loops, std::vector<uint64_t>* calls) const;

  /// Fills in what the pool counted since `before`, prints the row and keeps it.
  void Finish(Row row, const Statistics& before);
  /// A line below a row: how it compares with an earlier one.
  void CompareWith(std::string_view earlier) const;
  static void Note(std::string_view text);
  const Row& last() const { return rows_.back(); }

  /// Bytes of the frames in use, over keys and values alive.
  double MediaPerLogical() const;

  void WriteJson() const;

 private:
  uint64_t PoolBytes() const;

  const Config config_;
  const std::string path_;
  OpenOptions open_;
  std::unique_ptr<Pool> pool_;
  Store* store_ = nullptr;
  uint64_t frames_unused_ = 0;  // when the pool was new
  std::vector<Row> rows_;
  std::vector<uint64_t> sorted_;
};

}  // namespace tuff::bench
