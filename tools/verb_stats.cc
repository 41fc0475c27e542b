// tuff stats: measures what is in a pool.
#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/escape.h"
#include "tools/json.h"
#include "tools/open_pool.h"
#include "tools/progress.h"
#include "tools/sizes.h"
#include "tools/stop_signal.h"
#include "tools/store_stats.h"
#include "tools/verb.h"

namespace tuff::tools {
namespace {

double Ratio(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

class StatsVerb : public Verb {
 public:
  void Declare(Command* command) override;
  Outcome Run(const Context& context) override;

 private:
  Status Measure(Pool* pool);
  Status MeasureStore(Pool* pool, const std::string& name);
  bool KeepOn() const { return !stop_->requested(); }
  std::string Text() const;
  std::string Json() const;

  PoolArguments pool_;
  std::optional<std::string> store_;
  bool json_ = false;

  // While running.
  Progress* progress_ = nullptr;
  const StopSignal* stop_ = nullptr;
  PoolInfo info_;
  uint64_t free_frames_ = 0;
  std::vector<StoreStats> stores_;
  uint64_t records_ = 0;
  uint64_t bytes_ = 0;  // keys and values
};

void StatsVerb::Declare(Command* command) {
  command->Usage("POOL [STORE] [--json] [OPTIONS]");
  command->AddExample("tuff stats /mnt/pmem/pool", "all stores, and how full the pool is");
  command->AddExample("tuff stats /mnt/pmem/pool users", "one store");
  command->AddExample("tuff stats /mnt/pmem/pool --json | jq .free_bytes", "for scripts");
  command->About(
      "Reads every record of STORE (or of every store) and says how many there are, how large keys "
      "and values are, and how the sizes are distributed; and how much of the pool is used. It "
      "reads all of that from the medium, so that it takes as long as a dump.");
  command->About(
      "Used are the frames that hold anything: records, their index, and the pool's own tables. "
      "Overhead is used bytes over bytes of keys and values, if all stores were read.");
  DeclarePool(command, &pool_);
  command->Optional("STORE", &store_);
  command->Flag("--json", &json_, "Print one JSON object.");
  DeclareReadOptions(command, &pool_);
}

Status StatsVerb::MeasureStore(Pool* pool, const std::string& name) {
  Result<Store*> store = pool->OpenStore(name);
  if (!store.ok()) return store.TakeStatus();
  progress_->set_label(name);
  StoreStats& stats = stores_.emplace_back();
  stats.store = name;
  const std::unique_ptr<Iterator> iterator = (*store)->NewIterator();
  for (iterator->SeekToFirst(); iterator->Valid() && KeepOn(); iterator->Next()) {
    stats.Add(iterator->key(), iterator->value());
    ++records_;
    bytes_ += iterator->key().size() + iterator->value().size();
    progress_->Update(records_, bytes_);
  }
  return iterator->status();
}

Status StatsVerb::Measure(Pool* pool) {
  info_ = pool->GetInfo();
  Result<std::string> free = pool->GetProperty("tuff.free-frames");
  if (!free.ok()) return free.TakeStatus();
  Result<uint64_t> number = ParseCount(*free);
  if (!number.ok()) return number.TakeStatus();
  free_frames_ = *number;
  if (store_) return MeasureStore(pool, *store_);
  Result<std::vector<StoreInfo>> stores = pool->ListStores();
  if (!stores.ok()) return stores.TakeStatus();
  for (const StoreInfo& store : *stores) {
    if (Status s = MeasureStore(pool, store.name); !s.ok() || !KeepOn()) return s;
  }
  return {};
}

std::string StatsVerb::Text() const {
  std::string out;
  const auto row = [&out](std::string_view name, std::string_view value) {
    out += fmt::format("{:<12} {}\n", name, value);
  };
  const uint64_t frame_bytes = info_.size_bytes / info_.frames;
  const auto frames = [frame_bytes](uint64_t n) {
    return fmt::format("{} ({} bytes; frames {})", FormatSize(n * frame_bytes), n * frame_bytes, n);
  };
  const auto range = [](const SizeRange& sizes, uint64_t records) {
    return fmt::format("{}; each {} to {} bytes, {:.1f} on average", FormatSize(sizes.total),
                       sizes.smallest, sizes.largest, Ratio(sizes.total, records));
  };
  row("pool", Escape(info_.path));
  row("size", frames(info_.frames));
  row("used", frames(info_.frames - free_frames_));
  row("free", frames(free_frames_));
  if (!store_) {
    row("stores", fmt::format("{}", stores_.size()));
    row("records", fmt::format("{}, {} of keys and values", records_, FormatSize(bytes_)));
    if (bytes_ > 0) {
      row("overhead", fmt::format("{:.2f} bytes used for each byte of keys and values",
                                  Ratio((info_.frames - free_frames_) * frame_bytes, bytes_)));
    }
  }
  for (const StoreStats& stats : stores_) {
    out += '\n';
    row("store", Escape(stats.store));
    row("records", fmt::format("{}", stats.records));
    if (stats.records == 0) continue;
    row("keys", range(stats.keys, stats.records));
    row("values", range(stats.values, stats.records));
    row("first key", Quoted(stats.first_key));
    row("last key", Quoted(stats.last_key));
    for (size_t i = 0; i < stats.sizes.size(); ++i) {
      if (stats.sizes[i] == 0) continue;
      row(fmt::format("<= {}", FormatSize(uint64_t{1} << i)),
          fmt::format("{:5.1f} %  {}", 100 * Ratio(stats.sizes[i], stats.records),
                      FormatRecords(stats.sizes[i])));
    }
  }
  return out;
}

JsonObject StoreJson(const StoreStats& stats) {
  JsonObject json;
  json.SetBytes("store", stats.store);
  json.SetNumber("records", stats.records);
  for (const auto& [name, sizes] :
       {std::pair("key", stats.keys), std::pair("value", stats.values)}) {
    json.SetNumber(fmt::format("{}_bytes", name), sizes.total);
    json.SetNumber(fmt::format("{}_bytes_min", name), sizes.smallest);
    json.SetNumber(fmt::format("{}_bytes_max", name), sizes.largest);
  }
  if (stats.records > 0) {
    json.SetBytes("first_key", stats.first_key);
    json.SetBytes("last_key", stats.last_key);
  }
  std::vector<JsonObject> sizes;
  for (size_t i = 0; i < stats.sizes.size(); ++i) {
    if (stats.sizes[i] == 0) continue;
    JsonObject size;
    size.SetNumber("bytes_max", uint64_t{1} << i);
    size.SetNumber("records", stats.sizes[i]);
    sizes.push_back(std::move(size));
  }
  json.SetArray("sizes", sizes);
  return json;
}

std::string StatsVerb::Json() const {
  const uint64_t frame_bytes = info_.size_bytes / info_.frames;
  JsonObject json;
  json.SetBytes("path", info_.path);
  json.SetNumber("size_bytes", info_.size_bytes);
  json.SetNumber("used_bytes", (info_.frames - free_frames_) * frame_bytes);
  json.SetNumber("free_bytes", free_frames_ * frame_bytes);
  json.SetNumber("frames", info_.frames);
  json.SetNumber("free_frames", free_frames_);
  json.SetNumber("records", records_);
  json.SetNumber("bytes", bytes_);
  if (!store_ && bytes_ > 0) {
    json.SetReal("overhead", Ratio((info_.frames - free_frames_) * frame_bytes, bytes_));
  }
  std::vector<JsonObject> stores;
  for (const StoreStats& stats : stores_) stores.push_back(StoreJson(stats));
  json.SetArray("stores", stores);
  return json.Line() + '\n';
}

Outcome StatsVerb::Run(const Context& context) {
  const StopSignal stop;
  Result<std::unique_ptr<Pool>> pool = OpenToRead(pool_, context.console);
  if (!pool.ok()) return pool.status();
  Status status;
  {
    Progress progress(context.console, "", std::nullopt);
    progress_ = &progress;
    stop_ = &stop;
    status = Measure(pool->get());
  }
  if (status.ok() && KeepOn()) context.output->Write(json_ ? Json() : Text());
  status = CloseAfter(pool->get(), InPool(pool_, std::move(status)));
  if (status.ok() && !KeepOn()) {
    return {128 + stop.signal_number(),
            fmt::format("interrupted after {}", FormatRecords(records_))};
  }
  return status;
}

}  // namespace

std::unique_ptr<Verb> MakeStatsVerb() { return std::make_unique<StatsVerb>(); }

}  // namespace tuff::tools
