// LineReader and TsvReader.
#include "tools/line_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "string_source.h"
#include "tools/escape.h"
#include "tools/tsv_reader.h"

namespace tuff::tools {
namespace {

TEST(LineReader, CutsAtNewlinesHoweverTheBytesArrive) {
  for (size_t chunk : {1, 2, 3, 100}) {
    StringSource source("one\n\nthree\nlast", chunk);
    LineReader lines(&source);
    std::vector<std::string> got;
    std::string_view line;
    for (;;) {
      Result<bool> more = lines.Next(&line);
      ASSERT_TRUE(more.ok());
      if (!*more) break;
      got.emplace_back(line);
      EXPECT_EQ(lines.line_number(), got.size());
    }
    EXPECT_EQ(got, (std::vector<std::string>{"one", "", "three", "last"}));
  }
}

TEST(LineReader, RefusesALineWithoutEnd) {
  StringSource source(std::string(kLineSizeMax + (1 << 20), 'x'));
  LineReader lines(&source);
  std::string_view line;
  Result<bool> more = lines.Next(&line);
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.status().code(), Code::kInvalidArgument);
  EXPECT_NE(more.status().message().find("line 1"), std::string::npos);
}

Result<bool> ReadOne(const std::string& text, std::string* key, std::string* value) {
  StringSource source(text);
  TsvReader reader(&source);
  std::string database = "unchanged";
  EXPECT_TRUE(*reader.NextSection(&database));
  EXPECT_EQ(database, "");
  return reader.NextRecord(key, value);
}

TEST(TsvReader, ReadsKeyTabValue) {
  std::string key, value;
  for (const char* text : {"k\\t\\\\\tv\\xff\n", "k\\t\\\\\tv\\xff"}) {
    Result<bool> more = ReadOne(text, &key, &value);
    ASSERT_TRUE(more.ok()) << more.status().message();
    EXPECT_TRUE(*more);
    EXPECT_EQ(key, "k\t\\");
    EXPECT_EQ(value, "v\xff");
  }
  ASSERT_TRUE(ReadOne("k\t\n", &key, &value).ok());
  EXPECT_EQ(value, "");
}

TEST(TsvReader, HasOneSectionThatEnds) {
  StringSource source("a\tb\n");
  TsvReader reader(&source);
  std::string database, key, value;
  EXPECT_TRUE(*reader.NextSection(&database));
  EXPECT_TRUE(*reader.NextRecord(&key, &value));
  EXPECT_FALSE(*reader.NextRecord(&key, &value));
  EXPECT_FALSE(*reader.NextSection(&database));
}

TEST(TsvReader, RefusesWhatIsLikelyAMistake) {
  const std::pair<const char*, const char*> kCases[] = {
      {"novalue\n", "no TAB"},
      {"\n", "no TAB"},
      {"a\tb\tc\n", "more than one TAB"},
      {"a\tb\r\n", "ends in a carriage return"},
      {"a\\q\tb\n", "key: bad escape \\q"},
      {"a\tb\\x1\n", "value: bad escape \\x1"},
  };
  for (const auto& [text, message] : kCases) {
    std::string key, value;
    Result<bool> more = ReadOne(text, &key, &value);
    ASSERT_FALSE(more.ok()) << text;
    EXPECT_EQ(more.status().code(), Code::kInvalidArgument);
    EXPECT_NE(more.status().message().find("line 1: " + std::string(message)), std::string::npos)
        << more.status().message();
  }
}

TEST(TsvReader, DoesNotTakeAHalfLineBeforeAnErrorForARecord) {
  StringSource source("a\tb\nkey\tval", 1000, {Code::kIo, "interrupted"});
  TsvReader reader(&source);
  std::string database, key, value;
  EXPECT_TRUE(*reader.NextSection(&database));
  EXPECT_TRUE(*reader.NextRecord(&key, &value));
  EXPECT_EQ(reader.NextRecord(&key, &value).status().code(), Code::kIo);
}

}  // namespace
}  // namespace tuff::tools
