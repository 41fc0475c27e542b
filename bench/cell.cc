#include "cell.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <numeric>

#include "syncs.h"

namespace tuff::bench {
namespace {

constexpr uint64_t kFillRecords = 1000;  // of one batch

EngineMaker MakerOf(const std::string& name) {
  for (const EngineKind& kind : Engines()) {
    if (kind.name == name) return kind.make;
  }
  Skip(fmt::format("{} is not built in: its package was not there when CMake ran", name));
}

std::string Number(std::optional<double> value) {
  return value ? fmt::format("{:.6g}", *value) : "null";
}

uint64_t Sum(const std::vector<uint64_t>& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), uint64_t{0});
}

}  // namespace

Cell::Cell(const CellConfig& config)
    : config_(config),
      records_(config.key_bytes, config.value_bytes),
      make_(MakerOf(config.engine)) {
  Place place;
  place.directory = config.directory;
  place.setting = config.setting;
  place.granularity = config.granularity;
  place.pool_bytes = config.pool_bytes;
  // A quarter more for what YCSB's D and E insert.
  place.logical_bytes = records_.LogicalBytes(0, config.records + config.records / 4);
  anonymous_bytes_before_ = AnonymousBytes();
  engine_ = make_(place);
  loaded.resize(config.threads);
  inserted.resize(config.threads);
  deleted.resize(config.threads);
}

Cell::~Cell() = default;

void Cell::Create() {
  Close();
  for (const auto& entry : std::filesystem::directory_iterator(config_.directory)) {
    std::filesystem::remove_all(entry.path());
  }
  for (auto* counts : {&loaded, &inserted, &deleted}) std::fill(counts->begin(), counts->end(), 0);
  deleted_for_good = 0;
  anonymous_bytes_before_ = AnonymousBytes();
  engine_->Create();
  created_ = open_ = true;
}

void Cell::Open() {
  anonymous_bytes_before_ = AnonymousBytes();
  engine_->Open();
  open_ = true;
}

void Cell::Close() {
  if (open_) engine_->Close();
  created_ = open_ = false;
}

void Cell::Fill() {
  const std::unique_ptr<Session> session = engine_->NewSession();
  std::vector<Key> keys;
  std::vector<Pair> pairs;
  keys.reserve(kFillRecords);
  for (unsigned t = 0; t < config_.threads; t++) {
    uint64_t i = t + loaded[t] * config_.threads;
    while (i < config_.records) {
      keys.clear();
      pairs.clear();
      for (; i < config_.records && keys.size() < kFillRecords; i += config_.threads) {
        keys.push_back(records_.Key(i));
        pairs.push_back({keys.back().view(), records_.Value(i, 0)});
      }
      session->PutBatch(pairs);
      loaded[t] += pairs.size();
    }
  }
}

const Zipfian& Cell::zipfian() {
  if (!zipfian_) zipfian_ = std::make_unique<Zipfian>(config_.records);
  return *zipfian_;
}

uint64_t Cell::LiveRecords() const {
  return Sum(loaded) + Sum(inserted) - Sum(deleted) - deleted_for_good;
}

uint64_t Cell::LiveBytes() const {
  if (!records_.mixed()) return LiveRecords() * records_.LogicalBytes(0, 1);
  // Nothing is deleted in the cells of mixed sizes.
  uint64_t bytes = 0;
  for (unsigned t = 0; t < config_.threads; t++) {
    for (uint64_t k = 0; k < loaded[t]; k++) bytes += BytesOf(t + k * config_.threads);
    for (uint64_t k = 0; k < inserted[t]; k++) bytes += BytesOf(InsertedNumber(t, k));
  }
  return bytes;
}

Cell::Counted Cell::CountNow() {
  return {open_ ? engine_->GetCounters().value_or(Counters{}) : Counters{}, CountSyncs()};
}

void Cell::CheckFound(std::string_view workload, const Seen& before, const Seen& after,
                      uint64_t n) const {
  const uint64_t found = after.records() - before.records();
  const uint64_t bytes = after.bytes() - before.bytes();
  if (found != n || (!records_.mixed() && bytes != n * config_.value_bytes)) {
    Die(fmt::format("{}: {} of {} records found, with {} B of values", workload, found, n, bytes));
  }
}

void Cell::Run(std::string_view workload, const Box& box, const Begin& begin, uint64_t work) {
  const Counted before = CountNow();
  const Measured measured = RunBox(box, [&](unsigned t) -> Step {
    // Goes with the step, which ends in the session's own thread.
    const std::shared_ptr<Session> session = engine_->NewSession();
    return [session, step = begin(t, *session)] { return step(); };
  });
  Extras extras;
  if (work != 0) {
    extras.share_done = static_cast<double>(measured.operations) / static_cast<double>(work);
  }
  Print(workload, measured, before, extras);
}

std::string Cell::Head(std::string_view workload) const {
  return fmt::format(
      R"("engine": "{}", "setting": "{}", "workload": "{}", "set": "{}", "records": {}, )"
      R"("key_bytes": {}, "value_bytes": {}, "threads": {}, "granularity": "{}", "round": {})",
      config_.engine, config_.setting, workload, config_.set, config_.records, config_.key_bytes,
      records_.mixed() ? "\"mixed\"" : fmt::format("{}", config_.value_bytes), config_.threads,
      config_.granularity, config_.round);
}

void Cell::Print(std::string_view workload, const Measured& measured, const Counted& before,
                 const Extras& extras) {
  const auto n = static_cast<double>(std::max<uint64_t>(1, measured.operations));
  const auto per_op = [n](uint64_t now, uint64_t then) {
    return static_cast<double>(now - then) / n;
  };
  const double syncs = per_op(CountSyncs(), before.syncs);
  std::optional<double> fences, flushes, bytes, media;
  if (const std::optional<Counters> after = engine_->GetCounters()) {
    fences = per_op(after->fences, before.engine.fences);
    flushes = per_op(after->flushes, before.engine.flushes);
    bytes = per_op(after->flushed_bytes, before.engine.flushed_bytes);
  }
  if (created_) {
    media = static_cast<double>(engine_->MediaBytes()) / static_cast<double>(LiveBytes());
  }
  const auto dram =
      static_cast<double>(AnonymousBytes()) - static_cast<double>(anonymous_bytes_before_);
  const Histogram& latencies = measured.latencies;
  fmt::print(R"({{{}, "operations": {}, "seconds": {:.6f}, "ops_per_s": {:.1f}, "p50_us": {:.3f}, )"
             R"("p99_us": {:.3f}, "p999_us": {:.3f}, "fences_per_op": {}, "flushes_per_op": {}, )"
             R"("flushed_bytes_per_op": {}, "syncs_per_op": {}, "media_per_logical": {}, )"
             R"("dram_bytes": {:.0f}, "pool_bytes": {}, "kept_from_running": [{:.4f}], )"
             R"("first_get_ms": {}, "full_speed_ms": {}, "share_done": {}}})"
             "\n",
             Head(workload), measured.operations, measured.seconds,
             static_cast<double>(measured.operations) / measured.seconds,
             latencies.PercentileUs(0.5), latencies.PercentileUs(0.99),
             latencies.PercentileUs(0.999), Number(fences), Number(flushes), Number(bytes),
             Number(syncs), Number(media), std::max(0.0, dram), Number(engine_->PoolBytes()),
             fmt::join(measured.kept_from_running, ", "), Number(extras.first_get_ms),
             Number(extras.full_speed_ms), Number(extras.share_done));
  std::fflush(stdout);
}

}  // namespace tuff::bench
