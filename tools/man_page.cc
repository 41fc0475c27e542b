#include "tools/man_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace tuff::tools {
namespace {

constexpr size_t kColumns = 90;

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// `text` as roff reads it, but for what may stand at the start of a line only.
std::string Roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '^') {
      out += "\\(ha";
    } else if (c == '~') {
      out += "\\(ti";
    } else if (c == '`') {
      out += "\\(ga";
    } else {
      out += c;
    }
  }
  return out;
}

/// A control line begins with a point.
std::string Line(std::string_view roff) {
  return fmt::format("{}{}\n", roff.starts_with('.') ? "\\&" : "", roff);
}

std::string Bold(std::string_view text) { return "\\fB" + Roff(text) + "\\fR"; }
std::string Italic(std::string_view text) { return "\\fI" + Roff(text) + "\\fR"; }

/// The word that begins `text`: an option, a word, or one other character.
std::string_view FirstWord(std::string_view text) {
  size_t n = 0;
  const bool is_option = text.size() > 1 && text[0] == '-' && (text[1] == '-' || IsWord(text[1]));
  while (n < text.size() && (IsWord(text[n]) || (is_option && text[n] == '-'))) n++;
  return text.substr(0, std::max<size_t>(1, n));
}

/// Options are bold, and so are the other literal words of a usage; names in capitals italic.
std::string Emphasised(std::string_view text, bool usage, const std::vector<std::string>& names) {
  std::string out;
  char before = ' ';
  while (!text.empty()) {
    const bool starts = !IsWord(before) && before != '-';
    const std::string_view word = FirstWord(text);
    if (!starts) {
      out += Roff(word);
    } else if (word.size() > 1 && word[0] == '-') {
      out += Bold(word);
    } else if (std::find(names.begin(), names.end(), word) != names.end() ||
               (usage && word.size() > 1 && IsUpper(word[0]))) {
      out += Italic(word);
    } else if (usage && IsWord(word[0]) && !IsUpper(word[0])) {
      out += Bold(word);
    } else {
      out += Roff(word);
    }
    before = word.back();
    text.remove_prefix(word.size());
  }
  return out;
}

/// In lines of about kColumns.
std::string Filled(std::string_view roff) {
  std::string out;
  std::string line;
  while (!roff.empty()) {
    const size_t end = std::min(roff.find(' '), roff.size());
    if (!line.empty() && line.size() + 1 + end > kColumns) {
      out += Line(line);
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += roff.substr(0, end);
    roff.remove_prefix(std::min(end + 1, roff.size()));
  }
  return out + Line(line);
}

std::string OptionLabel(const Command::Option& option) {
  std::string label;
  for (std::string_view names = option.names; !names.empty();) {
    const size_t comma = std::min(names.find(','), names.size());
    label += (label.empty() ? "" : ", ") + Bold(names.substr(0, comma));
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
  return option.metavar.empty() ? label : label + ' ' + Italic(option.metavar);
}

std::string Capital(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string Paragraphs(const std::vector<std::string>& paragraphs,
                       const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& paragraph : paragraphs) {
    if (!out.empty()) out += ".PP\n";
    out += Filled(Emphasised(paragraph, false, names));
  }
  return out;
}

std::string Synopsis(const Command& command) {
  std::string out = ".SH SYNOPSIS\n.nf\n";
  for (const std::string& usage : command.usages()) {
    out += Line(Bold("tuff " + command.verb()) + ' ' + Emphasised(usage, true, {}));
  }
  return out + ".fi\n";
}

std::string Options(const Command& command, const std::vector<std::string>& names) {
  std::string out = ".SH OPTIONS\n";
  for (const Command::Option& option : command.options()) {
    out += ".TP\n" + Line(OptionLabel(option)) + Filled(Emphasised(option.help, false, names));
  }
  return out + ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nPrint a short form of this page.\n";
}

std::string Examples(const Command& command) {
  std::string out = ".SH EXAMPLES\n";
  for (const Command::Example& example : command.examples()) {
    out += Line(Roff(Capital(example.comment)) + ":") + ".PP\n.nf\n.RS\n" +
           Line(Roff(example.line)) + ".RE\n.fi\n.PP\n";
  }
  if (out.ends_with(".PP\n")) out.resize(out.size() - 4);
  return out;
}

// Of all verbs that have no such section of their own; tuff.1 says more of each.
constexpr std::string_view kExitStatus =
    ".SH EXIT STATUS\n"
    "0 it worked, 1 not found, 2 usage, 3 locked, 4 damaged, 5 no space, 6 permission, 7 I/O;\n"
    ".BR tuff (1)\n"
    "says more of each.\n"
    "An error is one line on standard error.\n";

}  // namespace

std::string ManPage(const Command& command, std::string_view summary) {
  std::vector<std::string> names;
  for (const Command::Argument& argument : command.arguments()) names.push_back(argument.name);
  for (const Command::Option& option : command.options()) names.push_back(option.metavar);
  std::string title = command.verb();
  for (char& c : title) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::string out = ".\\\" Made of tools/verb_*.cc; see tools/man_page.h.\n";
  out += fmt::format(".TH TUFF\\-{} 1 \"\" \"tuff\" \"tuff manual\"\n", Roff(title));
  out += fmt::format(".SH NAME\ntuff\\-{} \\- {}\n", Roff(command.verb()), Roff(summary));
  out += Synopsis(command);
  out += ".SH DESCRIPTION\n" + Paragraphs(command.about(), names);
  out += Options(command, names);
  bool has_exit_status = false;
  for (const Command::ManSection& section : command.man_sections()) {
    has_exit_status |= section.title == "EXIT STATUS";
    out += fmt::format(".SH {}\n", Roff(section.title)) + Paragraphs(section.paragraphs, names);
  }
  if (!has_exit_status) out += kExitStatus;
  out += Examples(command);
  return out + ".SH SEE ALSO\n.BR tuff (1)\n";
}

std::string ManReferences(std::span<const VerbEntry> verbs) {
  std::string out;
  for (const VerbEntry& verb : verbs) out += fmt::format(".BR tuff\\-{} (1),\n", Roff(verb.name));
  return out;
}

}  // namespace tuff::tools
