#include "tools/sizes.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <ctime>

#include "tools/escape.h"

namespace tuff::tools {
namespace {

constexpr std::string_view kUnits = "KMGTP";

/// Takes the digits off the front of `*text`. False: none, or more than 64 bits.
bool TakeNumber(std::string_view* text, uint64_t* number) {
  const char* end = text->data() + text->size();
  auto [rest, error] = std::from_chars(text->data(), end, *number);
  if (error != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(rest - text->data()));
  return true;
}

Status NotASize(std::string_view text, std::string_view why) {
  return {Code::kInvalidArgument,
          fmt::format("{} {}; write bytes, or a number with K, M, G, T or P, such as 64M",
                      Quoted(text), why)};
}

}  // namespace

Result<uint64_t> ParseSize(std::string_view text) {
  std::string_view rest = text;
  uint64_t number = 0;
  if (!TakeNumber(&rest, &number)) return NotASize(text, "is not a size");
  if (rest.empty()) return number;
  const char unit = rest[0] >= 'a' && rest[0] <= 'z' ? static_cast<char>(rest[0] - 32) : rest[0];
  const size_t power = kUnits.find(unit);
  if (power == std::string_view::npos) return NotASize(text, "is not a size");
  rest.remove_prefix(1);
  if (!rest.empty() && rest != "iB" && rest != "ib") return NotASize(text, "is not a size");
  const unsigned shift = 10 * (static_cast<unsigned>(power) + 1);
  if (number > (UINT64_MAX >> shift)) return NotASize(text, "is more than 64 bits can count");
  return number << shift;
}

Result<uint64_t> ParseCount(std::string_view text) {
  std::string_view rest = text;
  uint64_t number = 0;
  if (!TakeNumber(&rest, &number) || !rest.empty()) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} is not a number; write digits only", Quoted(text)));
  }
  return number;
}

std::string FormatSize(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double scaled = static_cast<double>(bytes);
  size_t unit = 0;
  for (scaled /= 1024; scaled >= 1023.95 && unit + 1 < kUnits.size(); ++unit) scaled /= 1024;
  return fmt::format("{:.1f} {}iB", scaled, kUnits[unit]);
}

std::string FormatRecords(uint64_t records) {
  return fmt::format("{} record{}", records, records == 1 ? "" : "s");
}

std::string FormatSeconds(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<uint64_t>(std::llround(seconds));
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string FormatTime(uint64_t since_epoch_ns) {
  const auto seconds = static_cast<std::time_t>(since_epoch_ns / 1000000000);
  std::tm utc = {};
  if (gmtime_r(&seconds, &utc) == nullptr) return fmt::format("{} s", seconds);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc);
}

}  // namespace tuff::tools
