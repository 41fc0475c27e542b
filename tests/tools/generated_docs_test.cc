// The manual pages and the completion script are what the verbs declare. After a change of a verb:
// TUFF_UPDATE_DOCS=1 tools_test --gtest_filter='GeneratedDocs*' writes them anew.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "tools/completion.h"
#include "tools/man_page.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

const std::string kRoot = TUFF_SOURCE_DIR;
const std::string kManual = kRoot + "/docs/man/tuff.1";
constexpr const char* kHowTo =
    "write it anew: TUFF_UPDATE_DOCS=1 tools_test --gtest_filter='GeneratedDocs*'";

bool Updating() { return std::getenv("TUFF_UPDATE_DOCS") != nullptr; }

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Compare(const std::string& path, const std::string& generated) {
  if (Updating()) std::ofstream(path, std::ios::binary) << generated;
  EXPECT_EQ(Read(path), generated) << path << ": " << kHowTo;
}

std::string PageOf(const VerbEntry& entry) {
  const std::unique_ptr<Verb> verb = entry.make();
  Command command(entry.name);
  verb->Declare(&command);
  return ManPage(command, entry.summary);
}

TEST(GeneratedDocsTest, EachVerbHasItsPage) {
  std::set<std::string> wanted{"tuff.1"};
  for (const VerbEntry& entry : AllVerbs()) {
    const std::string name = "tuff-" + std::string(entry.name) + ".1";
    wanted.insert(name);
    Compare(kRoot + "/docs/man/" + name, PageOf(entry));
  }
  for (const auto& file : std::filesystem::directory_iterator(kRoot + "/docs/man")) {
    EXPECT_TRUE(wanted.contains(file.path().filename())) << file.path() << " is of no verb";
  }
}

TEST(GeneratedDocsTest, ManualNamesThePages) {
  const std::string begin = ".\\\" generated: verbs\n";
  std::string page = Read(kManual);
  const size_t from = page.find(begin) + begin.size();
  const size_t end = page.find(".\\\" end\n", from);
  ASSERT_TRUE(page.find(begin) != page.npos && end != page.npos);
  Compare(kManual, page.replace(from, end - from, ManReferences(AllVerbs())));
}

TEST(GeneratedDocsTest, Completion) {
  Compare(kRoot + "/tools/tuff.bash", BashCompletion(AllVerbs()));
}

TEST(GeneratedDocsTest, PageHasAllThatIsDeclared) {
  std::string target;
  Command command("try-it");
  command.Usage("what POOL [-n] [--size SIZE] - <FILE");
  command.About("Looks into POOL, by --size; a POOLROOM is none. 'Quoted' \\ ~.");
  command.AddExample("'x' | tuff try-it", "a comment");
  command.AddExample(".hidden", "a line that begins with a point");
  command.AddManSection("JSON", {"One paragraph.", "Another."});
  command.Required("WHAT", &target, {"one", "two"});
  command.Value(
      "-s,--size", "SIZE", [](const std::string&) { return Status(); }, "How large.");
  const std::string page = ManPage(command, "try it");
  for (const char* part :
       {".TH TUFF\\-TRY\\-IT 1 \"\" \"tuff\" \"tuff manual\"\n",
        ".SH NAME\ntuff\\-try\\-it \\- try it\n",
        "\\fBtuff try\\-it\\fR \\fBwhat\\fR \\fIPOOL\\fR [\\fB\\-n\\fR] "
        "[\\fB\\-\\-size\\fR \\fISIZE\\fR] \\- <\\fIFILE\\fR\n",
        "by \\fB\\-\\-size\\fR; a POOLROOM is none. \\(aqQuoted\\(aq \\e \\(ti.\n",
        ".TP\n\\fB\\-s\\fR, \\fB\\-\\-size\\fR \\fISIZE\\fR\nHow large.\n",
        ".SH JSON\nOne paragraph.\n.PP\nAnother.\n", "A comment:\n.PP\n.nf\n.RS\n\\(aqx\\(aq | ",
        "\n\\&.hidden\n"}) {
    EXPECT_NE(page.find(part), page.npos) << part << "\nis not in\n" << page;
  }
  EXPECT_FALSE(command.arguments()[0].set("three").ok());
  EXPECT_TRUE(command.arguments()[0].set("two").ok());
  EXPECT_EQ(target, "two");
}

}  // namespace
}  // namespace tuff::tools
