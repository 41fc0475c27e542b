#include "tools/command.h"

#include "tools/sizes.h"

namespace tuff::tools {
namespace {

Command::Setter NumberSetter(std::optional<uint64_t>* target,
                             Result<uint64_t> (*parse)(std::string_view)) {
  return [target, parse](const std::string& text) -> Status {
    Result<uint64_t> number = parse(text);
    if (number.ok()) *target = *number;
    return number.TakeStatus();
  };
}

}  // namespace

void Command::Required(std::string_view name, std::string* target) {
  arguments_.push_back({std::string(name), true, [target](const std::string& text) -> Status {
                          *target = text;
                          return {};
                        }});
}

void Command::Required(std::string_view name, std::string* target,
                       std::vector<std::string> choices) {
  std::vector<std::pair<std::string, std::string>> values;
  for (std::string& word : choices) values.emplace_back(word, word);
  arguments_.push_back({std::string(name), true, Choice<std::string>(target, values)});
}

void Command::Optional(std::string_view name, std::optional<std::string>* target) {
  arguments_.push_back({std::string(name), false, TextSetter(target)});
}

void Command::Flag(std::string_view names, bool* target, std::string_view help) {
  options_.push_back(
      {std::string(names), "", std::string(help), [target](const std::string&) -> Status {
         *target = true;
         return {};
       }});
}

void Command::Value(std::string_view names, std::string_view metavar, Setter set,
                    std::string_view help) {
  options_.push_back({std::string(names), std::string(metavar), std::string(help), std::move(set)});
}

Command::Setter SizeSetter(std::optional<uint64_t>* target) {
  return NumberSetter(target, ParseSize);
}

Command::Setter CountSetter(std::optional<uint64_t>* target) {
  return NumberSetter(target, ParseCount);
}

Command::Setter TextSetter(std::optional<std::string>* target) {
  return [target](const std::string& text) -> Status {
    *target = text;
    return {};
  };
}

}  // namespace tuff::tools
