#include "tools/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "tools/escape.h"

namespace tuff::tools {
namespace {

class Parser {
 public:
  explicit Parser(const Command& command) : command_(command) {
    app_.set_help_flag("-h,--help");
    // Arguments are taken as they are, and by us: CLI11 gives some of them ("{}") a meaning.
    app_.allow_extras();
    for (const Command::Option& option : command.options()) {
      CLI::Option* parsed =
          option.metavar.empty() ? app_.add_flag(option.names) : app_.add_option(option.names);
      // The last one counts, so that a shell alias can be overruled.
      parsed_.push_back(parsed->multi_option_policy(CLI::MultiOptionPolicy::TakeLast));
    }
  }

  Result<Parsed> Parse(std::vector<std::string> words) {
    const auto dashes = std::find(words.begin(), words.end(), "--");
    std::vector<std::string> after(dashes == words.end() ? dashes : dashes + 1, words.end());
    words.erase(dashes, words.end());
    SplitEmptyValues(&words);
    try {
      std::reverse(words.begin(), words.end());  // as App::parse wants it
      app_.parse(std::move(words));
    } catch (const CLI::CallForHelp&) {
      return Parsed::kHelp;
    } catch (const CLI::ArgumentMismatch& error) {
      const std::string_view what = error.what();  // "--size: 1 required ..."
      return Usage(fmt::format("{} needs a value", what.substr(0, what.find(':'))));
    } catch (const CLI::ParseError& error) {
      return Usage(error.what());
    }
    if (Status s = SetOptions(); !s.ok()) return s;
    if (Status s = SetArguments(after); !s.ok()) return s;
    return Parsed::kRun;
  }

 private:
  Status Usage(std::string_view what) const {
    return {Code::kInvalidArgument, fmt::format("{}; see 'tuff {} --help'", what, command_.verb())};
  }

  /// "--from=" is an empty value; CLI11 would take the next word.
  static void SplitEmptyValues(std::vector<std::string>* words) {
    for (size_t i = 0; i < words->size(); ++i) {
      std::string& word = (*words)[i];
      if (!word.starts_with("--") || !word.ends_with('=')) continue;
      word.pop_back();
      words->insert(words->begin() + static_cast<ptrdiff_t>(++i), "");
    }
  }

  Status SetOptions() {
    for (size_t i = 0; i < parsed_.size(); ++i) {
      const Command::Option& option = command_.options()[i];
      if (parsed_[i]->count() == 0) continue;
      const std::string text = parsed_[i]->results().back();
      if (option.metavar.empty() && text != "true") {
        return Usage(fmt::format("{} takes no value", parsed_[i]->get_name()));
      }
      if (Status s = option.set(text); !s.ok()) {
        return Usage(fmt::format("{}: {}", parsed_[i]->get_name(), s.message()));
      }
    }
    return {};
  }

  /// CLI11 leaves "-" and negative numbers to the arguments too.
  static bool IsUnknownOption(const std::string& word) {
    return word.size() > 1 && word[0] == '-' && (word[1] < '0' || word[1] > '9');
  }

  Status SetArguments(const std::vector<std::string>& after) {
    std::vector<std::string> words = app_.remaining();
    for (const std::string& word : words) {
      if (IsUnknownOption(word)) {
        return Usage(
            fmt::format("unknown option {} (words that begin with - go after --)", Quoted(word)));
      }
    }
    words.insert(words.end(), after.begin(), after.end());
    const auto& arguments = command_.arguments();
    if (words.size() > arguments.size()) {
      return Usage(fmt::format("{} is one argument too many", Quoted(words[arguments.size()])));
    }
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (i < words.size()) {
        if (Status s = arguments[i].set(words[i]); !s.ok()) return Usage(s.message());
      } else if (arguments[i].required) {
        return Usage(fmt::format("{} is missing", arguments[i].name));
      }
    }
    return {};
  }

  const Command& command_;
  CLI::App app_;
  std::vector<CLI::Option*> parsed_;  // beside command_.options()
};

}  // namespace

Result<Parsed> ParseCommandLine(const Command& command, const std::vector<std::string>& words) {
  return Parser(command).Parse(words);
}

}  // namespace tuff::tools
