// The command line, help, progress line, JSON and exit codes: what needs no pool.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tools/cli.h"
#include "tools/exit_code.h"
#include "tools/help.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tuff/options.h"

namespace tuff::tools {
namespace {

using namespace std::string_view_literals;

/// A command with one of everything.
struct Sample {
  Sample() {
    command.Required("POOL", &pool);
    command.Optional("FILE", &file);
    command.Flag("-p,--print", &print, "Print.");
    command.Value("--size", "SIZE", SizeSetter(&size), "Size.");
    command.Value("--from", "KEY", TextSetter(&from), "Key.");
    command.Value("--guard", "KIND",
                  Choice<Guard>(&guard, {{"pkey", Guard::kPkey}, {"none", Guard::kNone}}), "Kind.");
  }

  /// "" if it parsed, else the message.
  std::string Parse(const std::vector<std::string>& words) {
    Result<Parsed> parsed = ParseCommandLine(command, words);
    help = parsed.ok() && *parsed == Parsed::kHelp;
    return std::string(parsed.status().message());
  }

  Command command{"verb"};
  std::string pool;
  std::optional<std::string> file;
  bool print = false;
  std::optional<uint64_t> size;
  std::optional<std::string> from;
  Guard guard = Guard::kAuto;
  bool help = false;
};

TEST(CommandLine, FillsInWhatIsGiven) {
  Sample sample;
  EXPECT_EQ(sample.Parse({"-p", "pool", "--size=64M", "--from", "-x", "--guard", "none", "file"}),
            "");
  EXPECT_EQ(sample.pool, "pool");
  EXPECT_EQ(sample.file, "file");
  EXPECT_TRUE(sample.print);
  EXPECT_EQ(sample.size, 64u << 20);
  EXPECT_EQ(sample.from, "-x");
  EXPECT_EQ(sample.guard, Guard::kNone);
}

TEST(CommandLine, LeavesTheRestAlone) {
  Sample sample;
  EXPECT_EQ(sample.Parse({"pool"}), "");
  EXPECT_FALSE(sample.file.has_value());
  EXPECT_FALSE(sample.print);
  EXPECT_FALSE(sample.size.has_value());
  EXPECT_EQ(sample.guard, Guard::kAuto);
}

TEST(CommandLine, TakesWordsAsTheyAre) {
  for (const char* word : {"{}", "[a,b]", "%%", "", "-", "-5", "a=b", "'x'", "info", "++", "/v"}) {
    Sample sample;
    EXPECT_EQ(sample.Parse({"pool", word}), "") << word;
    EXPECT_EQ(sample.file, word);
    EXPECT_EQ(sample.Parse({"pool", "--from", word}), "") << word;
    EXPECT_EQ(sample.from, word);
  }
}

TEST(CommandLine, TakesAnythingAfterTwoDashes) {
  Sample sample;
  EXPECT_EQ(sample.Parse({"-p", "--", "--size", "-x"}), "");
  EXPECT_EQ(sample.pool, "--size");
  EXPECT_EQ(sample.file, "-x");
}

TEST(CommandLine, TakesAnEmptyValueAfterEquals) {
  Sample sample;
  EXPECT_EQ(sample.Parse({"--from=", "pool"}), "");
  EXPECT_EQ(sample.from, "");
  EXPECT_EQ(sample.pool, "pool");
}

TEST(CommandLine, LetsTheLastOneCount) {
  Sample sample;
  EXPECT_EQ(sample.Parse({"pool", "--size", "1", "--size", "2", "-p", "-p"}), "");
  EXPECT_EQ(sample.size, 2u);
}

TEST(CommandLine, SaysWhatIsWrong) {
  const std::pair<std::vector<std::string>, const char*> kCases[] = {
      {{}, "POOL is missing; see 'tuff verb --help'"},
      {{"pool", "file", "more"}, "\"more\" is one argument too many; see"},
      {{"pool", "--bogus"}, "unknown option \"--bogus\""},
      {{"pool", "-x"}, "unknown option \"-x\""},
      {{"pool", "--size"}, "--size needs a value; see"},
      {{"pool", "--size", "12X"}, "--size: \"12X\" is not a size"},
      {{"pool", "--guard", "foo"}, "--guard: \"foo\" is not one of pkey, none; see"},
      {{"pool", "--print=no"}, "--print takes no value; see"},
  };
  for (const auto& [words, message] : kCases) {
    Sample sample;
    const std::string got = sample.Parse(words);
    EXPECT_TRUE(got.starts_with(message)) << got;
    EXPECT_EQ(got.find('\n'), std::string::npos);
  }
}

TEST(Help, IsAskedForBeforeAnythingIsMissing) {
  for (const char* word : {"--help", "-h"}) {
    Sample sample;
    EXPECT_EQ(sample.Parse({word}), "");
    EXPECT_TRUE(sample.help);
  }
}

TEST(Help, OfEveryVerbBeginsWithUsageAndFitsATerminal) {
  for (const VerbEntry& entry : AllVerbs()) {
    Command command(entry.name);
    const std::unique_ptr<Verb> verb = entry.make();
    verb->Declare(&command);
    const std::string help = VerbHelp(command);
    EXPECT_TRUE(help.starts_with("usage:\n  tuff " + std::string(entry.name) + " ")) << help;
    const char* const pool = entry.name == "salvage" ? " OLD NEW" : " POOL";
    EXPECT_LT(help.find(pool), help.find("\n\nexamples")) << help;
    EXPECT_NE(help.find("\n\nexamples:\n  # "), std::string::npos) << help;
    EXPECT_NE(help.find("\n\noptions:\n"), std::string::npos) << help;
    size_t begin = 0;
    for (size_t end; (end = help.find('\n', begin)) != std::string::npos; begin = end + 1) {
      EXPECT_LE(end - begin, 80u) << help.substr(begin, end - begin);
    }
    EXPECT_NE(ProgramHelp(AllVerbs()).find("\n  " + std::string(entry.name) + " "),
              std::string::npos);
  }
}

TEST(ExitCode, IsFixedForEveryCode) {
  const std::pair<Code, int> kCodes[] = {
      {Code::kOk, 0},      {Code::kNotFound, 1},   {Code::kInvalidArgument, 2},
      {Code::kExists, 2},  {Code::kTooLarge, 2},   {Code::kNotSupported, 2},
      {Code::kLocked, 3},  {Code::kBusy, 3},       {Code::kCorruption, 4},
      {Code::kNoSpace, 5}, {Code::kPermission, 6}, {Code::kReadOnly, 6},
      {Code::kIo, 7},      {Code::kNoMemory, 7},   {Code::kConflict, 3},
      {Code::kExpired, 3},
  };
  for (const auto& [code, exit_code] : kCodes) EXPECT_EQ(ExitCodeOf(code), exit_code);
}

TEST(Json, EncodesWhatIsNotUtf8) {
  JsonObject json;
  json.SetBytes("key", "a\"\t\0\xc3\xbc"sv);
  json.SetBytes("value", "\0\xff\\"sv);
  json.SetNumber("number", UINT64_MAX);
  json.SetBool("bool", true);
  EXPECT_EQ(json.Line(),
            "{\"key\":\"a\\\"\\t\\u0000\xc3\xbc\",\"value_base64\":\"AP9c\","
            "\"number\":18446744073709551615,\"bool\":true}");
}

TEST(Json, Base64Pads) {  // the test vectors of RFC 4648
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foo"), "Zm9v");
  EXPECT_EQ(Base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(Base64("\xfb\xff"), "+/8=");
}

TEST(Progress, ShowsABarWhereTheEndIsKnown) {
  EXPECT_EQ(FormatProgress("users", {50, 512, 1024, 2}),
            "users [========>       ]  50%  50 records  512 B  256 B/s  2.0 s left");
  EXPECT_EQ(FormatProgress("users", {1, 0, 1024, 0}),
            "users [>               ]   0%  1 record  0 B");
  EXPECT_EQ(FormatProgress("users", {9, 2048, 1024, 0}),
            "users [================] 100%  9 records  2.0 KiB");
  EXPECT_EQ(FormatProgress("a\n", {7, 3072, std::nullopt, 3}),
            "a\\n  7 records  3.0 KiB  1.0 KiB/s");
}

}  // namespace
}  // namespace tuff::tools
