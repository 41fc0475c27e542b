#include "tools/sizes.h"

#include <gtest/gtest.h>

namespace tuff::tools {
namespace {

TEST(ParseSize, TakesBytesAndUnits) {
  const std::pair<const char*, uint64_t> kCases[] = {
      {"0", 0},
      {"4096", 4096},
      {"1K", 1024},
      {"64M", 64ull << 20},
      {"1g", 1ull << 30},
      {"2T", 2ull << 40},
      {"3P", 3ull << 50},
      {"64MiB", 64ull << 20},
      {"18446744073709551615", UINT64_MAX},
      {"16383P", 16383ull << 50},
  };
  for (const auto& [text, bytes] : kCases) {
    Result<uint64_t> size = ParseSize(text);
    ASSERT_TRUE(size.ok()) << text << ": " << size.status().message();
    EXPECT_EQ(*size, bytes) << text;
  }
}

TEST(ParseSize, RefusesEverythingElse) {
  for (const char* text : {"", "M", "12X", "12MB", "12 M", " 12", "+1", "-1", "1.5G", "0x10",
                           "12MiBs", "18446744073709551616", "16384P", "18014398509481984K"}) {
    Result<uint64_t> size = ParseSize(text);
    EXPECT_FALSE(size.ok()) << text;
    EXPECT_EQ(size.status().code(), Code::kInvalidArgument) << text;
    EXPECT_NE(size.status().message().find('"' + std::string(text) + '"'), std::string::npos);
  }
}

TEST(ParseCount, TakesDigitsOnly) {
  ASSERT_TRUE(ParseCount("10").ok());
  EXPECT_EQ(*ParseCount("10"), 10u);
  for (const char* text : {"", "-1", "1K", "1 ", "18446744073709551616"}) {
    EXPECT_FALSE(ParseCount(text).ok()) << text;
  }
}

TEST(Format, Sizes) {
  EXPECT_EQ(FormatSize(0), "0 B");
  EXPECT_EQ(FormatSize(1023), "1023 B");
  EXPECT_EQ(FormatSize(1024), "1.0 KiB");
  EXPECT_EQ(FormatSize(1536), "1.5 KiB");
  EXPECT_EQ(FormatSize((1ull << 20) - 1), "1.0 MiB");  // not "1024.0 KiB"
  EXPECT_EQ(FormatSize(1ull << 40), "1.0 TiB");
  EXPECT_EQ(FormatSize(UINT64_MAX), "16384.0 PiB");
}

TEST(Format, RecordsSecondsAndTimes) {
  EXPECT_EQ(FormatRecords(0), "0 records");
  EXPECT_EQ(FormatRecords(1), "1 record");
  EXPECT_EQ(FormatSeconds(1.25), "1.2 s");
  EXPECT_EQ(FormatSeconds(3725), "1:02:05");
  EXPECT_EQ(FormatTime(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(FormatTime(1700000000123456789), "2023-11-14T22:13:20Z");
}

}  // namespace
}  // namespace tuff::tools
