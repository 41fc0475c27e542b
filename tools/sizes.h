// Sizes, counts and times as people write and read them.
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tuff/status.h"

namespace tuff::tools {

/// "4096", "64M", "1T", "64MiB": bytes, in powers of 1024.
Result<uint64_t> ParseSize(std::string_view text);

/// A decimal number without sign or suffix.
Result<uint64_t> ParseCount(std::string_view text);

/// "1.5 GiB".
std::string FormatSize(uint64_t bytes);

/// "1 record", "2 records".
std::string FormatRecords(uint64_t records);

/// "1.2 s" below a minute, else "1:02:03".
std::string FormatSeconds(double seconds);

/// "2026-01-31T12:34:56Z".
std::string FormatTime(uint64_t since_epoch_ns);

}  // namespace tuff::tools
