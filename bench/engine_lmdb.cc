// LMDB (https://symas.com/lmdb). Settings: as it comes, and with MDB_WRITEMAP. Both sync at each
// commit, and each put is a transaction of its own.
#include <lmdb.h>

#include <algorithm>
#include <string>

#include "engine.h"

namespace tuff::bench {
namespace {

void Check(int error) {
  if (error != 0) Die(std::string("lmdb: ") + mdb_strerror(error));
}

MDB_val ToVal(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }
std::string_view ToView(const MDB_val& val) {
  return {static_cast<const char*>(val.mv_data), val.mv_size};
}

/// A write transaction; what is not committed is undone.
class WriteTransaction {
 public:
  explicit WriteTransaction(MDB_env* env) { Check(mdb_txn_begin(env, nullptr, 0, &txn_)); }
  WriteTransaction(const WriteTransaction&) = delete;
  WriteTransaction& operator=(const WriteTransaction&) = delete;
  ~WriteTransaction() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }
  MDB_txn* get() const { return txn_; }
  void Put(MDB_dbi dbi, const Pair& pair, unsigned flags = 0) {
    MDB_val key = ToVal(pair.key);
    MDB_val value = ToVal(pair.value);
    Check(mdb_put(txn_, dbi, &key, &value, flags));
  }
  void Commit() {
    MDB_txn* const txn = txn_;
    txn_ = nullptr;
    Check(mdb_txn_commit(txn));
  }

 private:
  MDB_txn* txn_ = nullptr;
};

/// Reads in one transaction and with one cursor, both renewed for each call, as LMDB advises.
class LmdbSession : public Session {
 public:
  LmdbSession(MDB_env* env, MDB_dbi dbi) : env_(env), dbi_(dbi) {
    Check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &read_));
    Check(mdb_cursor_open(read_, dbi_, &cursor_));
    mdb_txn_reset(read_);
  }
  ~LmdbSession() override {
    mdb_cursor_close(cursor_);
    mdb_txn_abort(read_);
  }

  void Put(std::string_view key, std::string_view value) override {
    WriteTransaction txn(env_);
    txn.Put(dbi_, {key, value});
    txn.Commit();
  }

  bool Get(std::string_view key, Seen* seen) override {
    Check(mdb_txn_renew(read_));
    const bool found = GetIn(key, seen);
    mdb_txn_reset(read_);
    return found;
  }

  void Erase(std::string_view key) override {
    WriteTransaction txn(env_);
    MDB_val k = ToVal(key);
    Check(mdb_del(txn.get(), dbi_, &k, nullptr));
    txn.Commit();
  }

  void PutBatch(std::span<const Pair> pairs) override {
    WriteTransaction txn(env_);
    for (const Pair& pair : pairs) txn.Put(dbi_, pair);
    txn.Commit();
  }

  void MultiGet(std::span<const std::string_view> keys, Seen* seen) override {
    Check(mdb_txn_renew(read_));
    for (const std::string_view key : keys) {
      if (!GetIn(key, seen)) Die("lmdb: a record is missing");
    }
    mdb_txn_reset(read_);
  }

  void Scan(std::string_view from, Seen* seen) override {
    Walk(from, from.empty() ? MDB_FIRST : MDB_SET_RANGE, MDB_NEXT, seen);
  }
  void ScanBack(Seen* seen) override { Walk({}, MDB_LAST, MDB_PREV, seen); }

 private:
  bool GetIn(std::string_view key, Seen* seen) {
    MDB_val k = ToVal(key);
    MDB_val value = {};
    const int error = mdb_get(read_, dbi_, &k, &value);
    if (error == MDB_NOTFOUND) return false;
    Check(error);
    seen->Look(ToView(value));
    return true;
  }

  void Walk(std::string_view from, MDB_cursor_op start, MDB_cursor_op step, Seen* seen) {
    Check(mdb_txn_renew(read_));
    Check(mdb_cursor_renew(read_, cursor_));
    MDB_val key = ToVal(from);
    MDB_val value = {};
    int error = mdb_cursor_get(cursor_, &key, &value, start);
    for (; error == 0 && seen->WantsMore(); error = mdb_cursor_get(cursor_, &key, &value, step)) {
      seen->Look(ToView(key), ToView(value));
    }
    if (error != MDB_NOTFOUND) Check(error);
    mdb_txn_reset(read_);
  }

  MDB_env* const env_;
  const MDB_dbi dbi_;
  MDB_txn* read_ = nullptr;
  MDB_cursor* cursor_ = nullptr;
};

class LmdbEngine : public Engine {
 public:
  explicit LmdbEngine(const Place& place)
      : directory_(place.directory),
        flags_(place.setting == "writemap" ? MDB_WRITEMAP : 0),
        map_bytes_(std::max<uint64_t>(1ull << 30, place.logical_bytes * 8)) {}

  void Create() override { Open(); }

  void Open() override {
    Check(mdb_env_create(&env_));
    Check(mdb_env_set_mapsize(env_, map_bytes_));
    Check(mdb_env_open(env_, directory_.c_str(), flags_, 0644));
    WriteTransaction txn(env_);
    Check(mdb_dbi_open(txn.get(), nullptr, 0, &dbi_));
    txn.Commit();
  }

  void Close() override { mdb_env_close(env_); }

  std::unique_ptr<Session> NewSession() override {
    return std::make_unique<LmdbSession>(env_, dbi_);
  }

  /// MDB_APPEND, in transactions of kBulkRecords: one of any size outgrows its list of pages.
  void BulkLoad(uint64_t count, const std::function<Pair(uint64_t)>& record) override {
    constexpr uint64_t kBulkRecords = 100'000;
    for (uint64_t i = 0; i < count;) {
      WriteTransaction txn(env_);
      const uint64_t end = std::min(count, i + kBulkRecords);
      for (; i < end; i++) txn.Put(dbi_, record(i), MDB_APPEND);
      txn.Commit();
    }
  }

  uint64_t MediaBytes() override { return AllocatedBytes(directory_); }

 private:
  const std::string directory_;
  const unsigned flags_;
  const uint64_t map_bytes_;
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
};

const Registration kLmdb({"lmdb",
                          {"default", "writemap"},
                          [](const Place& place) -> std::unique_ptr<Engine> {
                            return std::make_unique<LmdbEngine>(place);
                          }});

}  // namespace
}  // namespace tuff::bench
