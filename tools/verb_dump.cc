// tuff dump: writes stores in the portable format of db_dump and mdb_dump.
#include <fmt/format.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "tools/dump_writer.h"
#include "tools/open_pool.h"
#include "tools/progress.h"
#include "tools/sizes.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

class DumpVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status DumpAll(Pool* pool);
  Status DumpStore(Pool* pool, const std::string& name);
  bool KeepOn() const { return !stop_->requested() && output_->ok(); }

  PoolArguments pool_;
  std::optional<std::string> store_;
  std::optional<uint64_t> mapsize_;
  bool print_ = false;
  bool all_ = false;

  // While running.
  Output* output_ = nullptr;
  Progress* progress_ = nullptr;
  const StopSignal* stop_ = nullptr;
  uint64_t records_ = 0;
  uint64_t bytes_ = 0;  // keys and values
};

void DumpVerb::Declare(Command* command) {
  command->Usage("POOL STORE [-p] [--mapsize SIZE] [OPTIONS]");
  command->Usage("POOL --all [-p] [--mapsize SIZE] [OPTIONS]");
  command->AddExample("tuff dump /mnt/pmem/pool users >users.dump",
                      "a backup that tuff load reads");
  command->AddExample("tuff dump /mnt/pmem/pool users | mdb_load /srv/lmdb", "to LMDB");
  command->AddExample("tuff dump /mnt/pmem/pool users --mapsize 0 | db_load users.db",
                      "to Berkeley DB, whose db_load refuses mapsize lines");
  command->AddExample("tuff dump /mnt/pmem/pool --all | tuff load /mnt/new/pool --all",
                      "copy every store");
  command->About(
      "Writes the records of STORE to standard output in key order: two hex digits per byte or, "
      "with -p, printable characters as they are. With --all, writes every store, each with a line "
      "database=NAME in its header. A dump ends in DATA=END; without that line it is incomplete.");
  DeclarePool(command, &pool_);
  command->Optional("STORE", &store_);
  command->Flag("-p,--print", &print_, "Write printable ASCII characters as they are.");
  command->Flag("--all", &all_, "Dump every store.");
  command->Value("--mapsize", "SIZE", SizeSetter(&mapsize_),
                 "The line mapsize=, which mdb_load makes its map of; default four times the pool. "
                 "0: no such line.");
  DeclareReadOptions(command, &pool_);
}

Status DumpVerb::DumpStore(Pool* pool, const std::string& name) {
  Result<Store*> store = pool->OpenStore(name);
  if (!store.ok()) return store.TakeStatus();
  const DumpWriter writer({.print = print_,
                           .database = all_ ? name : "",
                           .mapsize = mapsize_.value_or(MapsizeFor(pool->GetInfo().size_bytes))});
  progress_->set_label(name);
  writer.Header(output_->buffer());
  const std::unique_ptr<Iterator> iterator = (*store)->NewIterator();
  for (iterator->SeekToFirst(); iterator->Valid() && KeepOn(); iterator->Next()) {
    writer.Record(iterator->key(), iterator->value(), output_->buffer());
    output_->Commit();
    ++records_;
    bytes_ += iterator->key().size() + iterator->value().size();
    progress_->Update(records_, bytes_);
  }
  if (Status s = iterator->status(); !s.ok()) return s;
  if (KeepOn()) writer.End(output_->buffer());
  return {};
}

Status DumpVerb::DumpAll(Pool* pool) {
  Result<std::vector<StoreInfo>> stores = pool->ListStores();
  if (!stores.ok()) return stores.TakeStatus();
  for (const StoreInfo& store : *stores) {
    if (Status s = DumpStore(pool, store.name); !s.ok() || !KeepOn()) return s;
  }
  return {};
}

Outcome DumpVerb::Run(const Context& context) {
  if (all_ == store_.has_value()) {
    return {kExitUsage, all_ ? "--all takes no STORE; see 'tuff dump --help'"
                             : "STORE is missing; see 'tuff dump --help'"};
  }
  const StopSignal stop;
  Result<std::unique_ptr<Pool>> pool = OpenToRead(pool_, context.console);
  if (!pool.ok()) return pool.status();
  // A line redrawn among the records on one terminal helps nobody.
  Progress progress(context.console, "", std::nullopt, isatty(STDOUT_FILENO) != 1);
  output_ = context.output;
  progress_ = &progress;
  stop_ = &stop;
  Status status = all_ ? DumpAll(pool->get()) : DumpStore(pool->get(), *store_);
  status = CloseAfter(pool->get(), InPool(pool_, std::move(status)));
  if (!status.ok() && records_ > 0) {
    return {ExitCodeOf(status.code()), fmt::format("{}; the dump is incomplete: {} records written",
                                                   status.message(), records_)};
  }
  if (status.ok() && stop.requested()) {
    return {
        128 + stop.signal_number(),
        fmt::format("interrupted; the dump is incomplete: {} written", FormatRecords(records_))};
  }
  return status;
}

}  // namespace

std::unique_ptr<Verb> MakeDumpVerb() { return std::make_unique<DumpVerb>(); }

}  // namespace tuff::tools
