// tuff: one pool with one store. Settings: as it comes, and with the write guard on and off.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine.h"
#include "tuff/tuff.h"

namespace tuff::bench {
namespace {

void Check(const Status& status) {
  if (!status.ok()) Die("tuff: " + status.ToString());
}

template <typename T>
T Must(Result<T> result) {
  Check(result.status());
  return *std::move(result);
}

class TuffSession : public Session {
 public:
  TuffSession(Pool& pool, Store& store) : pool_(pool), store_(store) {}

  void Put(std::string_view key, std::string_view value) override { Check(store_.Put(key, value)); }

  bool Get(std::string_view key, Seen* seen) override {
    const Status status = store_.Get(key, &value_);
    if (status.code() == Code::kNotFound) return false;
    Check(status);
    seen->Look(value_);
    return true;
  }

  void Erase(std::string_view key) override { Check(store_.Delete(key)); }

  void PutBatch(std::span<const Pair> pairs) override {
    batch_.Clear();
    for (const Pair& pair : pairs) Check(batch_.Put(store_, pair.key, pair.value));
    Check(pool_.Write(batch_));
  }

  void MultiGet(std::span<const std::string_view> keys, Seen* seen) override {
    store_.MultiGet(keys, &values_, &statuses_);
    for (size_t i = 0; i < keys.size(); i++) {
      Check(statuses_[i]);
      seen->Look(values_[i]);
    }
  }

  void Scan(std::string_view from, Seen* seen) override {
    const auto it = store_.NewIterator();
    from.empty() ? it->SeekToFirst() : it->Seek(from);
    for (; it->Valid() && seen->WantsMore(); it->Next()) {
      seen->Look(it->key(), it->value());
    }
    Check(it->status());
  }

  void ScanBack(Seen* seen) override {
    const auto it = store_.NewIterator();
    it->SeekToLast();
    for (; it->Valid() && seen->WantsMore(); it->Prev()) {
      seen->Look(it->key(), it->value());
    }
    Check(it->status());
  }

 private:
  Pool& pool_;
  Store& store_;
  WriteBatch batch_;
  std::string value_;
  std::vector<std::string> values_;
  std::vector<Status> statuses_;
};

class TuffEngine : public Engine {
 public:
  explicit TuffEngine(const Place& place)
      : path_(place.directory + "/pool"), sparse_(place.pool_bytes != 0) {
    if (place.granularity == "cache-line") open_.force_granularity = Granularity::kCacheLine;
    if (place.granularity == "page") open_.force_granularity = Granularity::kPage;
    if (place.setting == "guard=pkey") open_.guard = Guard::kPkey;
    if (place.setting == "guard=none") open_.guard = Guard::kNone;
    // Room for the worst media per logical byte that was seen, and nodes being rewritten.
    constexpr uint64_t kMiB = 1ull << 20;
    bytes_ = place.pool_bytes != 0 ? place.pool_bytes
                                   : std::max<uint64_t>(64 * kMiB, place.logical_bytes * 4);
  }

  void Create() override {
    CreateOptions create;
    create.size_bytes = bytes_;
    create.sparse = sparse_;
    create.open = open_;
    Result<std::unique_ptr<Pool>> pool = Pool::Create(path_, create);
    if (pool.status().code() == Code::kNotSupported) Skip(pool.status().ToString());
    pool_ = Must(std::move(pool));
    frames_unused_ = FreeFrames();
    store_ = Must(pool_->CreateStore("bench"));
  }

  void Open() override {
    pool_ = Must(Pool::Open(path_, open_));
    store_ = Must(pool_->OpenStore("bench"));
  }

  void Close() override {
    Check(pool_->Close());
    pool_.reset();
  }

  std::unique_ptr<Session> NewSession() override {
    return std::make_unique<TuffSession>(*pool_, *store_);
  }

  void BulkLoad(uint64_t count, const std::function<Pair(uint64_t)>& record) override {
    const std::unique_ptr<BulkLoader> loader = Must(store_->NewBulkLoader());
    for (uint64_t i = 0; i < count; i++) {
      const Pair pair = record(i);
      Check(loader->Add(pair.key, pair.value));
    }
    Check(loader->Finish());
  }

  /// Of the frames in use: the file has its full size from the start.
  uint64_t MediaBytes() override {
    const uint64_t free_now = FreeFrames();
    return (frames_unused_ - std::min(frames_unused_, free_now)) * 4096;
  }

  std::optional<Counters> GetCounters() override {
    Check(pool_->WaitForBackgroundWork());
    const Statistics s = pool_->GetStatistics();
    return Counters{s.fences, s.flushes, s.flushed_bytes};
  }

  std::optional<double> PoolBytes() override {
    return static_cast<double>(pool_->GetInfo().size_bytes);
  }

 private:
  uint64_t FreeFrames() { return std::stoull(Must(pool_->GetProperty("tuff.free-frames"))); }

  const std::string path_;
  const bool sparse_;
  uint64_t bytes_ = 0;
  OpenOptions open_;
  std::unique_ptr<Pool> pool_;
  Store* store_ = nullptr;
  uint64_t frames_unused_ = 0;  // when the pool was new
};

const Registration kTuff({"tuff",
                          {"default", "guard=pkey", "guard=none"},
                          [](const Place& place) -> std::unique_ptr<Engine> {
                            return std::make_unique<TuffEngine>(place);
                          }});

}  // namespace
}  // namespace tuff::bench
