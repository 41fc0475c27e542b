// DumpReader and DumpWriter: the portable format, both ways.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "string_source.h"
#include "tools/dump_reader.h"
#include "tools/dump_writer.h"

namespace tuff::tools {
namespace {

using namespace std::string_literals;
using Records = std::vector<std::pair<std::string, std::string>>;

struct Section {
  std::string database;
  Records records;
  bool operator==(const Section&) const = default;
};

/// Everything up to the end or the first error.
struct Contents {
  std::vector<Section> sections;
  Status status;
};

Contents ReadAll(const std::string& text, size_t chunk = SIZE_MAX) {
  StringSource source(text, chunk);
  DumpReader reader(&source);
  Contents contents;
  for (;;) {
    Section section;
    Result<bool> more = reader.NextSection(&section.database);
    if (!more.ok()) contents.status = more.TakeStatus();
    if (!contents.status.ok() || !*more) return contents;
    contents.sections.push_back(section);
    for (;;) {
      std::string key, value;
      more = reader.NextRecord(&key, &value);
      if (!more.ok()) {
        contents.status = more.TakeStatus();
        return contents;
      }
      if (!*more) break;
      contents.sections.back().records.emplace_back(key, value);
    }
  }
}

void ExpectError(const std::string& text, Code code, const std::string& message) {
  const Status status = ReadAll(text).status;
  EXPECT_EQ(status.code(), code) << text;
  EXPECT_NE(std::string(status.message()).find(message), std::string::npos) << text << "\n"
                                                                            << status.message();
}

std::string Bytevalue(const std::string& lines) {
  return "VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n" + lines;
}

std::string Print(const std::string& lines) {
  return "VERSION=3\nformat=print\ntype=btree\nHEADER=END\n" + lines;
}

TEST(DumpReader, ReadsWhatMdbDumpWrites) {
  const std::string dump =
      "VERSION=3\nformat=bytevalue\ndatabase=one\ntype=btree\nmapsize=1048576\nmaxreaders=126\n"
      "db_pagesize=4096\nHEADER=END\n 6162\n 63640A00ff\n 78\n \nDATA=END\n";
  for (size_t chunk : {1, 2, 3, 7, 1000}) {
    const Contents contents = ReadAll(dump, chunk);
    ASSERT_TRUE(contents.status.ok()) << contents.status.message();
    EXPECT_EQ(contents.sections,
              (std::vector<Section>{{"one", {{"ab", "cd\n\0\xff"s}, {"x", ""}}}}));
  }
}

TEST(DumpReader, ReadsPrint) {
  const Contents contents = ReadAll(Print(" a b\\\\\\0a\n \\00\\FFx\nDATA=END\n"));
  ASSERT_TRUE(contents.status.ok()) << contents.status.message();
  EXPECT_EQ(contents.sections, (std::vector<Section>{{"", {{"a b\\\n", "\0\xffx"s}}}}));
}

TEST(DumpReader, ReadsSeveralSections) {
  const std::string dump =
      "VERSION=3\nformat=bytevalue\ndatabase=a\nHEADER=END\n 61\n 62\nDATA=END\n"
      "VERSION=3\nformat=print\ndatabase=b\\\\c\\09\nHEADER=END\n x\n y\nDATA=END\n"
      "VERSION=3\nformat=print\ndatabase=raw\\zz\nHEADER=END\nDATA=END\n";
  const Contents contents = ReadAll(dump);
  ASSERT_TRUE(contents.status.ok()) << contents.status.message();
  EXPECT_EQ(contents.sections,
            (std::vector<Section>{{"a", {{"a", "b"}}}, {"b\\c\t", {{"x", "y"}}}, {"raw\\zz", {}}}));
}

TEST(DumpReader, DropsCarriageReturns) {
  const Contents contents =
      ReadAll("VERSION=3\r\nformat=print\r\nHEADER=END\r\n a\r\n b\r\nDATA=END\r\n");
  ASSERT_TRUE(contents.status.ok()) << contents.status.message();
  EXPECT_EQ(contents.sections, (std::vector<Section>{{"", {{"a", "b"}}}}));
}

TEST(DumpReader, NeedsNoNewlineAfterTheLastLine) {
  EXPECT_TRUE(ReadAll(Bytevalue("DATA=END")).status.ok());
}

TEST(DumpReader, RefusesBadHeaders) {
  ExpectError("", Code::kInvalidArgument, "empty input");
  ExpectError("a\tb\n", Code::kInvalidArgument, "line 1: ");
  ExpectError("a\tb\n", Code::kInvalidArgument, "--format=tsv");
  ExpectError("VERSION=4\nformat=print\nHEADER=END\nDATA=END\n", Code::kNotSupported, "line 1: ");
  ExpectError("VERSION=3\nformat=hex\nHEADER=END\nDATA=END\n", Code::kInvalidArgument,
              "line 2: format \"hex\"");
  ExpectError("VERSION=3\nHEADER=END\nDATA=END\n", Code::kInvalidArgument, "no line format=");
  ExpectError("VERSION=3\nformat=print\n\nHEADER=END\nDATA=END\n", Code::kInvalidArgument,
              "line 3: ");
  ExpectError("VERSION=3\nformat=print\n 61=\n", Code::kInvalidArgument, "line 3: ");
  ExpectError("VERSION=3\nformat=print\n", Code::kInvalidArgument, "truncated");
  ExpectError(Bytevalue("DATA=END\nrest\n"), Code::kInvalidArgument, "line 6: \"rest\"");
}

TEST(DumpReader, RefusesWhatAStoreCannotHold) {
  ExpectError("VERSION=3\nformat=print\ntype=recno\nHEADER=END\n a\nDATA=END\n",
              Code::kNotSupported, "db_dump -k");
  ExpectError("VERSION=3\nformat=print\nkeys=0\nHEADER=END\n a\nDATA=END\n", Code::kNotSupported,
              "line 4: ");
  EXPECT_TRUE(ReadAll("VERSION=3\nformat=print\ntype=recno\nkeys=1\nHEADER=END\n 1\n a\nDATA=END\n")
                  .status.ok());
  const std::string twice = "HEADER=END\n a\n 1\n a\n 2\nDATA=END\n";
  ExpectError("VERSION=3\nformat=print\nduplicates=1\n" + twice, Code::kNotSupported, "line 7: ");
  ExpectError("VERSION=3\nformat=print\ndupsort=1\n" + twice, Code::kNotSupported, "\"a\"");
  EXPECT_TRUE(ReadAll("VERSION=3\nformat=print\nduplicates=0\n" + twice).status.ok());
}

TEST(DumpReader, RefusesBadData) {
  ExpectError(Bytevalue(" 616\n"), Code::kInvalidArgument, "line 5: an odd number");
  ExpectError(Bytevalue(" 61\n 6g\n"), Code::kInvalidArgument, "line 6: \"g\" at column 3");
  ExpectError(Bytevalue(" 61\n g6\n"), Code::kInvalidArgument, "line 6: \"g\" at column 2");
  ExpectError(Bytevalue("61\n"), Code::kInvalidArgument, "line 5: \"61\"");
  ExpectError(Bytevalue("\n"), Code::kInvalidArgument, "line 5: \"\"");
  ExpectError(Print(" a\\zz\n"), Code::kInvalidArgument, "line 5: bad escape \\zz at column 3");
  ExpectError(Print(" a\\0\n"), Code::kInvalidArgument, "line 5: bad escape \\0");
  ExpectError(Print(" a\\\n"), Code::kInvalidArgument, "line 5: bad escape \\");
}

TEST(DumpReader, RefusesTruncation) {
  // Whatever line is the last, but the very last, that is an error, and what was read stands.
  const std::string whole = Bytevalue(" 61\n 62\n 63\n 64\nDATA=END\n");
  const size_t records_begin = Bytevalue("").size();
  for (size_t size = 0; size + 1 < whole.size(); ++size) {
    const Contents contents = ReadAll(whole.substr(0, size));
    EXPECT_FALSE(contents.status.ok()) << whole.substr(0, size);
    const size_t lines = size < records_begin ? 0 : (size - records_begin) / 4;
    const size_t records = contents.sections.empty() ? 0 : contents.sections[0].records.size();
    EXPECT_GE(records, lines / 2);
  }
  ExpectError(Bytevalue(" 61\n 62\n"), Code::kInvalidArgument, "line 6: the input ends before");
  ExpectError(Bytevalue(" 61\nDATA=END\n"), Code::kInvalidArgument, "line 6: DATA=END between");
}

TEST(DumpReader, PassesOnErrorsOfItsSource) {
  StringSource source(Bytevalue(" 61\n 6"), 1000, {Code::kIo, "cannot read"});
  DumpReader reader(&source);
  std::string database, key, value;
  ASSERT_TRUE(reader.NextSection(&database).ok());
  // The half line is not taken for a whole one.
  EXPECT_EQ(reader.NextRecord(&key, &value).status().code(), Code::kIo);
}

TEST(DumpWriter, WritesWhatTheReaderReads) {
  std::mt19937 random(2);
  for (bool print : {false, true}) {
    std::vector<Section> sections;
    std::string text;
    for (const std::string name : {"", "users", "a\\b\tc\x7f", "gr\xc3\xbc\xc3\x9f"}) {
      Section section{name, {}};
      const DumpWriter writer({.print = print, .database = name, .mapsize = 1 << 20});
      writer.Header(&text);
      for (int i = 0; i < 500; ++i) {
        std::string key(1 + random() % 9, '\0'), value(random() % 20, '\0');
        for (char& byte : key) byte = static_cast<char>(random());
        for (char& byte : value) byte = "\\\n\r a0\xff"[random() % 7];
        writer.Record(key, value, &text);
        section.records.emplace_back(key, value);
      }
      writer.End(&text);
      sections.push_back(section);
    }
    const Contents contents = ReadAll(text, 1000);
    ASSERT_TRUE(contents.status.ok()) << contents.status.message();
    EXPECT_TRUE(contents.sections == sections);
  }
}

TEST(DumpWriter, WritesWhatMdbDumpWrites) {
  std::string text;
  const DumpWriter writer({.print = false, .database = "", .mapsize = 1 << 20});
  writer.Header(&text);
  writer.Record("ab", "c\n\xff", &text);
  writer.End(&text);
  EXPECT_EQ(text,
            "VERSION=3\nformat=bytevalue\ntype=btree\nmapsize=1048576\nHEADER=END\n"
            " 6162\n 630aff\nDATA=END\n");
}

TEST(DumpWriter, LeavesOutWhatIsNotSet) {
  std::string text;
  DumpWriter({.print = true, .database = "", .mapsize = 0}).Header(&text);
  EXPECT_EQ(text, "VERSION=3\nformat=print\ntype=btree\nHEADER=END\n");
}

TEST(MapsizeFor, IsLargeEnoughAndNotTooLarge) {
  EXPECT_EQ(MapsizeFor(16ull << 20), 64ull << 20);
  EXPECT_EQ(MapsizeFor(1ull << 30), 4ull << 30);
  EXPECT_EQ(MapsizeFor(1ull << 60), 64ull << 40);  // half of the address space
}

}  // namespace
}  // namespace tuff::tools
