// Engine: what the benchmark suite asks of every engine that it compares. An adapter file
// (engine_NAME.cc) implements both classes and registers its engine with the settings it knows.
//
// Fairness: every Put is durable when it returns; every byte of every value read is looked at,
// where the engine shows it if it can, in a copy otherwise; nothing is left open between calls that
// an application could not leave open. Ownership: a Session belongs to the thread that made it, and
// goes before Engine::Close. Thread-safety: Engine's functions are called by one thread, but
// NewSession by any; a Session has one thread. An error ends the program (see Die).
#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tuff::bench {

inline constexpr int kExitUsage = 2;
inline constexpr int kExitSkip = 77;  // what was asked for cannot be had here

[[noreturn]] void Die(std::string_view what);
/// Ends the program with kExitSkip: this setting does not exist on this machine.
[[noreturn]] void Skip(std::string_view why);

/// What reading has found, and how much more is wanted. Looks at each byte, so that nobody reads
/// less than another.
class Seen {
 public:
  using Clock = std::chrono::steady_clock;

  /// Bounds of a scan.
  Seen& Want(uint64_t records, Clock::time_point deadline = Clock::time_point::max()) {
    limit_ = records_ + records;
    deadline_ = deadline;
    late_ = false;
    return *this;
  }
  bool WantsMore() {
    if (records_ == limit_) return false;
    late_ = late_ || (records_ % kRecordsPerClock == 0 && deadline_ != Clock::time_point::max() &&
                      Clock::now() >= deadline_);
    return !late_;
  }
  bool late() const { return late_; }

  void Look(std::string_view value) {
    records_++;
    Read(value);
  }
  void Look(std::string_view key, std::string_view value) {
    Read(key);
    Look(value);
  }
  uint64_t records() const { return records_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t sum() const { return sum_; }

 private:
  void Read(std::string_view bytes) {
    bytes_ += bytes.size();
    size_t i = 0;
    for (uint64_t word; i + sizeof word <= bytes.size(); i += sizeof word) {
      std::memcpy(&word, bytes.data() + i, sizeof word);
      sum_ += word;
    }
    for (; i < bytes.size(); i++) sum_ += static_cast<unsigned char>(bytes[i]);
  }

  static constexpr uint64_t kRecordsPerClock = 1024;
  uint64_t records_ = 0;
  uint64_t bytes_ = 0;
  uint64_t sum_ = 0;
  uint64_t limit_ = UINT64_MAX;
  Clock::time_point deadline_ = Clock::time_point::max();
  bool late_ = false;
};

struct Pair {
  std::string_view key;
  std::string_view value;
};

class Session {
 public:
  virtual ~Session() = default;

  virtual void Put(std::string_view key, std::string_view value) = 0;
  /// False: no such key.
  virtual bool Get(std::string_view key, Seen* seen) = 0;
  virtual void Erase(std::string_view key) = 0;
  /// All of them durable and visible together.
  virtual void PutBatch(std::span<const Pair> pairs) = 0;
  /// At one moment.
  virtual void MultiGet(std::span<const std::string_view> keys, Seen* seen) = 0;
  /// Records in order from the first at or after `from`, backward from the last of all, while
  /// `seen` wants more. Keys and values are looked at.
  virtual void Scan(std::string_view from, Seen* seen) = 0;
  virtual void ScanBack(Seen* seen) = 0;
};

/// What an engine counted since it was opened; what the suite cannot see from outside.
struct Counters {
  uint64_t fences = 0;
  uint64_t flushes = 0;
  uint64_t flushed_bytes = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  /// Makes a new, empty database in the directory, which is empty, and opens it.
  virtual void Create() = 0;
  /// Opens what Create made, after a Close or a kill.
  virtual void Open() = 0;
  virtual void Close() = 0;
  virtual std::unique_ptr<Session> NewSession() = 0;

  /// Fills the empty database with `count` records in the order of their keys, in whatever way is
  /// this engine's fastest. Durable on return. `record` gives the i-th; valid until the next call.
  virtual void BulkLoad(uint64_t count, const std::function<Pair(uint64_t i)>& record) = 0;

  /// Bytes of the medium in use.
  virtual uint64_t MediaBytes() = 0;
  /// Of all that has been done, in the background too, which is waited for. Not called while
  /// something is timed.
  virtual std::optional<Counters> GetCounters() { return {}; }
  /// Size of the mapping, of an engine whose DRAM is to be judged by it.
  virtual std::optional<double> PoolBytes() { return {}; }
};

/// Where and how large.
struct Place {
  std::string directory;  ///< exists and is this database's alone
  std::string setting;
  std::string granularity;     ///< "cache-line", "page" or "medium"; of interest to tuff only
  uint64_t logical_bytes = 0;  ///< keys and values at most alive
  uint64_t pool_bytes = 0;     ///< 0: by logical_bytes; of interest to tuff only
};

using EngineMaker = std::unique_ptr<Engine> (*)(const Place& place);

/// An engine that this program was built with.
struct EngineKind {
  std::string name;
  std::vector<std::string> settings;  ///< the first is its default
  EngineMaker make;
};

const std::vector<EngineKind>& Engines();

/// A variable of this type in an adapter file adds its engine to Engines().
struct Registration {
  explicit Registration(EngineKind kind);
};

/// Allocated bytes of all files in a directory.
uint64_t AllocatedBytes(const std::string& directory);

}  // namespace tuff::bench
