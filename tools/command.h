// Command: what a verb declares about itself: its usage, its help, its arguments and options.
// The parser (cli.h) fills in what the declarations point to; help.h prints them, man_page.h and
// completion.h make the manual page and what a shell completes of them.
// Ownership: a Command borrows the variables it fills in; they must outlive it.
// Thread-safety: none.
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/escape.h"
#include "tuff/status.h"

namespace tuff::tools {

class Command {
 public:
  /// Takes a word of the command line.
  struct Setter {
    template <typename Function>
    requires std::invocable<const Function&, const std::string&> Setter(
        Function function, std::vector<std::string> words = {})  // NOLINT: implicit on purpose
        : set(std::move(function)), choices(std::move(words)) {}
    Status operator()(const std::string& text) const { return set(text); }

    std::function<Status(const std::string& text)> set;
    std::vector<std::string> choices;  // the words it takes; empty: others than these
  };

  struct Argument {
    std::string name;  // as in the usage: POOL
    bool required;
    Setter set;
  };
  struct Option {
    std::string names;    // "--limit" or "-p,--print"
    std::string metavar;  // "N"; empty for a flag
    std::string help;
    Setter set;  // called once if the option is given; what a flag's is called with has no meaning
  };
  struct Example {
    std::string line;
    std::string comment;
  };
  struct ManSection {
    std::string title;  // JSON
    std::vector<std::string> paragraphs;
  };

  explicit Command(std::string_view verb) : verb_(verb) {}

  // Help, in the order in which it is printed. Usage is without "tuff VERB".
  void Usage(std::string_view usage) { usages_.emplace_back(usage); }
  void About(std::string_view paragraph) { about_.emplace_back(paragraph); }
  void AddExample(std::string_view line, std::string_view comment) {
    examples_.push_back({std::string(line), std::string(comment)});
  }
  /// A further section of the manual page, which the help does not show.
  void AddManSection(std::string_view title, std::vector<std::string> paragraphs) {
    man_sections_.push_back({std::string(title), std::move(paragraphs)});
  }

  // Arguments, in their order; optional ones last.
  void Required(std::string_view name, std::string* target);
  void Required(std::string_view name, std::string* target, std::vector<std::string> choices);
  void Optional(std::string_view name, std::optional<std::string>* target);

  // Options.
  void Flag(std::string_view names, bool* target, std::string_view help);
  void Value(std::string_view names, std::string_view metavar, Setter set, std::string_view help);

  const std::string& verb() const { return verb_; }
  const std::vector<std::string>& usages() const { return usages_; }
  const std::vector<std::string>& about() const { return about_; }
  const std::vector<Example>& examples() const { return examples_; }
  const std::vector<ManSection>& man_sections() const { return man_sections_; }
  const std::vector<Argument>& arguments() const { return arguments_; }
  const std::vector<Option>& options() const { return options_; }

 private:
  const std::string verb_;
  std::vector<std::string> usages_;
  std::vector<std::string> about_;
  std::vector<Example> examples_;
  std::vector<ManSection> man_sections_;
  std::vector<Argument> arguments_;
  std::vector<Option> options_;
};

/// A setter that accepts the names in `choices` only:
/// Choice<Guard>(&guard, {{"auto", Guard::kAuto}, ...}).
template <typename T, typename Target>
Command::Setter Choice(Target* target, const std::vector<std::pair<std::string, T>>& choices) {
  std::vector<std::string> words;
  for (const auto& [name, value] : choices) words.push_back(name);
  const auto set = [target, choices](const std::string& text) -> Status {
    std::string known;
    for (const auto& [name, value] : choices) {
      if (name == text) {
        *target = value;
        return {};
      }
      known += (known.empty() ? "" : ", ") + name;
    }
    return {Code::kInvalidArgument, Quoted(text) + " is not one of " + known};
  };
  return {set, std::move(words)};
}

/// Setters for sizes (64M), counts (digits) and plain text.
Command::Setter SizeSetter(std::optional<uint64_t>* target);
Command::Setter CountSetter(std::optional<uint64_t>* target);
Command::Setter TextSetter(std::optional<std::string>* target);

}  // namespace tuff::tools
