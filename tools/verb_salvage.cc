// tuff salvage: a new pool from what can be found in a damaged one.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/repair/salvage.h"
#include "tools/json.h"
#include "tools/open_pool.h"
#include "tools/progress.h"
#include "tools/sizes.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

using Kind = SalvageFinding::Kind;

constexpr size_t kFindingsShown = 20;

std::string_view KindText(Kind kind) {
  return kind == Kind::kLost ? "lost" : kind == Kind::kDoubtful ? "doubtful" : "note";
}

// "lost: users: keys from 'a' to before 'b': leaf 17 is damaged"
std::string Line(const SalvageFinding& finding) {
  std::string line = fmt::format("{}: ", KindText(finding.kind));
  if (!finding.store.empty()) line += Escape(finding.store) + ": ";
  if (finding.has_range) {
    const bool first = finding.from.empty();
    line += first && !finding.to ? "all keys"
            : first              ? "keys"
                                 : "keys from '" + Escape(finding.from) + "'";
    line += !finding.to ? (first ? "" : " to the end")
                        : (first ? " before '" : " to before '") + Escape(*finding.to) + "'";
    line += ": ";
  }
  line += Escape(finding.reason);
  if (finding.pfn != 0) line += fmt::format(" (pfn {})", finding.pfn);
  return line;
}

std::string Counts(uint64_t records, uint64_t lost, uint64_t doubtful) {
  return fmt::format("{}, {} lost, {} doubtful", FormatRecords(records), lost, doubtful);
}

std::string Text(const SalvageReport& report) {
  std::string text;
  for (const SalvagedStore& store : report.stores) {
    text += fmt::format("{}: {}\n", Escape(store.name),
                        Counts(store.records, store.lost, store.doubtful));
  }
  text += fmt::format("total: {}\n", Counts(report.records, report.lost, report.doubtful));
  size_t shown = 0;
  size_t left = 0;
  for (const SalvageFinding& finding : report.findings) {
    if (finding.kind == Kind::kNote) continue;
    if (shown == kFindingsShown) {
      left++;
      continue;
    }
    text += Line(finding) + '\n';
    shown++;
  }
  if (left > 0) text += fmt::format("and {} more; --list FILE writes all of them\n", left);
  return text;
}

std::string Json(const SalvageReport& report) {
  std::vector<JsonObject> stores;
  for (const SalvagedStore& store : report.stores) {
    JsonObject json;
    json.SetNumber("object_id", store.object_id);
    json.SetBytes("store", store.name);
    json.SetBool("name_lost", store.name_lost);
    json.SetNumber("records", store.records);
    json.SetNumber("bytes", store.bytes);
    json.SetNumber("lost", store.lost);
    json.SetNumber("doubtful", store.doubtful);
    stores.push_back(std::move(json));
  }
  std::vector<JsonObject> findings;
  for (const SalvageFinding& finding : report.findings) {
    JsonObject json;
    json.SetBytes("kind", KindText(finding.kind));
    if (!finding.store.empty()) json.SetBytes("store", finding.store);
    if (finding.has_range) {
      json.SetBytes("from", finding.from);
      if (finding.to) json.SetBytes("to", *finding.to);
    }
    if (finding.pfn != 0) json.SetNumber("pfn", finding.pfn);
    json.SetBytes("reason", finding.reason);
    findings.push_back(std::move(json));
  }
  JsonObject json;
  json.SetBool("whole", report.whole());
  json.SetNumber("records", report.records);
  json.SetNumber("leaves", report.leaves);
  json.SetNumber("lost", report.lost);
  json.SetNumber("doubtful", report.doubtful);
  json.SetArray("stores", stores);
  json.SetArray("findings", findings);
  return json.Line() + '\n';
}

class SalvageVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  PoolArguments new_;
  std::string old_;
  std::optional<uint64_t> size_bytes_;
  std::optional<std::string> list_;
  bool sparse_ = false;
  bool json_ = false;
};

void SalvageVerb::Declare(Command* command) {
  command->Usage("OLD NEW [--size SIZE] [--sparse] [--list FILE] [--json] [OPTIONS]");
  command->AddExample("tuff salvage /mnt/pmem/pool /srv/saved",
                      "a new pool from what is found in a damaged one");
  command->AddExample("tuff salvage /mnt/pmem/pool /srv/saved --sparse --list lost.txt",
                      "with a list of all that is lost or doubtful");
  command->AddExample("tuff salvage /mnt/pmem/pool /srv/saved && tuff stores /srv/saved",
                      "go on only if nothing was lost");
  command->About(
      "Makes the pool NEW, which must not exist, from whatever leaves are found in OLD by looking "
      "at "
      "every frame, even when its superblocks, its catalogue or the roots of its trees are gone. "
      "OLD is only read.");
  command->About(
      "A leaf counts if its owner word and its checksum are right; where leaves cover the same "
      "keys, the one that its tree leads to, or else the newest. Of a damaged leaf those records "
      "are saved that are whole by themselves. Stores whose names are lost become "
      "lost+found-NUMBER.");
  command->About(
      "Lists for each store how many records were saved, and what is lost or doubtful. The exit "
      "code is 0 if nothing is, else 4; NEW is made in both cases.");
  command->Required("OLD", &old_);
  command->Required("NEW", &new_.path);
  command->Value("--size", "SIZE", SizeSetter(&size_bytes_), "Size of NEW; default that of OLD.");
  command->Flag("--sparse", &sparse_, "Do not write zeros over the whole length of NEW.");
  command->Value("--list", "FILE", TextSetter(&list_),
                 "Write everything that was found wrong to FILE, one line each.");
  command->Flag("--json", &json_, "Print the summary and all findings as one JSON object.");
  DeclareOpenOptions(command, &new_);
}

Outcome SalvageVerb::Run(const Context& context) {
  if (size_bytes_ == 0u) return {kExitUsage, "--size: a pool has at least 16M"};
  std::ofstream list;
  if (list_) {
    list.open(*list_, std::ios::trunc | std::ios::binary);
    if (!list) return {kExitIo, fmt::format("cannot write {}", *list_)};
  }
  const StopSignal stop;
  Progress progress(context.console, old_, std::nullopt);
  SalvageOptions options;
  options.size_bytes = size_bytes_.value_or(0);
  options.sparse = sparse_;
  options.open = MakeOpenOptions(new_, context.console);
  options.keep_on = [&](uint64_t records) {
    progress.Update(records, 0);
    return !stop.requested();
  };
  auto report = SalvagePool(old_, new_.path, options);
  if (!report.ok()) {
    if (!stop.requested()) return report.status();
    return {128 + stop.signal_number(), fmt::format("interrupted; {} is removed", new_.path)};
  }
  context.output->Write(json_ ? Json(*report) : Text(*report));
  for (const SalvageFinding& finding : report->findings) list << Line(finding) << '\n';
  if (list_ && !list.flush()) return {kExitIo, fmt::format("cannot write {}", *list_)};
  if (report->whole()) return {};
  return {kExitDamaged, fmt::format("{}: {} ranges or names are lost, {} findings are doubtful; "
                                    "what was found is in {}",
                                    old_, report->lost, report->doubtful, new_.path)};
}

}  // namespace

std::unique_ptr<Verb> MakeSalvageVerb() { return std::make_unique<SalvageVerb>(); }

}  // namespace tuff::tools
