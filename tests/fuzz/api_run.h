// An input of the API fuzzer is a program: a list of steps, each one call of the public interface.
// ApiRun does each of them on a pool and on std::maps beside it, and aborts where they differ.
//
// Inputs outlive the code: steps are never renumbered. Thread-safety: none.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/test_util.h"

namespace tuff::test {

enum class StepOp : uint8_t {
  kPut,
  kDelete,
  kGet,
  kGetPinned,
  kMultiGet,
  kCompareAndSwap,
  kReadModifyWrite,
  kDeleteRange,
  kPutMany,
  kBatch,  // the next x % 8 steps say what is in it
  kCreateStore,
  kOpenStore,
  kRenameStore,
  kDropStore,
  kListStores,
  kTakeSnapshot,
  kReleaseSnapshot,
  kReadSnapshot,
  kNewIterator,
  kMoveIterator,
  kEndIterator,
  kBulkLoad,
  kBegin,
  kTransact,
  kCommit,
  kReopen,
  kCompare,
  kMisuse,
  kBackground,
  kLast = kBackground,
};
inline constexpr uint8_t kStepOps = static_cast<uint8_t>(StepOp::kLast) + 1;

struct ApiStep {
  uint8_t op;
  uint8_t store;
  uint8_t shape;  // of the key
  uint8_t key;
  uint16_t size;  // of the value, or how many
  uint8_t x;
  uint8_t y;
};
static_assert(sizeof(ApiStep) == 8);

// Bits of ApiHead::options.
inline constexpr uint8_t kApiPage = 1;
inline constexpr uint8_t kApiDram = 2;
inline constexpr uint8_t kApiConsolidator = 4;
inline constexpr uint8_t kApiFewVersions = 8;
inline constexpr uint8_t kApiByte = 16;

struct ApiHead {
  uint8_t options;
  uint8_t reserved[3];
};
inline constexpr size_t kStepsMax = 160;

class ApiRun {
 public:
  /// REQUIRES: the file at `path` holds a good pool without stores.
  ApiRun(std::string path, const ApiHead& head);
  ~ApiRun();
  ApiRun(const ApiRun&) = delete;
  ApiRun& operator=(const ApiRun&) = delete;

  void Run(const std::vector<ApiStep>& steps);

 private:
  struct Record {
    std::string value;
    uint64_t written = 0;  // number of the write
    bool operator==(const Record&) const = default;
  };
  using Records = std::map<std::string, Record>;

  // A store as it should be.
  struct StoreModel {
    std::string name;
    Records records;
    std::map<std::string, uint64_t> last_write;  // of each key ever written or deleted
    bool dropped = false;
    Store* store = nullptr;  // null: not opened since the pool was
    int iterators = 0;
    int pinned = 0;
  };
  struct TakenSnapshot {
    const Snapshot* snapshot;
    std::map<StoreModel*, Records> records;
  };
  struct OpenIterator {
    StoreModel* model;
    std::unique_ptr<Iterator> iterator;
    Records records;  // within its bounds
    Records::const_iterator at;
  };
  struct Pin {
    StoreModel* model;
    PinnedValue value;
    std::string expected;
  };
  struct OpenTransaction {
    std::unique_ptr<Transaction> transaction;
    std::map<StoreModel*, Records> records;
    std::map<std::pair<StoreModel*, std::string>, uint64_t> reads;  // the write that was read
    std::map<std::pair<StoreModel*, std::string>, std::optional<std::string>> writes;
    uint64_t begun = 0;
  };

  // What goes wrong names the step.
  void Expect(bool right, const std::string& what) const;
  void ExpectCode(const Status& status, Code code, const std::string& what) const;

  OpenOptions Options(bool read_only) const;
  void Open(bool read_only);
  /// Lets go of everything that keeps the pool from being closed.
  void LetGo();
  void Reopen(bool read_only);

  // Arguments of a step.
  static std::string KeyOf(const ApiStep& step);
  std::string ValueOf(const ApiStep& step, const std::string& key) const;
  static std::string NameOf(uint8_t i);
  static bool KeyIsRight(const std::string& key);
  static bool IsRight(const std::string& key, const std::string& value);
  // An open store, perhaps a dropped one; null if there is none.
  StoreModel* ModelOf(const ApiStep& step);
  StoreModel* Existing(const std::string& name);

  /// Whether a write has been done; it must have been, or say why not.
  bool HasWritten(const Status& status, const StoreModel& model, bool right);
  void Set(StoreModel* model, const std::string& key, const std::optional<std::string>& value);
  const std::string* Find(const Records& records, const std::string& key) const;
  void ExpectValue(const Status& status, const std::string& value, const std::string* expected,
                   const std::string& what) const;

  void Do(const ApiStep& step);
  void Put(StoreModel* model, const std::string& key, const std::string& value);
  void Delete(StoreModel* model, const std::string& key);
  void Get(StoreModel* model, const std::string& key);
  void GetPinned(StoreModel* model, const std::string& key);
  void MultiGet(StoreModel* model, const ApiStep& step);
  void CompareAndSwap(StoreModel* model, const ApiStep& step);
  void ReadModifyWrite(StoreModel* model, const ApiStep& step);
  void DeleteRange(StoreModel* model, const ApiStep& step);
  void PutMany(StoreModel* model, const ApiStep& step);
  void WriteBatchOf(const std::vector<ApiStep>& steps);

  // api_more.cc
  void DoMore(const ApiStep& step);
  void CreateStore(const std::string& name, bool or_open);
  void OpenStore(const std::string& name);
  void RenameStore(const std::string& from, const std::string& to);
  void DropStore(const std::string& name);
  void ListStores();
  void TakeSnapshot();
  void ReadSnapshot(StoreModel* model, const ApiStep& step);
  void NewIterator(StoreModel* model, const ApiStep& step);
  void MoveIterator(const ApiStep& step);
  void EndIterator();
  void ComparePlace(OpenIterator* open, const std::string& what);
  void BulkLoad(StoreModel* model, const ApiStep& step);
  void Begin();
  void Transact(StoreModel* model, const ApiStep& step);
  void Commit();
  void Compare();
  void CompareStore(const StoreModel& model, const Records& records, const Snapshot* snapshot);
  void Misuse(const ApiStep& step);

  const std::string path_;
  const ApiHead head_;
  size_t step_ = 0;
  uint64_t writes_ = 0;  // of the model, in order
  bool read_only_ = false;
  std::unique_ptr<Pool> pool_;
  std::vector<std::unique_ptr<StoreModel>> models_;  // dropped ones, too
  std::vector<TakenSnapshot> snapshots_;
  std::vector<std::unique_ptr<OpenIterator>> iterators_;
  std::vector<Pin> pins_;
  std::optional<OpenTransaction> transaction_;
};

}  // namespace tuff::test
