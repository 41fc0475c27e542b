// tuff create: makes a new pool.
#include <fmt/format.h>
#include <sys/stat.h>

#include <optional>
#include <string>

#include "tools/open_pool.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

bool IsCharacterDevice(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && S_ISCHR(info.st_mode);
}

class CreateVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status SetMode(const std::string& text);

  PoolArguments pool_;
  std::optional<uint64_t> size_bytes_;
  CreateOptions options_;
};

void CreateVerb::Declare(Command* command) {
  command->Usage("POOL --size SIZE [--sparse] [--mode MODE] [OPTIONS]");
  command->AddExample("tuff create /mnt/pmem/pool --size 1G", "a pool of 1 GiB");
  command->AddExample("tuff create /tmp/pool --size 1T --sparse",
                      "quick, and takes space on the disk only as it fills");
  command->AddExample("tuff create /srv/pool --size 64M --mode 0660",
                      "for the file's owner and group");
  command->AddExample("tuff create /dev/dax0.0", "the whole of a device");
  command->About("Makes the file POOL, which must not exist, as an empty pool.");
  DeclarePool(command, &pool_);
  command->Value("--size", "SIZE", SizeSetter(&size_bytes_),
                 "Bytes, or with K, M, G, T or P (powers of 1024): 64M, 1T. At least 16M; rounded "
                 "down to 2M. May be left out for a device.");
  command->Flag("--sparse", &options_.sparse,
                "Do not write zeros over the file's whole length. A later write may find the disk "
                "full.");
  command->Value(
      "--mode", "MODE", [this](const std::string& text) { return SetMode(text); },
      "Permission bits of the file, in octal, whatever the umask is.");
  command->Value("--memmap", "PLACE",
                 Choice<MemmapPlace>(&options_.memmap,
                                     {{"pool", MemmapPlace::kPool}, {"dram", MemmapPlace::kDram}}),
                 "Where opens for writing keep the volatile page descriptors: pool (default) or "
                 "dram.");
  DeclareOpenOptions(command, &pool_);
}

Status CreateVerb::SetMode(const std::string& text) {
  const bool octal = !text.empty() && text.find_first_not_of("01234567") == std::string::npos;
  const unsigned long mode = octal && text.size() <= 6 ? std::stoul(text, nullptr, 8) : 0;
  if (mode == 0 || mode > 0777) {
    return {Code::kInvalidArgument,
            Quoted(text) + " is not a mode; write octal digits such as 0660"};
  }
  options_.mode = static_cast<uint32_t>(mode);
  return {};
}

Outcome CreateVerb::Run(const Context& context) {
  if (!size_bytes_ && !IsCharacterDevice(pool_.path)) {
    return {kExitUsage, fmt::format("{}: no --size; say how large, such as --size 1G", pool_.path)};
  }
  // The library takes 0 for all of a device.
  if (size_bytes_ == 0u) return {kExitUsage, "--size: a pool has at least 16M"};
  options_.size_bytes = size_bytes_.value_or(0);
  options_.open = MakeOpenOptions(pool_, context.console);
  Result<std::unique_ptr<Pool>> pool = Pool::Create(pool_.path, options_);
  if (!pool.ok()) return InPool(pool_, pool.TakeStatus());
  return CloseAfter(pool->get(), {});
}

}  // namespace

std::unique_ptr<Verb> MakeCreateVerb() { return std::make_unique<CreateVerb>(); }

}  // namespace tuff::tools
