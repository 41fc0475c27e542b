// tuff info: describes a pool.
#include <fmt/format.h>

#include "tools/escape.h"
#include "tools/json.h"
#include "tools/open_pool.h"
#include "tools/sizes.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

std::string_view MemmapName(MemmapPlace place) {
  return place == MemmapPlace::kPool ? "pool" : "dram";
}

void Row(std::string* out, std::string_view name, std::string_view value) {
  *out += fmt::format("{:<12} {}\n", name, value);
}

double Seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }

// What is told of a pool whoever has it.
std::string TextHead(const PoolInfo& info) {
  std::string out;
  Row(&out, "pool", Escape(info.path));
  Row(&out, "uuid", info.uuid);
  Row(&out, "format", fmt::format("version {}", info.format_version));
  Row(&out, "size",
      fmt::format("{} ({} bytes; frames {}, sections {})", FormatSize(info.size_bytes),
                  info.size_bytes, info.frames, info.sections));
  return out;
}

JsonObject JsonHead(const PoolInfo& info, bool in_use) {
  JsonObject json;
  json.SetBytes("path", info.path);
  json.SetBytes("uuid", info.uuid);
  json.SetNumber("format_version", info.format_version);
  json.SetNumber("size_bytes", info.size_bytes);
  json.SetNumber("frames", info.frames);
  json.SetNumber("sections", info.sections);
  json.SetNumber("mount_count", info.mount_count);
  json.SetBool("in_use", in_use);
  return json;
}

// A pool that another process writes.
std::string TextInUse(const PoolInfo& info) {
  std::string out = TextHead(info);
  Row(&out, "in use", fmt::format("by process {}; this is what it tells", info.writer_pid));
  Row(&out, "crashed", info.crashed_since_scrub ? "since the last full scrub" : "no");
  Row(&out, "mounts", fmt::format("{}", info.mount_count));
  if (info.snapshots == 0) {
    Row(&out, "snapshots", "none");
  } else {
    Row(&out, "snapshots",
        fmt::format("{}; the oldest was taken {:.1f} s ago", info.snapshots,
                    Seconds(info.snapshot_age_ns_max)));
    Row(&out, "kept",
        fmt::format("versions {}, for snapshots, in {} of its memory", info.versions_retained,
                    FormatSize(info.version_bytes_retained)));
  }
  return out;
}

std::string JsonInUse(const PoolInfo& info) {
  JsonObject json = JsonHead(info, true);
  json.SetNumber("writer_pid", info.writer_pid);
  json.SetBool("crashed_since_scrub", info.crashed_since_scrub);
  json.SetNumber("snapshots", info.snapshots);
  json.SetNumber("snapshot_age_ns_max", info.snapshot_age_ns_max);
  json.SetNumber("versions_retained", info.versions_retained);
  json.SetNumber("version_bytes_retained", info.version_bytes_retained);
  return json.Line() + '\n';
}

std::string Text(const PoolInfo& info, const Statistics& done) {
  std::string out = TextHead(info);
  const auto row = [&out](std::string_view name, std::string_view value) {
    Row(&out, name, value);
  };
  row("closed", info.was_clean
                    ? "cleanly"
                    : "not cleanly; recovered in memory for this reading, the file is unchanged");
  if (!info.was_clean) {
    row("recovery",
        fmt::format("changes of structure finished or undone: {}, batches completed: {}",
                    done.lanes_recovered, done.batches_replayed));
  }
  row("crashed", info.crashed_since_scrub ? "since the last full scrub" : "no");
  row("mounts", fmt::format("{}", info.mount_count));
  row("granularity", fmt::format("{} (the medium has {})", GranularityName(info.granularity),
                                 GranularityName(info.medium_granularity)));
  row("forced", info.ever_forced ? "once used with a granularity its medium does not have" : "no");
  // A read-only open has nothing to guard, and writes no descriptors into the pool.
  const std::string_view whose = info.read_only ? " (this open is read-only)" : "";
  row("guard", fmt::format("{}{}", GuardName(info.guard), whose));
  row("memmap", fmt::format("{}{}", MemmapName(info.memmap), whose));
  row("flags", fmt::format("{:#x}", info.mount_flags));
  return out;
}

std::string Json(const PoolInfo& info, const Statistics& done) {
  JsonObject json = JsonHead(info, false);
  json.SetBool("read_only", info.read_only);
  json.SetBool("was_clean", info.was_clean);
  json.SetBool("recovered_in_memory", info.recovered_in_memory);
  json.SetNumber("lanes_recovered", done.lanes_recovered);
  json.SetNumber("batches_replayed", done.batches_replayed);
  json.SetBool("crashed_since_scrub", info.crashed_since_scrub);
  json.SetBool("ever_forced", info.ever_forced);
  json.SetBytes("granularity", GranularityName(info.granularity));
  json.SetBytes("medium_granularity", GranularityName(info.medium_granularity));
  json.SetBytes("guard", GuardName(info.guard));
  json.SetBytes("memmap", MemmapName(info.memmap));
  json.SetNumber("mount_flags", info.mount_flags);
  return json.Line() + '\n';
}

class InfoVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  PoolArguments pool_;
  bool json_ = false;
};

void InfoVerb::Declare(Command* command) {
  command->Usage("POOL [--json] [OPTIONS]");
  command->AddExample("tuff info /mnt/pmem/pool", "for people");
  command->AddExample("tuff info /mnt/pmem/pool --json | jq .was_clean", "for scripts");
  command->About(
      "Describes a pool: its size, whether it was closed cleanly before, and what is in force in "
      "this open: the granularity of durable writes, the write guard, where page descriptors live. "
      "(An open for reading has nothing to guard and keeps descriptors in DRAM.) Of a pool that "
      "another process has open for writing it prints what that process tells: also how many "
      "snapshots it holds, how old the oldest is, and what memory is kept for them.");
  DeclarePool(command, &pool_);
  command->Flag("--json", &json_, "Print one JSON object.");
  DeclareReadOptions(command, &pool_);
}

Outcome InfoVerb::Run(const Context& context) {
  Result<std::unique_ptr<Pool>> pool = OpenToRead(pool_, context.console);
  if (pool.status().code() == Code::kLocked) {
    Result<PoolInfo> info = Pool::Peek(pool_.path);
    if (!info.ok()) return InPool(pool_, info.TakeStatus());
    context.output->Write(json_ ? JsonInUse(*info) : TextInUse(*info));
    return Status();
  }
  if (!pool.ok()) return pool.status();
  const PoolInfo info = (*pool)->GetInfo();
  const Statistics done = (*pool)->GetStatistics();  // by opening it
  context.output->Write(json_ ? Json(info, done) : Text(info, done));
  return CloseAfter(pool->get(), {});
}

}  // namespace

std::unique_ptr<Verb> MakeInfoVerb() { return std::make_unique<InfoVerb>(); }

}  // namespace tuff::tools
