// Opening and closing a pool as every verb does it, and the options for it.
// Thread-safety: none.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tools/command.h"
#include "tools/console.h"
#include "tuff/options.h"
#include "tuff/pool.h"
#include "tuff/status.h"

namespace tuff::tools {

struct PoolArguments {
  std::string path;
  std::optional<Granularity> granularity;
  Guard guard = Guard::kAuto;
  bool read_only = false;  // as it is anyway where it can be asked for
};

/// The argument POOL.
void DeclarePool(Command* command, PoolArguments* arguments);
/// --granularity and --guard.
void DeclareOpenOptions(Command* command, PoolArguments* arguments);
/// Those and --read-only.
void DeclareReadOptions(Command* command, PoolArguments* arguments);

/// The console must outlive the pool.
OpenOptions MakeOpenOptions(const PoolArguments& arguments, Console* console);

Result<std::unique_ptr<Pool>> OpenToWrite(const PoolArguments& arguments, Console* console);

/// Read-only, so that many may read at once and nobody needs permission to write. Warns of a pool
/// that was not closed cleanly: it is recovered in memory only.
Result<std::unique_ptr<Pool>> OpenToRead(const PoolArguments& arguments, Console* console);

/// The same failure, its message beginning with the pool's path.
Status InPool(const PoolArguments& arguments, Status status);

/// Closes the pool. Returns `status` if that is a failure, else how closing went.
Status CloseAfter(Pool* pool, Status status);

}  // namespace tuff::tools
