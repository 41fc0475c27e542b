// ScriptReader, and StoreStats.
#include "tools/script_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "string_source.h"
#include "tools/store_stats.h"

namespace tuff::tools {
namespace {

using namespace std::string_view_literals;

/// The operations as text, and the error if there is one.
std::string Read(std::string_view script, size_t chunk = SIZE_MAX) {
  StringSource source{std::string(script), chunk};
  ScriptReader reader(&source);
  std::string out;
  for (;;) {
    ScriptOperation op;
    Result<bool> more = reader.Next(&op);
    if (!more.ok()) return out + std::string(more.status().message());
    if (!*more) return out;
    out += std::to_string(op.line) + (op.put ? "+" : "-") + "[" + op.store + "|" + op.key + "|" +
           op.value + "]";
  }
}

TEST(ScriptReader, CutsAtBlanks) {
  for (size_t chunk : {1, 3, 100}) {
    EXPECT_EQ(Read("put s k v\n  delete   s  k  \n\n \t \n  # put s\nput s k v", chunk),
              "1+[s|k|v]2-[s|k|]6+[s|k|v]");
  }
  EXPECT_EQ(Read(""), "");
}

TEST(ScriptReader, CutsAtTabsWhereThereIsOne) {
  EXPECT_EQ(Read("put\ts 1\tk k\tv v\nput\ts\tk\t\ndelete\t s\tk \n"),
            "1+[s 1|k k|v v]2+[s|k|]3-[ s|k |]");
}

TEST(ScriptReader, ReadsEscapesInEveryField) {
  EXPECT_EQ(Read("put s\\x20t a\\tb \\x00\\\\\n"), "1+[s t|a\tb|\0\\]"sv);
}

TEST(ScriptReader, SaysWhatIsWrongAndWhere) {
  const std::pair<std::string, const char*> kCases[] = {
      {"\nput s k", "line 2: 2 fields where put takes STORE KEY VALUE; write a blank"},
      {"put s k v w", "line 1: 4 fields where put takes"},
      {"put", "line 1: 0 fields where put takes"},
      {"delete s", "line 1: 1 fields where delete takes STORE KEY; write"},
      {"put\ts k v", "line 1: 1 fields where put takes STORE KEY VALUE; this line has TABs"},
      {"\tput\ts\tk\tv", "line 1: \"\" is not one of put, delete"},
      {"PUT s k v", "line 1: \"PUT\" is not one of put, delete"},
      {"put s k v\r\n", "line 1: ends in a carriage return"},
      {"put s \\q v", "line 1: KEY: bad escape"},
      {"put \\x1 k v", "line 1: STORE: bad escape"},
      {"put s k \\", "line 1: VALUE: bad escape"},
      {"delete\ts\t", "line 1: the key is empty"},
      {"delete s " + std::string(1025, 'k'), "line 1: a key of 1025 bytes; at most 1024"},
      {"put s k " + std::string(16368, 'v'), "line 1: a value of 16368 bytes under a key of 1"},
  };
  for (const auto& [script, message] : kCases) {
    const std::string got = Read(script);
    EXPECT_TRUE(got.starts_with(message)) << got;
    EXPECT_EQ(got.find('\n'), std::string::npos) << got;
  }
  EXPECT_EQ(Read("put s k " + std::string(16367, 'v')).size(), 16367 + 8u);
}

TEST(ScriptReader, PassesAFailureOn) {
  StringSource source("put s k v\n", SIZE_MAX, {Code::kIo, "gone"});
  ScriptReader reader(&source);
  ScriptOperation op;
  ASSERT_TRUE(reader.Next(&op).ok());
  EXPECT_EQ(reader.Next(&op).status().code(), Code::kIo);
}

TEST(StoreStats, CountsBySize) {
  StoreStats stats;
  stats.Add("a", "");
  stats.Add("bb", std::string(6, 'v'));
  stats.Add("c", std::string(8, 'v'));
  stats.Add(std::string(1024, 'd'), std::string(kRecordSizeMax - 16 - 1024, 'v'));
  EXPECT_EQ(stats.records, 4u);
  EXPECT_EQ(stats.keys.smallest, 1u);
  EXPECT_EQ(stats.keys.largest, 1024u);
  EXPECT_EQ(stats.values.smallest, 0u);
  EXPECT_EQ(stats.bytes(), 1u + 8 + 9 + kRecordSizeMax - 16);
  EXPECT_EQ(stats.first_key, "a");
  EXPECT_EQ(stats.last_key, std::string(1024, 'd'));
  EXPECT_EQ(stats.sizes[0], 1u);   // 1 byte
  EXPECT_EQ(stats.sizes[3], 1u);   // 5 to 8
  EXPECT_EQ(stats.sizes[4], 1u);   // 9 to 16
  EXPECT_EQ(stats.sizes[14], 1u);  // the largest
}

}  // namespace
}  // namespace tuff::tools
