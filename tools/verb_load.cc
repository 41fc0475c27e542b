// tuff load: puts the records of a dump, or of lines of text, into a store.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/dump_reader.h"
#include "tools/escape.h"
#include "tools/input_file.h"
#include "tools/json.h"
#include "tools/loader.h"
#include "tools/open_pool.h"
#include "tools/progress.h"
#include "tools/sizes.h"
#include "tools/stop_signal.h"
#include "tools/tsv_reader.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

enum class Format { kDump, kTsv };

std::string CountText(const Loader::StoreCount& count, bool verbose) {
  std::string text = fmt::format("{}: {}, {}", Escape(count.store), FormatRecords(count.records),
                                 FormatSize(count.bytes));
  if (verbose) {
    text += fmt::format(", {} in bulk, {} in batches", count.bulk_records,
                        count.records - count.bulk_records);
  }
  return text;
}

std::string Text(const Loader& loader, bool verbose, double seconds) {
  std::string out;
  for (const Loader::StoreCount& count : loader.stores()) out += CountText(count, verbose) + '\n';
  if (loader.stores().size() != 1) out += CountText(loader.total(), verbose) + '\n';
  out.insert(out.size() - 1, ", " + FormatSeconds(seconds));
  return out;
}

std::string Json(const Loader& loader, bool complete, double seconds) {
  std::vector<JsonObject> stores;
  for (const Loader::StoreCount& count : loader.stores()) {
    JsonObject json;
    json.SetBytes("store", count.store);
    json.SetNumber("records", count.records);
    json.SetNumber("bytes", count.bytes);
    json.SetNumber("bulk_records", count.bulk_records);
    stores.push_back(std::move(json));
  }
  JsonObject json;
  json.SetBool("complete", complete);
  json.SetNumber("records", loader.total().records);
  json.SetNumber("bytes", loader.total().bytes);
  json.SetNumber("bulk_records", loader.total().bulk_records);
  json.SetReal("seconds", seconds);
  json.SetArray("stores", stores);
  return json.Line() + '\n';
}

class LoadVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status CheckArguments();

  PoolArguments pool_;
  std::optional<std::string> store_;
  std::optional<std::string> file_;
  std::optional<std::string> database_;
  Format format_ = Format::kDump;
  bool all_ = false;
  bool no_bulk_ = false;
  bool verbose_ = false;
  bool json_ = false;
};

void LoadVerb::Declare(Command* command) {
  command->Usage("POOL STORE [FILE] [--format dump|tsv] [--database NAME] [OPTIONS]");
  command->Usage("POOL --all [FILE] [OPTIONS]");
  command->AddExample("mdb_dump /srv/lmdb | tuff load /mnt/pmem/pool users", "from LMDB");
  command->AddExample("db_dump users.db | tuff load /mnt/pmem/pool users", "from Berkeley DB");
  command->AddExample("mdb_dump -a /srv/lmdb | tuff load /mnt/pmem/pool --all",
                      "several databases, each into the store of its name");
  command->AddExample("printf 'ada\\t1815\\n' | tuff load /mnt/pmem/pool users --format=tsv",
                      "lines of text");
  command->About(
      "Puts the records of FILE (or of standard input, if there is no FILE or it is -) into STORE, "
      "which is made if it does not exist. A key that is there already gets the new value.");
  command->About(
      "A dump holds one or more databases. One is loaded into STORE; a second one is an error, "
      "unless --all or --database says what to do. The format tsv is one record per line, key TAB "
      "value, in the escapes that scan prints.");
  command->About(
      "An empty store is filled in bulk for as long as the keys ascend: quickest, but nothing is "
      "in "
      "the store until the input ends or a key does not ascend; a load that is killed, or that "
      "finds the pool full, before that leaves it empty. Everything else is put in batches of 1000 "
      "records (or 1 MiB), each durable when it is written.");
  command->About(
      "Ctrl-C and an error in the input end a load cleanly: what was read before is written, and "
      "the "
      "message says how many records that is. Loading the same input again does no harm.");
  DeclarePool(command, &pool_);
  command->Optional("STORE", &store_);
  command->Optional("FILE", &file_);
  command->Value("--format", "FORMAT",
                 Choice<Format>(&format_, {{"dump", Format::kDump}, {"tsv", Format::kTsv}}),
                 "dump (default): what db_dump and mdb_dump write, with or without -p; or tsv.");
  command->Flag("--all", &all_, "Load each database of a dump into the store of its name.");
  command->Value("--database", "NAME", TextSetter(&database_),
                 "Load this database of the dump and skip the others.");
  command->Flag(
      "--no-bulk", &no_bulk_,
      "Put batches from the start, so that a load that is killed leaves what it has put.");
  command->Flag("-v,--verbose", &verbose_,
                "Say how many records were loaded in bulk and how many in batches.");
  command->Flag("--json", &json_, "Print the summary as one JSON object.");
  DeclareOpenOptions(command, &pool_);
}

Status LoadVerb::CheckArguments() {
  const char* problem = nullptr;
  if (all_) {
    if (file_) problem = "--all takes no STORE: each database goes into the store of its name";
    if (database_) problem = "--all and --database exclude each other";
    if (format_ == Format::kTsv) problem = "--all: the format tsv has no databases";
    file_ = std::exchange(store_, std::nullopt);
  } else {
    if (!store_) problem = "STORE is missing";
    if (database_ && format_ == Format::kTsv) problem = "--database: the format tsv has none";
  }
  if (problem == nullptr) return {};
  return {Code::kInvalidArgument, fmt::format("{}; see 'tuff load --help'", problem)};
}

Outcome LoadVerb::Run(const Context& context) {
  if (Status s = CheckArguments(); !s.ok()) return s;
  // Before signals are caught: opening a FIFO waits for a writer, and Ctrl-C may end that.
  Result<std::unique_ptr<InputFile>> input = InputFile::Open(file_.value_or("-"));
  if (!input.ok()) return input.TakeStatus();
  const StopSignal stop;
  (*input)->StopOn(&stop);
  std::unique_ptr<RecordReader> reader;
  if (format_ == Format::kDump) reader = std::make_unique<DumpReader>(input->get());
  if (format_ == Format::kTsv) reader = std::make_unique<TsvReader>(input->get());

  Result<std::unique_ptr<Pool>> pool = OpenToWrite(pool_, context.console);
  if (!pool.ok()) return pool.status();
  Progress progress(context.console, store_.value_or("all"), (*input)->size_bytes());
  Loader loader(pool->get(), reader.get(), {store_, database_, !no_bulk_}, [&](uint64_t records) {
    progress.Update(records, (*input)->bytes_read());
    return !stop.requested();
  });
  Status status = loader.Run();
  const bool stopped = (*input)->stopped() || (status.ok() && loader.stopped());
  if (stopped) status = {};
  status = CloseAfter(pool->get(), std::move(status));
  const bool complete = status.ok() && !stopped;
  if (json_) context.output->Write(Json(loader, complete, progress.Seconds()));
  if (!json_ && complete) context.output->Write(Text(loader, verbose_, progress.Seconds()));
  if (complete) return {};

  const std::string loaded = FormatRecords(loader.total().records) + " loaded";
  if (!status.ok()) {
    return {ExitCodeOf(status.code()),
            fmt::format("{}: {}; {}", (*input)->name(), status.message(), loaded)};
  }
  return {128 + stop.signal_number(),
          fmt::format("{}: interrupted after line {}; {}; {} is closed cleanly, and loading the "
                      "same again does no harm",
                      (*input)->name(), reader->line_number(), loaded, pool_.path)};
}

}  // namespace

std::unique_ptr<Verb> MakeLoadVerb() { return std::make_unique<LoadVerb>(); }

}  // namespace tuff::tools
