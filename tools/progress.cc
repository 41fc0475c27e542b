#include "tools/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tools/escape.h"
#include "tools/sizes.h"

namespace tuff::tools {
namespace {

constexpr auto kRedrawInterval = std::chrono::milliseconds(100);
constexpr size_t kBarWidth = 16;  // columns

std::string Bar(double fraction) {
  const auto full = static_cast<size_t>(fraction * kBarWidth);
  std::string bar(full, '=');
  if (full < kBarWidth) bar.push_back('>');
  bar.resize(kBarWidth, ' ');
  return bar;
}

}  // namespace

std::string FormatProgress(std::string_view label, const ProgressState& state) {
  std::string line = Escape(label);
  const double done = static_cast<double>(state.bytes_done);
  double fraction = 0;
  if (state.bytes_total) {
    const double total = static_cast<double>(*state.bytes_total);
    fraction = total > 0 ? std::min(done / total, 1.0) : 1.0;
    fmt::format_to(std::back_inserter(line), " [{}] {:3.0f}%", Bar(fraction), fraction * 100);
  }
  fmt::format_to(std::back_inserter(line), "  {}  {}", FormatRecords(state.records),
                 FormatSize(state.bytes_done));
  if (state.seconds < 1) return line;  // too early to speak of rates
  fmt::format_to(std::back_inserter(line), "  {}/s",
                 FormatSize(static_cast<uint64_t>(done / state.seconds)));
  if (fraction > 0) {
    fmt::format_to(std::back_inserter(line), "  {} left",
                   FormatSeconds(state.seconds / fraction - state.seconds));
  }
  return line;
}

Progress::Progress(Console* console, std::string_view label, std::optional<uint64_t> bytes_total,
                   bool wanted)
    : console_(console), shown_(wanted && console->can_redraw()), label_(label) {
  state_.bytes_total = bytes_total;
}

void Progress::Update(uint64_t records, uint64_t bytes_done) {
  if (!shown_) return;
  const Clock::time_point now = Clock::now();
  if (now < next_) return;
  next_ = now + kRedrawInterval;
  state_.records = records;
  state_.bytes_done = bytes_done;
  state_.seconds = Seconds();
  console_->ShowStatus(FormatProgress(label_, state_));
}

double Progress::Seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

}  // namespace tuff::tools
