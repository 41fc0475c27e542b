// tuff count: says how many keys there are.
#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/escape.h"
#include "tools/json.h"
#include "tools/open_pool.h"
#include "tools/stop_signal.h"
#include "tools/verb.h"
#include "tools/words.h"

namespace tuff::tools {
namespace {

class CountVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  struct StoreCount {
    std::string store;
    uint64_t records = 0;
  };

  Status CountAll(Pool* pool, const StopSignal& stop);
  Status CountStore(Pool* pool, const std::string& name, const StopSignal& stop);
  std::string Text() const;
  std::string Json() const;

  PoolArguments pool_;
  std::optional<std::string> store_;
  ReadOptions read_;
  bool json_ = false;
  bool escaped_ = false;
  std::vector<StoreCount> counts_;
};

void CountVerb::Declare(Command* command) {
  command->Usage("POOL [STORE] [--from KEY] [--to KEY] [--prefix BYTES] [--json] [OPTIONS]");
  command->AddExample("tuff count /mnt/pmem/pool users", "how many keys a store has");
  command->AddExample("tuff count /mnt/pmem/pool users --prefix ad",
                      "how many of them begin with ad");
  command->AddExample("tuff count /mnt/pmem/pool", "a line for each store: number, TAB, name");
  command->About(
      "Prints how many keys STORE has between the bounds; without STORE, prints that for each "
      "store, and its name, escaped as by scan. It walks over the keys, so that it takes time in "
      "proportion to their number.");
  DeclarePool(command, &pool_);
  command->Optional("STORE", &store_);
  DeclareRange(command, &read_);
  command->Flag("--json", &json_, "Print a JSON object; without STORE, an array of objects.");
  DeclareEscaped(command, &escaped_);
  DeclareReadOptions(command, &pool_);
}

Status CountVerb::CountStore(Pool* pool, const std::string& name, const StopSignal& stop) {
  Result<Store*> store = pool->OpenStore(name);
  if (!store.ok()) return store.TakeStatus();
  counts_.push_back({name});
  const std::unique_ptr<Iterator> iterator = (*store)->NewIterator(read_);
  for (iterator->SeekToFirst(); iterator->Valid() && !stop.requested(); iterator->Next()) {
    ++counts_.back().records;
  }
  return iterator->status();
}

Status CountVerb::CountAll(Pool* pool, const StopSignal& stop) {
  Result<std::vector<StoreInfo>> stores = pool->ListStores();
  if (!stores.ok()) return stores.TakeStatus();
  for (const StoreInfo& store : *stores) {
    if (Status s = CountStore(pool, store.name, stop); !s.ok() || stop.requested()) return s;
  }
  return {};
}

std::string CountVerb::Text() const {
  if (store_) return fmt::format("{}\n", counts_[0].records);
  std::string out;
  for (const StoreCount& count : counts_) {
    out += fmt::format("{}\t{}\n", count.records, Escape(count.store));
  }
  return out;
}

std::string CountVerb::Json() const {
  std::vector<JsonObject> array;
  for (const StoreCount& count : counts_) {
    JsonObject json;
    json.SetBytes("store", count.store);
    json.SetNumber("records", count.records);
    array.push_back(std::move(json));
  }
  return (store_ ? array[0].Line() : JsonArrayLine(array)) + '\n';
}

Outcome CountVerb::Run(const Context& context) {
  if (Status s = DecodeRange(escaped_, &read_); !s.ok()) return s;
  const StopSignal stop;
  Result<std::unique_ptr<Pool>> pool = OpenToRead(pool_, context.console);
  if (!pool.ok()) return pool.status();
  Status status = store_ ? CountStore(pool->get(), *store_, stop) : CountAll(pool->get(), stop);
  if (status.ok() && !stop.requested()) context.output->Write(json_ ? Json() : Text());
  status = CloseAfter(pool->get(), InPool(pool_, std::move(status)));
  if (status.ok() && stop.requested()) return {128 + stop.signal_number(), "interrupted"};
  return status;
}

}  // namespace

std::unique_ptr<Verb> MakeCountVerb() { return std::make_unique<CountVerb>(); }

}  // namespace tuff::tools
