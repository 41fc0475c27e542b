// tuff restore-metadata: a pool without values from what dump-metadata has written.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "engine/repair/dump_stream.h"
#include "tools/input_file.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

class RestoreMetadataVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status Fill(int fd, InputFile* input);

  std::string in_;
  std::string pool_;
};

void RestoreMetadataVerb::Declare(Command* command) {
  command->Usage("IN POOL");
  command->AddExample("tuff restore-metadata damaged.meta /tmp/pool",
                      "a pool with the damage of the one that was dumped");
  command->AddExample("zstd -dc damaged.meta.zst | tuff restore-metadata - /tmp/pool",
                      "from a compressed dump");
  command->About(
      "Makes the sparse file POOL, which must not exist, from a dump of tuff dump-metadata; IN may "
      "be - for standard input. A dump that is damaged or truncated is refused, and nothing is "
      "left.");
  command->Required("IN", &in_);
  command->Required("POOL", &pool_);
}

Status RestoreMetadataVerb::Fill(int fd, InputFile* input) {
  MetadataReader reader([&](char* to, size_t n) -> Result<size_t> {
    size_t at = 0;
    while (at < n) {
      auto read = input->Read(to + at, n - at);
      if (!read.ok()) return read.TakeStatus();
      if (*read == 0) break;
      at += *read;
    }
    return at;
  });
  const auto named = [&](const Status& s) {
    return Status(s.code(), fmt::format("{}: {}", input->name(), s.message()));
  };
  if (Status s = reader.ReadHeader(); !s.ok()) return named(s);
  if (ftruncate(fd, static_cast<off_t>(reader.pool_bytes())) != 0) {
    return SystemError(errno,
                       fmt::format("cannot make {} of {} bytes", pool_, reader.pool_bytes()));
  }
  for (;;) {
    MetadataReader::Piece piece;
    auto more = reader.Next(&piece);
    if (!more.ok()) return named(more.status());
    if (!*more) break;
    uint64_t offset = piece.offset;
    for (std::span<const char> left = piece.bytes; !left.empty();) {
      const ssize_t n = pwrite(fd, left.data(), left.size(), static_cast<off_t>(offset));
      if (n < 0 && errno != EINTR) return SystemError(errno, "cannot write " + pool_);
      if (n <= 0) continue;
      left = left.subspan(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
  }
  return fsync(fd) == 0 ? Status() : SystemError(errno, "cannot write " + pool_);
}

Outcome RestoreMetadataVerb::Run(const Context&) {
  auto input = InputFile::Open(in_);
  if (!input.ok()) return input.status();
  const StopSignal stop;
  (*input)->StopOn(&stop);
  const int fd = open(pool_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 && errno == EEXIST) return Status(Code::kExists, pool_ + " exists already");
  if (fd < 0) return SystemError(errno, "cannot create " + pool_);
  Status s = Fill(fd, input->get());
  if (close(fd) != 0 && s.ok()) s = SystemError(errno, "cannot write " + pool_);
  if (s.ok()) return {};
  unlink(pool_.c_str());
  if (!(*input)->stopped()) return s;
  return {128 + stop.signal_number(), "interrupted; nothing is left of the pool"};
}

}  // namespace

std::unique_ptr<Verb> MakeRestoreMetadataVerb() { return std::make_unique<RestoreMetadataVerb>(); }

}  // namespace tuff::tools
