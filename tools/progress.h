// Progress: the status line of long work. Shown only where the console can redraw a line.
// Ownership: borrows the console.
// Thread-safety: none.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tools/console.h"

namespace tuff::tools {

struct ProgressState {
  uint64_t records = 0;
  uint64_t bytes_done = 0;
  std::optional<uint64_t> bytes_total;  ///< known: a bar and the time left are shown
  double seconds = 0;
};

/// The line, e.g. "users [=====>    ]  52%  1200 records  3.4 MiB  1.1 MiB/s  3.1 s left".
std::string FormatProgress(std::string_view label, const ProgressState& state);

class Progress {
 public:
  /// `wanted` false: show nothing (standard output goes to the same terminal).
  Progress(Console* console, std::string_view label, std::optional<uint64_t> bytes_total,
           bool wanted = true);
  ~Progress() { console_->ClearStatus(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Cheap enough to be called for every record; redraws ten times a second.
  void Update(uint64_t records, uint64_t bytes_done);

  void set_label(std::string_view label) { label_ = label; }
  double Seconds() const;

 private:
  using Clock = std::chrono::steady_clock;

  Console* const console_;
  const bool shown_;
  std::string label_;
  ProgressState state_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_ = start_;
};

}  // namespace tuff::tools
