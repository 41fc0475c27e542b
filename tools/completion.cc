#include "tools/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <string_view>

namespace tuff::tools {
namespace {

constexpr std::string_view kHead =
    R"~~~(# Bash completion for tuff. Made of tools/verb_*.cc; see tools/completion.h.
# shellcheck shell=bash

# _tuff_verb VERB: sets options (names), values (NAME=KIND of those that take one) and arguments
# (kinds, in their order). A kind is a metavar, or METAVAR=WORD,WORD where only these words will do.
_tuff_verb() {
  options='' values='' arguments=''
  case $1 in
)~~~";

constexpr std::string_view kTail = R"~~~(  esac
}

_tuff_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_tuff_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"); }

# _tuff_stores TUFF POOL PREFIX: the pool's stores. Names that need escapes are left out: they
# cannot be typed as they are printed.
_tuff_stores() {
  local name pool=${2//[\\\"\']/}
  [[ $pool != \~/* ]] || pool=$HOME/${pool#\~/}
  while IFS= read -r name; do
    [[ $name == "${3//\\/}"* && $name != *\\* ]] && COMPREPLY+=("$(printf %q "$name")")
  done < <("$1" stores "$pool" 2>/dev/null </dev/null)
}

# _tuff_kind KIND WORD TUFF POOL
_tuff_kind() {
  case $1 in
    *=*)
      local words=${1#*=}
      _tuff_words "${words//,/ }" "$2"
      ;;
    POOL | FILE) _tuff_files "$2" ;;
    STORE | OLD) _tuff_stores "$3" "$4" "$2" ;;
  esac
}

# _tuff_value OPTION WORD TUFF POOL: completes the option's value; false if it takes none.
_tuff_value() {
  local value
  for value in $values; do
    [[ $value == "$1="* ]] || continue
    _tuff_kind "${value#*=}" "$2" "$3" "$4"
    return 0
  done
  return 1
}

_tuff() {
  local verb=${COMP_WORDS[1]-} current=${COMP_WORDS[COMP_CWORD]} options values arguments
  local -a given=() kinds=()
  COMPREPLY=()
  if ((COMP_CWORD == 1)) || { ((COMP_CWORD == 2)) && [[ $verb == help ]]; }; then
    _tuff_words "$_tuff_verbs" "$current"
    return
  fi
  _tuff_verb "$verb"
  read -ra kinds <<<"$arguments"
  # Bash cuts --option=value into three words.
  local i word option='' dashes=''
  for ((i = 2; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $dashes ]]; then
      given+=("$word")
    elif [[ $option ]]; then
      [[ $word == '=' ]] || option=''
    elif [[ $word == -- ]]; then
      dashes=1
    elif [[ $word == -?* ]]; then
      [[ " $values" != *" $word="* ]] || option=$word
    else
      given+=("$word")
    fi
  done
  [[ $current != '=' ]] || current=''
  if [[ $option ]]; then
    _tuff_value "$option" "$current" "$1" "${given[0]-}"
  elif [[ $current == -* && ! $dashes ]]; then
    _tuff_words "$options" "$current"
  elif ((${#given[@]} < ${#kinds[@]})); then
    local pool=0
    while ((pool < ${#kinds[@]})) && [[ ${kinds[pool]} != POOL ]]; do ((++pool)); done
    _tuff_kind "${kinds[${#given[@]}]}" "$current" "$1" "${given[pool]-}"
  fi
}

complete -F _tuff tuff
)~~~";

std::string Kind(std::string_view metavar, const Command::Setter& setter) {
  std::string kind(metavar);
  if (!setter.choices.empty()) kind += fmt::format("={}", fmt::join(setter.choices, ","));
  return kind;
}

std::string Case(const VerbEntry& entry) {
  const std::unique_ptr<Verb> verb = entry.make();
  Command command(entry.name);
  verb->Declare(&command);
  std::vector<std::string> options;
  std::vector<std::string> values;
  for (const Command::Option& option : command.options()) {
    for (std::string_view names = option.names; !names.empty();) {
      const std::string name(names.substr(0, names.find(',')));
      names.remove_prefix(std::min(name.size() + 1, names.size()));
      options.push_back(name);
      if (!option.metavar.empty()) values.push_back(name + '=' + Kind(option.metavar, option.set));
    }
  }
  options.insert(options.end(), {"-h", "--help"});
  std::vector<std::string> arguments;
  for (const Command::Argument& argument : command.arguments()) {
    arguments.push_back(Kind(argument.name, argument.set));
  }
  return fmt::format(
      "    {})\n"
      "      options='{}'\n"
      "      values='{}'\n"
      "      arguments='{}'\n"
      "      ;;\n",
      entry.name, fmt::join(options, " "), fmt::join(values, " "), fmt::join(arguments, " "));
}

}  // namespace

std::string BashCompletion(std::span<const VerbEntry> verbs) {
  std::string out(kHead);
  std::string names;
  for (const VerbEntry& entry : verbs) {
    out += Case(entry);
    names += std::string(entry.name) + ' ';
  }
  out += kTail;
  return out + "_tuff_verbs='" + names + "help --help --version'\n";
}

}  // namespace tuff::tools
