#include "tools/open_pool.h"

#include <fmt/format.h>

#include <utility>

namespace tuff::tools {

void DeclarePool(Command* command, PoolArguments* arguments) {
  command->Required("POOL", &arguments->path);
}

void DeclareOpenOptions(Command* command, PoolArguments* arguments) {
  command->Value(
      "--granularity", "WHAT",
      Choice<Granularity>(&arguments->granularity, {{"byte", Granularity::kByte},
                                                    {"cache-line", Granularity::kCacheLine},
                                                    {"page", Granularity::kPage}}),
      "Make writes durable by byte, cache-line or page, whatever the medium needs. "
      "If it needs more, a power failure may lose data.");
  command->Value("--guard", "KIND",
                 Choice<Guard>(&arguments->guard, {{"auto", Guard::kAuto},
                                                   {"pkey", Guard::kPkey},
                                                   {"mprotect", Guard::kMprotect},
                                                   {"none", Guard::kNone}}),
                 "How the pool is guarded against stray writes: auto (default), pkey, mprotect "
                 "or none.");
}

void DeclareReadOptions(Command* command, PoolArguments* arguments) {
  command->Flag("--read-only", &arguments->read_only,
                "Never write to the pool. Verbs that only read never do: this changes nothing.");
  DeclareOpenOptions(command, arguments);
}

OpenOptions MakeOpenOptions(const PoolArguments& arguments, Console* console) {
  OpenOptions options;
  options.force_granularity = arguments.granularity;
  options.guard = arguments.guard;
  options.log = console->Log();
  return options;
}

Status InPool(const PoolArguments& arguments, Status status) {
  const std::string where = arguments.path + ": ";
  if (status.ok() || status.message().starts_with(where)) return status;
  return {status.code(), where + std::string(status.message())};
}

Result<std::unique_ptr<Pool>> OpenToWrite(const PoolArguments& arguments, Console* console) {
  Result<std::unique_ptr<Pool>> pool =
      Pool::Open(arguments.path, MakeOpenOptions(arguments, console));
  if (!pool.ok()) return InPool(arguments, pool.TakeStatus());
  return pool;
}

Result<std::unique_ptr<Pool>> OpenToRead(const PoolArguments& arguments, Console* console) {
  OpenOptions options = MakeOpenOptions(arguments, console);
  options.read_only = true;
  Result<std::unique_ptr<Pool>> pool = Pool::Open(arguments.path, options);
  if (!pool.ok()) return InPool(arguments, pool.TakeStatus());
  if ((*pool)->GetInfo().recovered_in_memory) {
    console->Line(fmt::format(
        "warning: {}: was not closed cleanly; recovered in memory for this reading, the file is "
        "unchanged",
        arguments.path));
  }
  return pool;
}

Status CloseAfter(Pool* pool, Status status) {
  Status closed = pool->Close();
  return status.ok() ? std::move(closed) : std::move(status);
}

}  // namespace tuff::tools
