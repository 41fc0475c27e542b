// tuff fsck and tuff scrub: the full check of a pool, and its repair.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "engine/repair/fsck.h"
#include "engine/repair/patch.h"
#include "tools/escape.h"
#include "tools/json.h"
#include "tools/open_pool.h"
#include "tools/progress.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

// Bits of the exit code, as those of fsck(8).
constexpr int kFixed = 1;
constexpr int kNotFixed = 4;
constexpr int kOperational = 8;
constexpr int kUsage = 16;
constexpr int kCancelled = 32;

int ExitOf(const FsckReport& report) {
  if (report.cancelled) return kCancelled;
  int code = 0;
  if (report.unrepaired > 0) code |= kNotFixed;
  for (const Problem& problem : report.problems) code |= problem.repaired ? kFixed : 0;
  return code;
}

std::string Count(uint64_t n, const char* one, const char* many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

// Whose a problem is, as far as that is known.
std::string Whose(const FsckReport& report, const Problem& problem) {
  const auto name = report.names.find(problem.object_id);
  if (name == report.names.end() || name->second.empty()) return "";
  if (name->second[0] == '/') return "the " + name->second.substr(1);
  std::string out = "store " + Quoted(name->second);
  if (!problem.keys) return out;
  const auto& [low, high] = *problem.keys;
  if (low.empty() && !high) return out + ", all keys";
  if (!low.empty()) out += ", keys from " + Quoted(low);
  if (high) out += (low.empty() ? ", keys below " : " to below ") + Quoted(*high);
  return high ? out : out + " on";
}

std::string Line(const FsckReport& report, const Problem& problem) {
  const ProblemKind& kind = KindOf(problem.code);
  const std::string whose = Whose(report, problem);
  return fmt::format("{} {}: {}{}{}\n", static_cast<unsigned>(kind.code), kind.name,
                     Escape(problem.text), whose.empty() ? "" : " (" + whose + ")",
                     problem.repaired ? "; repaired" : "");
}

struct Done {
  FsckMode mode;
  bool quick;
  uint64_t pages;  // written
  std::string undo;
};

// What has been done, and what is to be done next.
std::string Advice(const std::string& path, const FsckReport& report, const Done& done) {
  std::string out;
  if (done.pages > 0) {
    out += Count(done.pages, "page", "pages") + " written";
    if (!done.undo.empty()) {
      out += fmt::format("; to take it back: tuff fsck {} --revert {}", Escape(path),
                         Escape(done.undo));
    }
    out += '\n';
  }
  if (report.unrepaired == 0) return out;
  const bool truncated =
      std::any_of(report.problems.begin(), report.problems.end(),
                  [](const Problem& problem) { return problem.code == ProblemCode::kTruncated; });
  if (truncated && done.mode == FsckMode::kRepair) {
    out += "nothing was written: too little is left; tuff salvage takes what is there\n";
  } else if (truncated) {
    out += fmt::format(
        "nothing was written: bring the file's end back, if that can be; to keep what lies in "
        "front of it: tuff fsck -y --undo FILE {}\n",
        Escape(path));
  } else if (done.mode == FsckMode::kRepair) {
    out += fmt::format(
        "{} left that cannot be repaired: restore a backup, or save what 'tuff dump' can read\n",
        report.unrepaired);
  } else if (done.mode == FsckMode::kPreen) {
    out += fmt::format("{} left, on which data may hang; to repair: tuff fsck -y --undo FILE {}\n",
                       report.unrepaired, Escape(path));
  } else {
    out +=
        fmt::format("nothing was written; to repair: tuff fsck -y --undo FILE {}\n", Escape(path));
  }
  return out;
}

std::string Summary(const std::string& path, const FsckReport& report, const Done& done) {
  if (report.cancelled) {
    return fmt::format("{}: interrupted after {}; nothing was written\n", Escape(path),
                       Count(report.nodes, "node", "nodes"));
  }
  std::string out;
  for (const Problem& problem : report.problems) out += Line(report, problem);
  if (report.problems_left_out > 0) {
    out += fmt::format("and {} more\n", report.problems_left_out);
  }
  const uint64_t found = report.problems.size() + report.problems_left_out;
  out += fmt::format("{}: {}; ", Escape(path),
                     found > 0    ? Count(found, "problem", "problems")
                     : done.quick ? "superblocks, lanes and frame tables are sound"
                                  : "sound");
  if (!done.quick) {
    out += fmt::format("{}, {}, {}, ", Count(report.stores, "store", "stores"),
                       Count(report.nodes, "node", "nodes"),
                       Count(report.records, "record", "records"));
  }
  out += Count(report.frames_in_use, "frame", "frames") + " in use\n";
  if (report.recovered && done.mode == FsckMode::kCheck) {
    out +=
        "it was not closed cleanly, which is no damage: the next open, or fsck -p, finishes "
        "what was under way\n";
  }
  return out + Advice(path, report, done);
}

std::string Json(const std::string& path, const FsckReport& report, const Done& done, int code) {
  JsonObject json;
  json.SetBytes("schema", "tuff-fsck-1");
  json.SetBytes("pool", path);
  json.SetNumber("exit_code", static_cast<uint64_t>(code));
  json.SetBool("quick", done.quick);
  json.SetBool("sound", report.sound());
  json.SetBool("recovered", report.recovered);
  json.SetBool("cancelled", report.cancelled);
  json.SetNumber("stores", report.stores);
  json.SetNumber("nodes", report.nodes);
  json.SetNumber("records", report.records);
  json.SetNumber("frames_in_use", report.frames_in_use);
  json.SetNumber("pages_written", done.pages);
  json.SetNumber("unrepaired", report.unrepaired);
  json.SetNumber("problems_left_out", report.problems_left_out);
  std::vector<JsonObject> problems;
  for (const Problem& problem : report.problems) {
    const ProblemKind& kind = KindOf(problem.code);
    JsonObject item;
    item.SetNumber("code", static_cast<uint64_t>(kind.code));
    item.SetBytes("name", kind.name);
    item.SetBytes("severity", SeverityName(kind.severity));
    item.SetNumber("pfn", problem.pfn);
    item.SetNumber("object_id", problem.object_id);
    const auto name = report.names.find(problem.object_id);
    if (name != report.names.end() && !name->second.empty()) item.SetBytes("object", name->second);
    if (problem.keys) {
      item.SetBytes("low", problem.keys->low);
      if (problem.keys->high) item.SetBytes("high", *problem.keys->high);
    }
    item.SetBytes("text", problem.text);
    item.SetBool("repaired", problem.repaired);
    problems.push_back(std::move(item));
  }
  json.SetArray("problems", problems);
  return json.Line() + '\n';
}

class FsckVerb : public Verb {
 public:
  explicit FsckVerb(bool scrub) : scrub_(scrub) {}
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;
  int usage_exit_code() const override { return kUsage; }

 private:
  Outcome Revert(const Context& context);
  Outcome Failed(const Status& status) const {
    return {kOperational, std::string(InPool(pool_, status).message())};
  }

  const bool scrub_;
  PoolArguments pool_;
  bool check_ = false;
  bool preen_ = false;
  bool repair_ = false;
  bool quick_ = false;
  bool json_ = false;
  bool progress_ = false;
  std::optional<std::string> undo_;
  std::optional<std::string> revert_;
};

void FsckVerb::Declare(Command* command) {
  DeclarePool(command, &pool_);
  command->Flag("--json", &json_, "Print one JSON object (schema tuff-fsck-1).");
  command->Flag("-C,--progress", &progress_, "Show how far it is.");
  if (scrub_) {
    command->Usage("POOL [--json] [-C]");
    command->AddExample("tuff scrub /mnt/pmem/pool", "check all, forget the last crash");
    command->About(
        "Checks all of a pool that is not in use, as 'tuff fsck -p' does. If nothing is wrong, "
        "clears the mark that it has crashed since its last scrub: from then on a torn record is "
        "taken for damage, not for the trace of that crash.");
  } else {
    command->Usage("[-n | -p | -y] POOL [--undo FILE] [--json] [-C]");
    command->Usage("--quick POOL [--json]");
    command->Usage("POOL --revert FILE");
    command->AddExample("tuff fsck /mnt/pmem/pool", "check; writes nothing");
    command->AddExample("tuff fsck --quick /mnt/pmem/pool", "a look at superblocks and tables");
    command->AddExample("tuff fsck -p /mnt/pmem/pool", "repair what no data hangs on, as at boot");
    command->AddExample("tuff fsck -y --undo /root/pool.undo /mnt/pmem/pool",
                        "repair all, and keep what it was like");
    command->AddExample("tuff fsck /mnt/pmem/pool --revert /root/pool.undo",
                        "make it what it was before that repair");
    command->About(
        "Checks every checksum, the order of keys and fence keys, that every frame in use is "
        "referred to exactly once, and the superblocks, lanes and counters. Without an option, or "
        "with -n, it writes nothing. A repair is worked out and checked in memory before the file "
        "changes.");
    command->AddManSection(
        "EXIT STATUS",
        {"0: sound. 1: problems were repaired. 4: problems are left. 8: it could not do its work. "
         "16: wrong usage. 32: it was interrupted, and has changed nothing. They are added, as "
         "those of fsck(8).",
         "Problems have permanent codes and names; docs/fsck.md lists them."});
    command->About(
        "Exit code, a sum: 0 sound, 1 problems were repaired, 4 problems are left, 8 it could not "
        "do its work, 16 wrong usage, 32 it was interrupted (and has changed nothing).");
    command->Flag("-n,--check", &check_, "Check only.");
    command->Flag("--quick", &quick_,
                  "Check superblocks, lanes and frame tables only, not what lies in the trees.");
    command->Flag("-p,--preen", &preen_, "Repair what costs nothing.");
    command->Flag("-y,--yes", &repair_, "Repair all.");
    command->Value("--undo", "FILE", TextSetter(&undo_),
                   "Before the repair, save what it changes; FILE must not exist.");
    command->Value("--revert", "FILE", TextSetter(&revert_), "Take a repair back.");
  }
}

Outcome FsckVerb::Revert(const Context& context) {
  const Result<uint64_t> pages = RevertRepair(pool_.path, *revert_);
  if (!pages.ok()) return Failed(pages.status());
  context.output->Write(
      *pages == 0
          ? fmt::format("{}: it is as it was before the repair already\n", Escape(pool_.path))
          : fmt::format("{}: as it was before the repair; {} written\n", Escape(pool_.path),
                        Count(*pages, "page", "pages")));
  return {};
}

Outcome FsckVerb::Run(const Context& context) {
  if (check_ + preen_ + repair_ > 1) return {kUsage, "-n, -p and -y exclude each other"};
  if (undo_ && !preen_ && !repair_) return {kUsage, "--undo goes with -p or -y"};
  if (quick_ && (preen_ || repair_)) return {kUsage, "--quick only checks"};
  if (revert_ && (check_ || preen_ || repair_ || quick_))
    return {kUsage, "--revert goes with no other mode"};
  if (revert_) return Revert(context);

  const StopSignal stop;
  Progress progress(context.console, "nodes", std::nullopt, progress_);
  FsckOptions options;
  options.mode = repair_            ? FsckMode::kRepair
                 : preen_ || scrub_ ? FsckMode::kPreen
                                    : FsckMode::kCheck;
  options.quick = quick_;
  options.progress = [&](uint64_t nodes) {
    progress.Update(nodes, nodes << 12);
    return !stop.requested();
  };
  PoolImage::Options how;
  how.padded = true;
  how.for_repair = options.mode != FsckMode::kCheck;
  auto image = PoolImage::Open(pool_.path, how);
  if (!image.ok()) return Failed(image.status());
  auto report = RunFsck(**image, options);
  if (!report.ok()) return Failed(report.status());
  uint64_t pages = 0;
  if (report->mode != FsckMode::kCheck && !report->cancelled) {
    auto committed = CommitRepair(**image, undo_.value_or(""));
    if (!committed.ok()) return Failed(committed.status());
    pages = *committed;
  }
  const int code = ExitOf(*report);
  const Done done{options.mode, quick_, pages, undo_.value_or("")};
  context.output->Write(json_ ? Json(pool_.path, *report, done, code)
                              : Summary(pool_.path, *report, done));
  return {code, ""};
}

}  // namespace

std::unique_ptr<Verb> MakeFsckVerb() { return std::make_unique<FsckVerb>(false); }
std::unique_ptr<Verb> MakeScrubVerb() { return std::make_unique<FsckVerb>(true); }

}  // namespace tuff::tools
