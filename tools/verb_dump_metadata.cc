// tuff dump-metadata: a pool without what users have written, to be sent to somebody.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "engine/repair/dump_stream.h"
#include "tools/input_file.h"
#include "tools/sizes.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

class DumpMetadataVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Result<DumpSummary> DumpTo(const StopSignal& stop,
                             const std::function<Status(std::string_view)>& sink) const;
  Result<DumpSummary> DumpToFile(const StopSignal& stop) const;

  std::string pool_;
  std::string out_;
  DumpOptions options_;
};

void DumpMetadataVerb::Declare(Command* command) {
  command->Usage("POOL OUT [--hash-keys] [--raw-damaged]");
  command->AddExample("tuff dump-metadata /mnt/pmem/pool damaged.meta",
                      "what to send with a report of a damaged pool");
  command->AddExample("tuff dump-metadata /mnt/pmem/pool - --hash-keys | zstd >damaged.meta.zst",
                      "without keys and names, and compressed");
  command->About(
      "Writes everything that POOL consists of but the values to the file OUT, which must not "
      "exist, or to standard output if OUT is -. POOL may be damaged, and is only read. Of "
      "what tuff restore-metadata makes of it, other verbs say what they say of POOL: damage stays "
      "where it is.");
  command->About(
      "Values become zeros of the same length. Bytes that cannot be decoded, because they are "
      "damaged, are left out. Keys and the names of stores are in the dump, unless --hash-keys "
      "is given.");
  command->Required("POOL", &pool_);
  command->Required("OUT", &out_);
  command->Flag("--hash-keys", &options_.hide_keys,
                "Put other keys in the place of keys: of the same lengths, and in the same order, "
                "so that trees stay sound, but without their bytes. What shows is how many keys "
                "there are, their lengths, and how long a beginning neighbours share. Names of "
                "stores become numbers. Takes memory for all keys, twice.");
  command->Flag("--raw-damaged", &options_.raw_damaged,
                "Include what cannot be decoded as it is. It may be anything: keys and values, "
                "too.");
}

Result<DumpSummary> DumpMetadataVerb::DumpTo(
    const StopSignal& stop, const std::function<Status(std::string_view)>& sink) const {
  return DumpMetadata(pool_, options_, [&](std::string_view bytes) {
    if (stop.requested()) return Status(Code::kBusy, "interrupted; the dump is incomplete");
    return sink(bytes);
  });
}

Result<DumpSummary> DumpMetadataVerb::DumpToFile(const StopSignal& stop) const {
  const int fd = open(out_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 && errno == EEXIST) return Status(Code::kExists, out_ + " exists already");
  if (fd < 0) return SystemError(errno, "cannot create " + out_);
  auto summary = DumpTo(stop, [&](std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = write(fd, bytes.data(), bytes.size());
      if (written < 0 && errno != EINTR) return SystemError(errno, "cannot write " + out_);
      if (written > 0) bytes.remove_prefix(static_cast<size_t>(written));
    }
    return Status();
  });
  const bool closed = close(fd) == 0;
  if (summary.ok() && closed) return summary;
  const Status s = closed ? Status() : SystemError(errno, "cannot write " + out_);
  unlink(out_.c_str());
  return summary.ok() ? s : summary.TakeStatus();
}

Outcome DumpMetadataVerb::Run(const Context& context) {
  const StopSignal stop;
  const bool to_stdout = out_ == "-";
  auto summary = to_stdout
                     ? DumpTo(stop,
                              [&](std::string_view bytes) {
                                context.output->Write(bytes);
                                return context.output->ok() ? Status() : context.output->Flush();
                              })
                     : DumpToFile(stop);
  if (!summary.ok() && stop.requested()) {
    return {128 + stop.signal_number(), std::string(summary.status().message())};
  }
  if (!summary.ok()) return summary.status();
  if (to_stdout) return {};
  context.output->Write(fmt::format("{} nodes, {} of them damaged; {}\n", summary->nodes,
                                    summary->damaged_nodes, FormatSize(summary->bytes)));
  if (summary->undecoded > 0) {
    context.output->Write(
        fmt::format("{} places could not be decoded and {}\n", summary->undecoded,
                    options_.raw_damaged ? "are there as they are" : "are left out"));
  }
  return {};
}

}  // namespace

std::unique_ptr<Verb> MakeDumpMetadataVerb() { return std::make_unique<DumpMetadataVerb>(); }

}  // namespace tuff::tools
