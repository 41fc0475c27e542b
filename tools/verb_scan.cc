// tuff scan: prints keys and values in order.
#include <fmt/format.h>

#include <optional>
#include <string>

#include "tools/escape.h"
#include "tools/json.h"
#include "tools/open_pool.h"
#include "tools/sizes.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"
#include "tools/words.h"

namespace tuff::tools {
namespace {

class ScanVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status Scan(Pool* pool, Output* output, const StopSignal& stop);
  void Print(const Iterator& iterator, Output* output) const;

  PoolArguments pool_;
  std::string store_;
  ReadOptions read_;
  std::optional<uint64_t> limit_;
  bool reverse_ = false;
  bool json_ = false;
  bool escaped_ = false;
  uint64_t records_ = 0;  // printed
};

void ScanVerb::Declare(Command* command) {
  command->Usage(
      "POOL STORE [--from KEY] [--to KEY] [--prefix BYTES] [--limit N] [--reverse] [--json] "
      "[OPTIONS]");
  command->AddExample("tuff scan /mnt/pmem/pool users", "everything");
  command->AddExample("tuff scan /mnt/pmem/pool users --prefix ad --limit 10",
                      "the first ten keys that begin with ad");
  command->AddExample("tuff scan /mnt/pmem/pool users --from a --to b --reverse",
                      "the keys from a up to, not including, b; the last one first");
  command->AddExample("tuff scan POOL1 users | tuff load POOL2 users --format=tsv", "copy a store");
  command->About(
      "Prints one record per line, key TAB value, in the order of the keys' bytes. Backslash, TAB, "
      "newline and carriage return are printed \\\\ \\t \\n \\r; other control characters and "
      "bytes that are not UTF-8 are printed \\xHH.");
  command->About(
      "With --json, prints one object per line: {\"key\":...,\"value\":...}. What is not UTF-8 has "
      "the member key_base64 or value_base64 instead.");
  DeclarePool(command, &pool_);
  command->Required("STORE", &store_);
  DeclareRange(command, &read_);
  command->Value("--limit", "N", CountSetter(&limit_), "At most N records.");
  command->Flag("--reverse", &reverse_, "From the last key to the first.");
  command->Flag("--json", &json_, "Print one JSON object per line.");
  DeclareEscaped(command, &escaped_);
  DeclareReadOptions(command, &pool_);
}

void ScanVerb::Print(const Iterator& iterator, Output* output) const {
  if (json_) {
    JsonObject json;
    json.SetBytes("key", iterator.key());
    json.SetBytes("value", iterator.value());
    output->buffer()->append(json.Line());
  } else {
    AppendEscaped(iterator.key(), output->buffer());
    output->buffer()->push_back('\t');
    AppendEscaped(iterator.value(), output->buffer());
  }
  output->Write("\n");
}

Status ScanVerb::Scan(Pool* pool, Output* output, const StopSignal& stop) {
  Result<Store*> store = pool->OpenStore(store_);
  if (!store.ok()) return store.TakeStatus();
  const std::unique_ptr<Iterator> iterator = (*store)->NewIterator(read_);
  const uint64_t limit = limit_.value_or(UINT64_MAX);
  if (limit == 0) return {};
  reverse_ ? iterator->SeekToLast() : iterator->SeekToFirst();
  while (iterator->Valid() && !stop.requested() && output->ok()) {
    Print(*iterator, output);
    if (++records_ == limit) return {};
    reverse_ ? iterator->Prev() : iterator->Next();
  }
  return iterator->status();
}

Outcome ScanVerb::Run(const Context& context) {
  if (Status s = DecodeRange(escaped_, &read_); !s.ok()) return s;
  const StopSignal stop;
  Result<std::unique_ptr<Pool>> pool = OpenToRead(pool_, context.console);
  if (!pool.ok()) return pool.status();
  Status status = Scan(pool->get(), context.output, stop);
  status = CloseAfter(pool->get(), InPool(pool_, std::move(status)));
  if (status.ok() && stop.requested()) {
    return {128 + stop.signal_number(),
            fmt::format("interrupted after {}", FormatRecords(records_))};
  }
  return status;
}

}  // namespace

std::unique_ptr<Verb> MakeScanVerb() { return std::make_unique<ScanVerb>(); }

}  // namespace tuff::tools
