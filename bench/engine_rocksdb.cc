// RocksDB (https://rocksdb.org). Settings: as it comes, and as one who knows it would set it for
// memory that keeps its contents. Both sync the log at each write. Debian builds it with
// assertions.
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <string>

#include "engine.h"

namespace tuff::bench {
namespace {

using rocksdb::PinnableSlice;
using rocksdb::Slice;

void Check(const rocksdb::Status& status) {
  if (!status.ok()) Die("rocksdb: " + status.ToString());
}

Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view ToView(const Slice& slice) { return {slice.data(), slice.size()}; }

rocksdb::Options OptionsOf(std::string_view setting) {
  rocksdb::Options options;
  options.create_if_missing = true;
  if (setting != "tuned") return options;
  options.compression = rocksdb::kNoCompression;
  options.allow_mmap_reads = true;
  options.write_buffer_size = 256u << 20;
  options.enable_pipelined_write = true;
  options.recycle_log_file_num = 4;
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

rocksdb::WriteOptions Durable() {
  rocksdb::WriteOptions write;
  write.sync = true;
  return write;
}

class RocksdbSession : public Session {
 public:
  explicit RocksdbSession(rocksdb::DB& db) : db_(db) {}

  void Put(std::string_view key, std::string_view value) override {
    Check(db_.Put(write_, ToSlice(key), ToSlice(value)));
  }

  bool Get(std::string_view key, Seen* seen) override {
    PinnableSlice value;
    const rocksdb::Status status = db_.Get(read_, db_.DefaultColumnFamily(), ToSlice(key), &value);
    if (status.IsNotFound()) return false;
    Check(status);
    seen->Look(ToView(value));
    return true;
  }

  void Erase(std::string_view key) override { Check(db_.Delete(write_, ToSlice(key))); }

  void PutBatch(std::span<const Pair> pairs) override {
    batch_.Clear();
    for (const Pair& pair : pairs) Check(batch_.Put(ToSlice(pair.key), ToSlice(pair.value)));
    Check(db_.Write(write_, &batch_));
  }

  void MultiGet(std::span<const std::string_view> keys, Seen* seen) override {
    slices_.clear();
    for (const std::string_view key : keys) slices_.push_back(ToSlice(key));
    values_.resize(keys.size());
    statuses_.resize(keys.size());
    db_.MultiGet(read_, db_.DefaultColumnFamily(), keys.size(), slices_.data(), values_.data(),
                 statuses_.data());
    for (size_t i = 0; i < keys.size(); i++) {
      Check(statuses_[i]);
      seen->Look(ToView(values_[i]));
      values_[i].Reset();
    }
  }

  void Scan(std::string_view from, Seen* seen) override {
    const std::unique_ptr<rocksdb::Iterator> it(db_.NewIterator(read_));
    from.empty() ? it->SeekToFirst() : it->Seek(ToSlice(from));
    for (; it->Valid() && seen->WantsMore(); it->Next()) {
      seen->Look(ToView(it->key()), ToView(it->value()));
    }
    Check(it->status());
  }

  void ScanBack(Seen* seen) override {
    const std::unique_ptr<rocksdb::Iterator> it(db_.NewIterator(read_));
    it->SeekToLast();
    for (; it->Valid() && seen->WantsMore(); it->Prev()) {
      seen->Look(ToView(it->key()), ToView(it->value()));
    }
    Check(it->status());
  }

 private:
  rocksdb::DB& db_;
  const rocksdb::WriteOptions write_ = Durable();
  const rocksdb::ReadOptions read_;
  rocksdb::WriteBatch batch_;
  std::vector<Slice> slices_;
  std::vector<PinnableSlice> values_;
  std::vector<rocksdb::Status> statuses_;
};

class RocksdbEngine : public Engine {
 public:
  explicit RocksdbEngine(const Place& place)
      : directory_(place.directory), options_(OptionsOf(place.setting)) {}

  void Create() override { Open(); }

  void Open() override {
    rocksdb::DB* db = nullptr;
    Check(rocksdb::DB::Open(options_, directory_, &db));
    db_.reset(db);
  }

  void Close() override {
    Check(db_->Close());
    db_.reset();
  }

  std::unique_ptr<Session> NewSession() override { return std::make_unique<RocksdbSession>(*db_); }

  /// A table file written beside the database, then moved into it.
  void BulkLoad(uint64_t count, const std::function<Pair(uint64_t)>& record) override {
    const std::string file = directory_ + "/bulk.sst";
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options_);
    Check(writer.Open(file));
    for (uint64_t i = 0; i < count; i++) {
      const Pair pair = record(i);
      Check(writer.Put(ToSlice(pair.key), ToSlice(pair.value)));
    }
    Check(writer.Finish());
    rocksdb::IngestExternalFileOptions ingest;
    ingest.move_files = true;
    Check(db_->IngestExternalFile({file}, ingest));
  }

  uint64_t MediaBytes() override { return AllocatedBytes(directory_); }

 private:
  const std::string directory_;
  const rocksdb::Options options_;
  std::unique_ptr<rocksdb::DB> db_;
};

const Registration kRocksdb({"rocksdb",
                             {"default", "tuned"},
                             [](const Place& place) -> std::unique_ptr<Engine> {
                               return std::make_unique<RocksdbEngine>(place);
                             }});

}  // namespace
}  // namespace tuff::bench
