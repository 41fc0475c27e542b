// tuff inspect: shows what lies in a pool, structure by structure.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <optional>
#include <span>
#include <vector>

#include "engine/inspect/inspect.h"
#include "tools/escape.h"
#include "tools/inspect_map.h"
#include "tools/json.h"
#include "tools/report_printer.h"
#include "tools/sizes.h"
#include "tools/verb.h"
#include "tools/words.h"

namespace tuff::tools {
namespace {

using inspect::Report;

/// What is asked for, besides WHAT and the pool.
struct Question {
  std::vector<std::string> arguments;
  uint64_t number = 0;  // the first argument, where that is a number
  bool hex = false;
};

struct What {
  std::string_view name;
  std::string_view arguments;  // as in the usage
  size_t count;                // of the arguments
  bool number;                 // the argument is one
  Result<Report> (*look)(const PoolImage& image, const Question& question);
};

constexpr What kWhats[] = {
    {"superblock", "", 0, false,
     [](const PoolImage& image, const Question&) -> Result<Report> {
       return inspect::Superblocks(image);
     }},
    {"lanes", "", 0, false,
     [](const PoolImage& image, const Question&) -> Result<Report> {
       return inspect::LaneEntries(image);
     }},
    {"section", "N", 1, true,
     [](const PoolImage& image, const Question& question) {
       return inspect::Section(image, question.number);
     }},
    {"frame", "PFN", 1, true,
     [](const PoolImage& image, const Question& question) {
       return inspect::Frame(image, question.number, question.hex);
     }},
    {"node", "PFN", 1, true,
     [](const PoolImage& image, const Question& question) {
       return inspect::Node(image, question.number, question.hex);
     }},
    {"tree", "STORE", 1, false,
     [](const PoolImage& image, const Question& question) {
       return inspect::Tree(image, question.arguments[0]);
     }},
    {"key", "STORE KEY", 2, false,
     [](const PoolImage& image, const Question& question) {
       return inspect::Key(image, question.arguments[0], question.arguments[1]);
     }},
    {"buddyinfo", "", 0, false,
     [](const PoolImage& image, const Question&) -> Result<Report> {
       return inspect::BuddyInfo(image);
     }},
    {"descriptors", "", 0, false,
     [](const PoolImage& image, const Question&) -> Result<Report> {
       return inspect::Descriptors(image);
     }},
    {"snapshots", "", 0, false,
     [](const PoolImage& image, const Question&) -> Result<Report> {
       return inspect::Snapshots(image);
     }},
};

class InspectVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status ReadQuestion(const What& what);
  std::string Text(const Report& report) const;
  std::string Json(const PoolImage& image, const Report& report) const;

  std::string what_;
  std::string path_;
  std::optional<std::string> first_;
  std::optional<std::string> second_;
  Question question_;
  bool escaped_ = false;
  bool json_ = false;
  MapFormat format_ = MapFormat::kText;
};

void DeclareManSections(Command* command) {
  command->AddManSection(
      "WHAT THERE IS TO SEE",
      {"superblock: both copies, whether each is whole, which one counts, and in which fields they "
       "differ.",
       "lanes: each lane that is not empty: its entry, and whether that is live (and then, whether "
       "the change was committed, so that the next open finishes it, or not, so that it undoes "
       "it), torn (nothing of the change was done) or damaged; the runs of frames that the change "
       "allocates and frees, or the stores of its list.",
       "section N: where the section's frame table and memmap lie, how many of its frames are used "
       "and free, and whose they are, by kind and by object.",
       "frame PFN: the owner word, what the frame holds if that is a superblock, a lane, an anchor "
       "or a node, and who refers to it: all trees are walked for that. A frame that is in use, "
       "and that nothing refers to, is leaked, or what led to it is damaged.",
       "node PFN: the header, and the verdict on it; of a leaf, each record of the base and of the "
       "log with its checksum's verdict, and where the log ends and what is behind it; of an inner "
       "node, its children.",
       "tree STORE: how many nodes there are on each level, of which size (order), and how full "
       "they are; how long the leaves' logs are. It reads all of the tree.",
       "key STORE KEY: the way from the tree's root to the leaf that KEY belongs to, and each "
       "record of it there, the newest first.",
       "buddyinfo: free runs of frames by order (a run of order k is 2^k frames), a line for each "
       "section, in the shape of /proc/buddyinfo; sections that are alike share one.",
       "descriptors: of a pool that is in use, the page blocks (512 frames) whose page descriptors "
       "have been initialised since it was opened, and how many of their frames are heads of runs, "
       "verified nodes, leaves whose log has been indexed, latched, pinned, or obsolete. "
       "Descriptors that are kept in the memory of the process cannot be seen.",
       "snapshots: of a pool that is in use, how many snapshots its process holds, when the oldest "
       "was taken, and what is kept for them.",
       "map: the whole pool as a picture."});
  command->AddManSection(
      "EXIT STATUS",
      {"0: what was asked for is there and not damaged. 1: there is no such pool, store, section, "
       "frame or key, or the frame is no node. 4: what was asked for is damaged, or the file is no "
       "pool; all that can be shown has been.",
       "While it looks at a pool that nobody has open for writing, nobody can open it for writing, "
       "as with every reader."});
}

void InspectVerb::Declare(Command* command) {
  for (const What& what : kWhats) {
    const std::string_view own = what.name == "frame" || what.name == "node" ? " [--hex]"
                                 : what.name == "key"                        ? " [--escaped]"
                                                                             : "";
    command->Usage(fmt::format("{} POOL{}{}{} [--json]", what.name,
                               what.arguments.empty() ? "" : " ", what.arguments, own));
  }
  command->Usage("map POOL [--format FORMAT | --json]");
  command->AddExample("tuff inspect superblock /mnt/pmem/pool", "is it a pool, and in what state");
  command->AddExample("tuff inspect frame /mnt/pmem/pool 1234",
                      "a message names pfn 1234: what is that, and who needs it");
  command->AddExample("tuff inspect node /mnt/pmem/pool 1234 --hex",
                      "which of a node's records are damaged");
  command->AddExample("tuff inspect key /mnt/pmem/pool users ada", "where a record lies");
  command->AddExample("tuff inspect tree /mnt/pmem/pool /catalogue",
                      "the pool's own tree of stores");
  command->AddExample("tuff inspect lanes /mnt/pmem/pool --json | jq .summary", "for scripts");
  command->About(
      "Shows what lies in a pool: the superblock, lanes (changes under way), a section's frames, a "
      "frame, a tree's node, the shape of a tree, the way to a key, free runs by order, page "
      "descriptors, snapshots.");
  command->About(
      "It only reads, and shows the file as it lies there: damaged, not closed (nothing is "
      "recovered) or in use by another process (a moment's view). What is damaged is named in "
      "lines at the top, the exit code is 4, and everything else is shown all the same.");
  command->About(
      "STORE is a store's name; or /catalogue, /graveyard, or /ID: the tree of that object. "
      "Numbers are decimal, or hexadecimal behind 0x.");
  DeclareManSections(command);
  std::vector<std::string> names;
  for (const What& what : kWhats) names.emplace_back(what.name);
  names.emplace_back("map");
  command->Required("WHAT", &what_, names);
  command->Required("POOL", &path_);
  command->Optional("ARGUMENT", &first_);
  command->Optional("ARGUMENT", &second_);
  command->Flag("--hex", &question_.hex, "Of frame and node: all bytes, too.");
  DeclareInspectMap(command, &format_);
  command->Flag("--json", &json_, "Print one JSON object.");
  DeclareEscaped(command, &escaped_);
}

Result<uint64_t> ParseNumber(std::string_view text) {
  if (!text.starts_with("0x") || text.size() > 18 || text.size() == 2) return ParseCount(text);
  uint64_t number = 0;
  for (const char c : text.substr(2)) {
    const int digit = HexDigit(c);
    if (digit < 0) return ParseCount(text);  // which says what is wrong
    number = number << 4 | static_cast<uint64_t>(digit);
  }
  return number;
}

Status InspectVerb::ReadQuestion(const What& what) {
  if (Status s = DecodeWord(escaped_, "KEY", &second_); !s.ok()) return s;
  for (const auto* argument : {&first_, &second_}) {
    if (*argument) question_.arguments.push_back(**argument);
  }
  if (question_.arguments.size() != what.count) {
    return {Code::kInvalidArgument,
            fmt::format("{} needs POOL{}{} and nothing else; see 'tuff inspect --help'", what.name,
                        what.arguments.empty() ? "" : " ", what.arguments)};
  }
  const bool has_bytes = what.name == "frame" || what.name == "node";
  if (question_.hex && !has_bytes) {
    return {Code::kInvalidArgument, "--hex is for frame and node"};
  }
  if (what.number) {
    Result<uint64_t> number = ParseNumber(question_.arguments[0]);
    if (!number.ok()) return number.TakeStatus();
    question_.number = *number;
  }
  return {};
}

// As /proc/buddyinfo has it: a line for each section, a column for each order.
std::string BuddyText(const inspect::Object& body) {
  std::string out = fmt::format("{:<20}", "order");
  for (int order = 0; order < 10; order++) out += fmt::format("{:>7}", order);
  out += '\n';
  const auto add = [&](const std::string& name, const inspect::Object& counts) {
    out += fmt::format("{:<20}", name);
    for (const inspect::Item& item : counts.items()) {
      if (item.name.starts_with("order_")) out += fmt::format("{:>7}", item.number);
    }
    out += '\n';
  };
  for (const inspect::Object& row : body.Find("sections")->objects) {
    const uint64_t from = row.Find("section")->number;
    const uint64_t to = row.Find("to")->number;
    add(from == to ? fmt::format("section {}", from) : fmt::format("section {}-{}, each", from, to),
        row);
  }
  add("all", body.Find("total")->objects.front());
  const inspect::Item* free = body.Find("free_frames");
  return out + fmt::format("free frames {} ({})\n", free->number, free->meaning);
}

std::string InspectVerb::Text(const Report& report) const {
  return HeadText(report) +
         (what_ == "buddyinfo" ? BuddyText(report.body) : ObjectText(report.body));
}

std::string InspectVerb::Json(const PoolImage& image, const Report& report) const {
  JsonObject json;
  json.SetBytes("path", path_);
  json.SetBytes("what", what_);
  json.SetBool("in_use", image.in_use());
  json.SetStrings("notes", report.notes);
  json.SetStrings("damage", report.damage);
  AddJson(report.body, &json);
  return json.Line() + '\n';
}

Outcome InspectVerb::Run(const Context& context) {
  if (what_ == "map") {
    if (first_) return {kExitUsage, "map needs POOL and nothing else; see 'tuff inspect --help'"};
    return RunInspectMap(path_, json_ ? MapFormat::kJson : format_, context);
  }
  const auto what = std::find_if(std::begin(kWhats), std::end(kWhats),
                                 [&](const What& w) { return w.name == what_; });
  assert(what != std::end(kWhats));  // or it would not have been accepted
  if (Status s = ReadQuestion(*what); !s.ok()) return s;
  auto image = PoolImage::Open(path_, {.also_in_use = true});
  if (!image.ok()) return image.status();
  Result<Report> report = what->look(**image, question_);
  if (!report.ok()) return report.status();
  context.output->Write(json_ ? Json(**image, *report) : Text(*report));
  if (!report->damage.empty()) {
    return {kExitDamaged,
            fmt::format("{}: {}{}", path_, report->damage.front(),
                        report->damage.size() == 1
                            ? ""
                            : fmt::format("; {} problems in all", report->damage.size()))};
  }
  return report->missing;
}

}  // namespace

std::unique_ptr<Verb> MakeInspectVerb() { return std::make_unique<InspectVerb>(); }

}  // namespace tuff::tools
