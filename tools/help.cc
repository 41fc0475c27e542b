#include "tools/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace tuff::tools {
namespace {

constexpr size_t kColumns = 80;

/// `text` in lines of at most kColumns, each indented by `indent`, without the first one's indent.
std::string Wrap(std::string_view text, size_t indent) {
  std::string out;
  size_t column = indent;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    if (column > indent && column + 1 + word.size() > kColumns) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out + '\n';
}

/// Rows of a left column and a wrapped right one.
std::string Table(const std::vector<std::pair<std::string, std::string>>& rows) {
  size_t width = 0;
  for (const auto& row : rows) width = std::max(width, row.first.size());
  std::string out;
  for (const auto& [left, right] : rows) {
    out += fmt::format("  {:<{}}  {}", left, width, Wrap(right, width + 4));
  }
  return out;
}

std::string OptionLabel(const Command::Option& option) {
  std::string label = option.names;
  for (size_t comma = label.find(','); comma != std::string::npos;
       comma = label.find(',', comma + 2)) {
    label.insert(comma + 1, " ");
  }
  if (label.starts_with("--")) label.insert(0, "    ");  // below the long names of the others
  return option.metavar.empty() ? label : label + " " + option.metavar;
}

}  // namespace

std::string VerbHelp(const Command& command) {
  std::string out = "usage:\n";
  for (const std::string& usage : command.usages()) {
    const std::string start = fmt::format("  tuff {} ", command.verb());
    out += start + Wrap(usage, start.size());
  }
  out += "\nexamples:\n";
  for (const Command::Example& example : command.examples()) {
    out += fmt::format("  # {}\n  {}\n", example.comment, example.line);
  }
  for (const std::string& paragraph : command.about()) out += '\n' + Wrap(paragraph, 0);
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Command::Option& option : command.options()) {
    rows.emplace_back(OptionLabel(option), option.help);
  }
  rows.emplace_back("-h, --help", "Print this help.");
  return out + "\noptions:\n" + Table(rows);
}

std::string ProgramHelp(std::span<const VerbEntry> verbs) {
  std::string out =
      "usage:\n"
      "  tuff VERB POOL [ARGUMENTS] [OPTIONS]\n"
      "  tuff VERB --help\n"
      "  tuff --version\n"
      "\n"
      "examples:\n"
      "  tuff create /mnt/pmem/pool --size 1G\n"
      "  tuff put /mnt/pmem/pool users ada 1815\n"
      "  tuff get /mnt/pmem/pool users ada\n"
      "  tuff dump /mnt/pmem/pool users >users.dump\n"
      "\n"
      "verbs:\n";
  std::vector<std::pair<std::string, std::string>> rows;
  for (const VerbEntry& verb : verbs) rows.emplace_back(verb.name, verb.summary);
  out += Table(rows);
  out +=
      "\n"
      "exit codes:\n"
      "  0 ok          2 usage    4 damaged   6 permission\n"
      "  1 not found   3 locked   5 no space  7 I/O\n"
      "\n"
      "A pool is a file (or a device) that holds named stores of sorted keys.\n"
      "Manuals: man tuff, man tuff-VERB\n";
  return out;
}

}  // namespace tuff::tools
