#include "tools/escape.h"

#include <gtest/gtest.h>

#include <random>

#include "tools/utf8.h"

namespace tuff::tools {
namespace {

using namespace std::string_view_literals;

std::string RandomBytes(std::mt19937* random) {
  // Half of the bytes from those that escapes, UTF-8 and lines are made of.
  constexpr std::string_view kInteresting = "\\\t\n\rx0aF\xc2\x85\xe0\xa0\xed\xf4\x8f\xff\0"sv;
  std::string bytes((*random)() % 12, '\0');
  for (char& byte : bytes) {
    byte = (*random)() % 2 ? kInteresting[(*random)() % kInteresting.size()]
                           : static_cast<char>((*random)());
  }
  return bytes;
}

TEST(Escape, LeavesTextReadable) {
  EXPECT_EQ(Escape("plain text, \"quoted\" /%"), "plain text, \"quoted\" /%");
  EXPECT_EQ(Escape("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x8b"),
            "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x8b");
}

TEST(Escape, EscapesWhatBreaksALineOrATerminal) {
  EXPECT_EQ(Escape("a\tb\nc\rd\\e"), "a\\tb\\nc\\rd\\\\e");
  EXPECT_EQ(Escape("\0\x1b\x7f"sv), "\\x00\\x1b\\x7f");
  EXPECT_EQ(Escape("\xc2\x9b"), "\\xc2\\x9b");  // U+009B, CSI
  EXPECT_EQ(Escape("\xc2\xa0"), "\xc2\xa0");    // U+00A0 is not a control character
  EXPECT_EQ(Escape("\xff"
                   "a\xc3"),
            "\\xffa\\xc3");                              // not UTF-8; cut off
  EXPECT_EQ(Escape("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
}

TEST(Escape, IsUndoneByUnescape) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    const std::string bytes = RandomBytes(&random);
    const std::string text = Escape(bytes);
    EXPECT_TRUE(IsUtf8(text)) << text;
    EXPECT_EQ(text.find_first_of("\t\n\r\0"sv), std::string::npos) << text;
    Result<std::string> back = Unescape(text);
    ASSERT_TRUE(back.ok()) << text << ": " << back.status().message();
    ASSERT_EQ(*back, bytes) << text;
  }
}

TEST(Unescape, TakesOtherBytesAsTheyAre) {
  EXPECT_EQ(*Unescape("\xff\x01"), "\xff\x01");
  EXPECT_EQ(*Unescape("\\x41\\x6A\\xfF"), "Aj\xff");
}

TEST(Unescape, RefusesUnknownAndCutOffEscapes) {
  for (std::string_view text : {"\\"sv, "a\\"sv, "\\q"sv, "\\x"sv, "\\x1"sv, "\\xg0"sv, "\\x0g"sv,
                                "\\0"sv, "\\\0"sv, "\\\\\\"sv}) {
    Result<std::string> bytes = Unescape(text);
    EXPECT_FALSE(bytes.ok()) << text;
    EXPECT_EQ(bytes.status().code(), Code::kInvalidArgument);
  }
  EXPECT_NE(Unescape("ab\\q").status().message().find("\\q at byte 3"), std::string::npos)
      << Unescape("ab\\q").status().message();
}

TEST(Quoted, CutsWhatIsLong) {
  EXPECT_EQ(Quoted("a\n"), "\"a\\n\"");
  EXPECT_EQ(Quoted(std::string(41, 'x')), '"' + std::string(40, 'x') + "...\"");
}

TEST(Utf8, FollowsRfc3629) {
  for (std::string_view good : {"\x7f"sv, "\0"sv, "\xc2\x80"sv, "\xe0\xa0\x80"sv, "\xed\x9f\xbf"sv,
                                "\xee\x80\x80"sv, "\xf0\x90\x80\x80"sv, "\xf4\x8f\xbf\xbf"sv}) {
    EXPECT_EQ(Utf8Length(good), good.size()) << Escape(good);
  }
  for (std::string_view bad :
       {"\x80"sv, "\xc0\x80"sv, "\xc1\xbf"sv, "\xe0\x9f\xbf"sv, "\xed\xa0\x80"sv,
        "\xf0\x8f\xbf\xbf"sv, "\xf4\x90\x80\x80"sv, "\xf5\x80\x80\x80"sv, "\xc2"sv, "\xe2\x82"sv,
        "\xc2\x41"sv, "\xff"sv}) {
    EXPECT_EQ(Utf8Length(bad), 0u);
    EXPECT_FALSE(IsUtf8(bad));
  }
}

}  // namespace
}  // namespace tuff::tools
