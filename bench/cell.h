// Cell: one engine with one setting, one kind of records and one number of threads; the workloads
// run over it one after another, and each prints its row as a line of JSON on standard output.
// Ownership: the database lies in a directory that the caller made and removes.
// Thread-safety: none; Run makes threads of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine.h"
#include "measure.h"
#include "records.h"

namespace tuff::bench {

struct CellConfig {
  std::string engine = "tuff";
  std::string setting = "default";
  std::vector<std::string> workloads;
  std::string set = "main";  ///< name of the kind of records, for the rows
  uint64_t records = 100'000;
  size_t key_bytes = kKeyBytes;
  size_t value_bytes = 100;  ///< 0: mixed
  unsigned threads = 1;
  double seconds = 1;       ///< of a workload
  double load_seconds = 4;  ///< of load; what is left then is loaded in batches, unmeasured
  unsigned round = 1;
  std::string directory;
  std::string granularity = "cache-line";
  uint64_t pool_bytes = 0;
};

/// What only some rows have; null in the others.
struct Extras {
  std::optional<double> first_get_ms;   ///< from the start of opening
  std::optional<double> full_speed_ms;  ///< from the start of opening
  std::optional<double> share_done;     ///< of the work that there was, when time was up
};

class Cell {
 public:
  explicit Cell(const CellConfig& config);
  ~Cell();

  /// Makes the database anew; what was there is gone.
  void Create();
  /// Opens what another cell left; nothing is known of its medium then.
  void Open();
  void Close();
  /// Puts in batches what a load has left, unmeasured.
  void Fill();

  const CellConfig& config() const { return config_; }
  const Records& records() const { return records_; }
  Engine& engine() { return *engine_; }
  const Zipfian& zipfian();  ///< over the records loaded; made at the first call

  /// Runs the steps in a box and prints the row. `begin` gets the thread's number and session.
  /// `work`: operations after which nothing is left to do; 0: there is no such number.
  using Begin = std::function<Step(unsigned thread, Session& session)>;
  void Run(std::string_view workload, const Box& box, const Begin& begin, uint64_t work = 0);

  /// What has been counted until now.
  struct Counted {
    Counters engine;
    uint64_t syncs = 0;
  };
  Counted CountNow();
  void Print(std::string_view workload, const Measured& measured, const Counted& before,
             const Extras& extras);
  /// Ends the program unless what was looked at in one call are the values of `n` records.
  void CheckFound(std::string_view workload, const Seen& before, const Seen& after,
                  uint64_t n) const;

  Box DefaultBox() const { return {config_.threads, config_.seconds, 4}; }

  /// The k-th record that a thread adds behind those loaded.
  uint64_t InsertedNumber(unsigned thread, uint64_t k) const {
    return config_.records + thread + k * config_.threads;
  }

  // How far each thread has come, by its number: it loads the records thread, thread + threads …;
  // it deletes every second one of all, the (2k+1)-th.
  std::vector<uint64_t> loaded, inserted, deleted;
  uint64_t deleted_for_good = 0;  ///< records of the first ones, save every tenth

  uint64_t LiveRecords() const;
  uint64_t LiveBytes() const;

 private:
  uint64_t BytesOf(uint64_t i) const { return records_.LogicalBytes(i, i + 1); }
  std::string Head(std::string_view workload) const;

  const CellConfig config_;
  const Records records_;
  const EngineMaker make_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Zipfian> zipfian_;
  uint64_t anonymous_bytes_before_ = 0;  // of this program without the engine
  bool created_ = false;                 // by this cell
  bool open_ = false;
};

}  // namespace tuff::bench
