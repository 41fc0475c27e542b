// cell: runs workloads over one engine and prints a row of JSON for each. compare.py calls it; by
// hand, for a profile of one workload:
//
//   mkdir /dev/shm/d && build/release/bench/cell --dir /dev/shm/d --engine lmdb --workloads
//   load,get
//
// Exit status: 0, 1 (an engine failed), 2 (usage), 77 (engine or setting cannot be had here).
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>

#include "cell.h"
#include "workloads.h"

namespace tuff::bench {
namespace {

constexpr const char* kUsage =
    "usage: cell --dir EMPTY_DIR [--engine NAME] [--setting NAME] [--workloads NAME,…]\n"
    "            [--records N] [--set NAME] [--key-bytes 8|16] [--value-bytes N|mixed]\n"
    "            [--threads N] [--seconds S] [--load-seconds S] [--round N]\n"
    "            [--granularity cache-line|page|medium] [--pool-bytes N]\n"
    "       cell --list      engines and settings that were built in\n";

[[noreturn]] void BadUsage(const std::string& what) {
  fmt::print(stderr, "cell: {}\n{}", what, kUsage);
  std::exit(kExitUsage);
}

template <typename T>
T ParseNumber(const std::string& flag, const std::string& text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0) {
    BadUsage(fmt::format("{}: '{}' is not a positive number", flag, text));
  }
  return value;
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> words;
  for (size_t from = 0; from <= text.size();) {
    const size_t comma = std::min(text.find(',', from), text.size());
    words.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return words;
}

const Workload& MustFind(const std::string& name) {
  const Workload* const workload = FindWorkload(name);
  if (workload == nullptr) BadUsage(fmt::format("no workload '{}'", name));
  return *workload;
}

using Setter = std::function<void(const std::string& value)>;

std::map<std::string, Setter> Setters(CellConfig* config) {
  const auto text = [](std::string* to) { return [to](const std::string& v) { *to = v; }; };
  const auto number = [](const std::string& flag, auto* to) {
    return [flag, to](const std::string& v) {
      *to = ParseNumber<std::remove_pointer_t<decltype(to)>>(flag, v);
    };
  };
  return {
      {"--dir", text(&config->directory)},
      {"--engine", text(&config->engine)},
      {"--setting", text(&config->setting)},
      {"--set", text(&config->set)},
      {"--granularity", text(&config->granularity)},
      {"--records", number("--records", &config->records)},
      {"--key-bytes", number("--key-bytes", &config->key_bytes)},
      {"--threads", number("--threads", &config->threads)},
      {"--round", number("--round", &config->round)},
      {"--pool-bytes", number("--pool-bytes", &config->pool_bytes)},
      {"--seconds", number("--seconds", &config->seconds)},
      {"--load-seconds", number("--load-seconds", &config->load_seconds)},
      {"--workloads", [config](const std::string& v) { config->workloads = Split(v); }},
      {"--value-bytes",
       [config](const std::string& v) {
         config->value_bytes = v == "mixed" ? 0 : ParseNumber<size_t>("--value-bytes", v);
       }},
  };
}

void CheckSetting(const CellConfig& config) {
  for (const EngineKind& kind : Engines()) {
    if (kind.name != config.engine) continue;
    for (const std::string& setting : kind.settings) {
      if (setting == config.setting) return;
    }
    BadUsage(fmt::format("{} has no setting '{}'", config.engine, config.setting));
  }
}

CellConfig ParseArguments(int argc, char** argv) {
  CellConfig config;
  config.workloads = {"load", "get", "overwrite"};
  const std::map<std::string, Setter> setters = Setters(&config);
  for (int i = 1; i < argc; i += 2) {
    const auto setter = setters.find(argv[i]);
    if (setter == setters.end()) BadUsage(fmt::format("no flag '{}'", argv[i]));
    if (i + 1 == argc) BadUsage(fmt::format("{}: its value is missing", argv[i]));
    setter->second(argv[i + 1]);
  }
  if (config.directory.empty()) BadUsage("--dir is missing");
  if (config.key_bytes != kKeyBytes && config.key_bytes != kKeyBytesSmall) {
    BadUsage("--key-bytes: 8 or 16");
  }
  CheckSetting(config);
  for (const std::string& name : config.workloads) (void)MustFind(name);
  return config;
}

/// {"ENGINE": ["SETTING", …], …}
void List() {
  std::string text;
  for (const EngineKind& kind : Engines()) {
    text += fmt::format("{}\"{}\": [\"{}\"]", text.empty() ? "" : ", ", kind.name,
                        fmt::join(kind.settings, "\", \""));
  }
  fmt::print("{{{}}}\n", text);
}

void RunAll(Cell& cell) {
  bool created = false;
  for (const std::string& name : cell.config().workloads) {
    const Workload& workload = MustFind(name);
    const bool wants_new = workload.needs == Workload::Needs::kEmpty;
    if (workload.needs != Workload::Needs::kExisting && (wants_new || !created)) {
      cell.Create();
      created = true;
      if (!wants_new) cell.Fill();
    }
    workload.run(cell);
  }
  cell.Close();
}

}  // namespace
}  // namespace tuff::bench

int main(int argc, char** argv) {
  using namespace tuff::bench;       // NOLINT: this function is about nothing else
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // whoever wants the rows also removes the files
  if (argc == 2 && std::string(argv[1]) == "--help") {
    fmt::print("{}", kUsage);
    return 0;
  }
  if (argc == 2 && std::string(argv[1]) == "--list") {
    List();
    return 0;
  }
  Cell cell(ParseArguments(argc, argv));
  RunAll(cell);
  return 0;
}
