// The fuzzer's calls over whole stores, at several moments, and wrong ones.
#include <cstring>

#include "tests/engine/engine_test_util.h"
#include "tests/fuzz/api_run.h"

namespace tuff::test {
namespace {

constexpr size_t kSnapshotsMax = 3;
constexpr size_t kIteratorsMax = 2;
constexpr size_t kStoresMax = 12;

}  // namespace

void ApiRun::DoMore(const ApiStep& step) {
  StoreModel* const model = ModelOf(step);
  switch (static_cast<StepOp>(step.op % kStepOps)) {
    case StepOp::kCreateStore:
      return CreateStore(NameOf(step.store), step.x % 2 == 0);
    case StepOp::kOpenStore:
      return OpenStore(NameOf(step.store));
    case StepOp::kRenameStore:
      return RenameStore(NameOf(step.store), NameOf(step.key));
    case StepOp::kDropStore:
      return DropStore(NameOf(step.store));
    case StepOp::kListStores:
      return ListStores();
    case StepOp::kTakeSnapshot:
      return TakeSnapshot();
    case StepOp::kReleaseSnapshot:
      if (snapshots_.empty()) return;
      pool_->ReleaseSnapshot(snapshots_.front().snapshot);
      snapshots_.erase(snapshots_.begin());
      return;
    case StepOp::kMoveIterator:
      return MoveIterator(step);
    case StepOp::kEndIterator:
      return EndIterator();
    case StepOp::kBegin:
      return Begin();
    case StepOp::kCommit:
      return Commit();
    case StepOp::kReopen:
      return Reopen(step.x % 4 == 1);
    case StepOp::kCompare:
      return Compare();
    case StepOp::kMisuse:
      return Misuse(step);
    case StepOp::kBackground:
      return ExpectCode(pool_->WaitForBackgroundWork(), Code::kOk, "background work");
    default:
      break;
  }
  if (model == nullptr) return CreateStore(NameOf(step.store), true);
  switch (static_cast<StepOp>(step.op % kStepOps)) {
    case StepOp::kReadSnapshot:
      return ReadSnapshot(model, step);
    case StepOp::kNewIterator:
      return NewIterator(model, step);
    case StepOp::kBulkLoad:
      return BulkLoad(model, step);
    default:
      return Transact(model, step);
  }
}

void ApiRun::CreateStore(const std::string& name, bool or_open) {
  if (models_.size() >= kStoresMax) return;
  auto store = or_open ? pool_->OpenOrCreateStore(name) : pool_->CreateStore(name);
  StoreModel* const there = Existing(name);
  const bool right = !name.empty() && name.size() <= kStoreNameSizeMax &&
                     name.find_first_of(std::string("/\0", 2)) == std::string::npos;
  if (there != nullptr) {
    if (or_open)
      ExpectCode(store.status(), Code::kOk, "open or create");
    else
      Expect(store.status().code() == Code::kExists || read_only_, "create what exists");
    if (store.ok()) there->store = *store;
    return;
  }
  if (!store.ok()) return (void)HasWritten(store.status(), StoreModel(), right);
  Expect(right && !read_only_, "a store that may not be is made");
  Expect((*store)->name() == name, "a store's name");
  models_.push_back(std::make_unique<StoreModel>(StoreModel{name, {}, {}, false, *store}));
}

void ApiRun::OpenStore(const std::string& name) {
  auto store = pool_->OpenStore(name);
  StoreModel* const there = Existing(name);
  if (there == nullptr) return Expect(!store.ok(), "a store that does not exist is opened");
  ExpectCode(store.status(), Code::kOk, "open a store");
  Expect(there->store == nullptr || there->store == *store, "one store in two places");
  there->store = *store;
}

void ApiRun::RenameStore(const std::string& from, const std::string& to) {
  StoreModel* const there = Existing(from);
  const bool taken = Existing(to) != nullptr;
  const Status s = pool_->RenameStore(from, to);
  if (!s.ok()) {
    const bool plain = to.starts_with("store");
    return Expect(read_only_ || there == nullptr || taken || !plain || s.code() == Code::kNoSpace,
                  "rename: " + s.ToString());
  }
  Expect(there != nullptr && !read_only_ && (!taken || from == to), "a wrong rename");
  there->name = to;
}

void ApiRun::DropStore(const std::string& name) {
  StoreModel* const there = Existing(name);
  const Status s = pool_->DropStore(name);
  if (there == nullptr) return Expect(!s.ok(), "a store that does not exist is dropped");
  if (there->iterators + there->pinned > 0 && !read_only_) {
    return ExpectCode(s, Code::kBusy, "a store in use is dropped");
  }
  if (!HasWritten(s, *there, true)) return;
  there->dropped = true;
  there->records.clear();
  there->last_write.clear();
}

void ApiRun::ListStores() {
  const auto list = pool_->ListStores();
  ExpectCode(list.status(), Code::kOk, "list stores");
  std::vector<std::string> names;
  for (const auto& model : models_) {
    if (!model->dropped) names.push_back(model->name);
  }
  std::sort(names.begin(), names.end());
  Expect(names.size() == list->size(), "how many stores");
  for (size_t i = 0; i < names.size(); i++) Expect((*list)[i].name == names[i], "stores' names");
}

void ApiRun::TakeSnapshot() {
  if (snapshots_.size() == kSnapshotsMax) return;
  auto snapshot = pool_->GetSnapshot();
  ExpectCode(snapshot.status(), Code::kOk, "take a snapshot");
  TakenSnapshot taken{*snapshot, {}};
  for (const auto& model : models_) taken.records[model.get()] = model->records;
  snapshots_.push_back(std::move(taken));
}

void ApiRun::ReadSnapshot(StoreModel* model, const ApiStep& step) {
  if (snapshots_.empty() || model->dropped) return;
  const TakenSnapshot& taken = snapshots_[step.x % snapshots_.size()];
  const auto of_store = taken.records.find(model);
  const Records records = of_store == taken.records.end() ? Records() : of_store->second;
  if (step.y % 4 == 0) return CompareStore(*model, records, taken.snapshot);
  const std::string key = KeyOf(step);
  if (!KeyIsRight(key)) return;
  std::string value;
  const Status s = model->store->Get(key, &value, taken.snapshot);
  if (s.code() == Code::kExpired && (head_.options & kApiFewVersions) != 0) return;
  ExpectValue(s, value, Find(records, key), "get at a snapshot");
}

void ApiRun::CompareStore(const StoreModel& model, const Records& records,
                          const Snapshot* snapshot) {
  ReadOptions options;
  options.snapshot = snapshot;
  const auto it = model.store->NewIterator(options);
  it->SeekToFirst();
  for (const auto& [key, record] : records) {
    if (!it->Valid() && it->status().code() == Code::kExpired &&
        (head_.options & kApiFewVersions) != 0) {
      return;
    }
    Expect(it->Valid(), "a walk ends early: " + it->status().ToString());
    Expect(it->key() == key && it->value() == record.value, "a walk finds another record");
    it->Next();
  }
  Expect(!it->Valid(), "a walk finds too much");
  if (it->status().code() == Code::kExpired && (head_.options & kApiFewVersions) != 0) return;
  ExpectCode(it->status(), Code::kOk, "a walk's end");
}

void ApiRun::NewIterator(StoreModel* model, const ApiStep& step) {
  if (iterators_.size() == kIteratorsMax || model->dropped) return;
  ReadOptions options;
  Records records = model->records;
  if (!snapshots_.empty() && step.y % 4 == 3) {
    const TakenSnapshot& taken = snapshots_[step.x % snapshots_.size()];
    options.snapshot = taken.snapshot;
    const auto of_store = taken.records.find(model);
    records = of_store == taken.records.end() ? Records() : of_store->second;
  }
  ApiStep other = step;
  other.key = static_cast<uint8_t>(step.key + step.size);
  if (step.x % 4 == 1) options.lower_bound = KeyOf(step);
  if (step.x % 8 >= 5) options.upper_bound = KeyOf(other);
  if (step.x % 16 >= 12) options.prefix = KeyOf(step).substr(0, 1 + step.x % 5);
  std::erase_if(records, [&](const auto& entry) {
    const std::string& key = entry.first;
    return (options.lower_bound && key < *options.lower_bound) ||
           (options.upper_bound && key >= *options.upper_bound) ||
           (options.prefix && !key.starts_with(*options.prefix));
  });
  auto open = std::make_unique<OpenIterator>(
      OpenIterator{model, model->store->NewIterator(options), std::move(records), {}});
  open->at = open->records.end();
  model->iterators++;
  open->iterator->SeekToFirst();
  open->at = open->records.begin();
  iterators_.push_back(std::move(open));
  ComparePlace(iterators_.back().get(), "the first");
}

void ApiRun::ComparePlace(OpenIterator* open, const std::string& what) {
  const Iterator& it = *open->iterator;
  if (it.status().code() == Code::kExpired && (head_.options & kApiFewVersions) != 0) {
    open->at = open->records.end();
    return;
  }
  ExpectCode(it.status(), Code::kOk, what);
  Expect(it.Valid() == (open->at != open->records.end()), what + ": whether there is one");
  if (!it.Valid()) return;
  Expect(it.key() == open->at->first, what + ": key");
  Expect(it.value() == open->at->second.value, what + ": value");
}

void ApiRun::MoveIterator(const ApiStep& step) {
  if (iterators_.empty()) return;
  OpenIterator& open = *iterators_[step.store % iterators_.size()];
  Iterator& it = *open.iterator;
  const Records& records = open.records;
  const std::string key = KeyOf(step);
  const auto before = [&](Records::const_iterator at) {
    return at == records.begin() ? records.end() : std::prev(at);
  };
  switch (step.x % 6) {
    case 0:
      it.SeekToFirst();
      open.at = records.begin();
      break;
    case 1:
      it.SeekToLast();
      open.at = before(records.end());
      break;
    case 2:
      it.Seek(key);
      open.at = records.lower_bound(key);
      break;
    case 3:
      it.SeekForPrev(key);
      open.at = before(records.upper_bound(key));
      break;
    default:
      for (unsigned i = 0; i <= step.y % 32u && it.Valid(); i++) {
        if (step.x % 6 == 4) {
          it.Next();
          ++open.at;
        } else {
          it.Prev();
          open.at = before(open.at);
        }
        ComparePlace(&open, "a step");
      }
      return;
  }
  ComparePlace(&open, "a seek");
}

// All that it sees, both ways, before it goes.
void ApiRun::EndIterator() {
  if (iterators_.empty()) return;
  OpenIterator& open = *iterators_.front();
  open.iterator->SeekToFirst();
  open.at = open.records.begin();
  ComparePlace(&open, "the first");
  while (open.iterator->Valid()) {
    open.iterator->Next();
    ++open.at;
    ComparePlace(&open, "the next");
  }
  open.iterator->SeekToLast();
  open.at = open.records.end();
  if (open.at != open.records.begin()) --open.at;
  ComparePlace(&open, "the last");
  while (open.iterator->Valid()) {
    open.iterator->Prev();
    open.at = open.at == open.records.begin() ? open.records.end() : std::prev(open.at);
    ComparePlace(&open, "the one before");
  }
  open.model->iterators--;
  iterators_.erase(iterators_.begin());
}

void ApiRun::BulkLoad(StoreModel* model, const ApiStep& step) {
  auto loader = model->store->NewBulkLoader();
  if (!loader.ok()) {
    if (model->records.empty()) (void)HasWritten(loader.status(), *model, true);
    return;
  }
  Expect(model->records.empty() && !read_only_ && !model->dropped, "a store is loaded twice");
  Records records;
  for (unsigned i = 0; i < step.size % 400u; i++) {
    const std::string key = "bulk" + std::to_string(1000 + i) + std::string(step.key, 'x');
    const std::string value(step.y, 'v');
    const Status s = (*loader)->Add(key, value);
    if (!HasWritten(s, *model, true)) return;
    records[key] = {value, writes_};
    if (i % 50 == 7) ExpectCode((*loader)->Add("a", ""), Code::kInvalidArgument, "add below");
  }
  Expect((*loader)->records() == records.size(), "how many are loaded");
  if (step.x % 8 == 1) ExpectCode(pool_->Close(), Code::kBusy, "close beside a bulk load");
  if (step.x % 8 == 2) Put(model, "key", "beside a bulk load");
  if (step.x % 8 == 3) return;  // given up
  const Status s = (*loader)->Finish();
  if (!model->records.empty()) return ExpectCode(s, Code::kConflict, "a load beside a put");
  if (!HasWritten(s, *model, true)) return;
  for (const auto& [key, record] : records) Set(model, key, record.value);
}

void ApiRun::Begin() {
  if (transaction_) return;
  auto transaction = pool_->BeginTransaction();
  ExpectCode(transaction.status(), Code::kOk, "begin");
  transaction_ = OpenTransaction{};
  transaction_->transaction = std::move(*transaction);
  transaction_->begun = writes_;
  for (const auto& model : models_) transaction_->records[model.get()] = model->records;
}

void ApiRun::Transact(StoreModel* model, const ApiStep& step) {
  if (!transaction_ || model->dropped) return;
  const std::string key = KeyOf(step);
  if (!KeyIsRight(key)) return;
  if (step.y % 4 != 0) {
    std::optional<std::string> value;
    if (step.y % 4 != 1) value = ValueOf(step, key);
    const Status s = value ? transaction_->transaction->Put(*model->store, key, *value)
                           : transaction_->transaction->Delete(*model->store, key);
    if (value && !IsRight(key, *value)) return ExpectCode(s, Code::kTooLarge, "a transaction");
    ExpectCode(s, Code::kOk, "a transaction's write");
    transaction_->writes[{model, key}] = value;
    return;
  }
  std::string value;
  const Status s = transaction_->transaction->Get(*model->store, key, &value);
  if (s.code() == Code::kExpired && (head_.options & kApiFewVersions) != 0) return;
  if (const auto own = transaction_->writes.find({model, key}); own != transaction_->writes.end()) {
    return ExpectValue(s, value, own->second ? &*own->second : nullptr, "a transaction's own");
  }
  const std::string* const expected = Find(transaction_->records[model], key);
  ExpectValue(s, value, expected, "a transaction's get");
  transaction_->reads[{model, key}] = expected == nullptr ? 0 : 1;
}

void ApiRun::Commit() {
  if (!transaction_) return;
  const Status s = transaction_->transaction->Commit();
  const OpenTransaction ended = std::move(*transaction_);
  transaction_.reset();
  bool conflict = false;
  bool perhaps = false;
  bool dropped = false;
  for (const auto& [place, was_there] : ended.reads) {
    const auto& [model, key] = place;
    dropped = dropped || model->dropped;
    const auto written = model->last_write.find(key);
    if (written == model->last_write.end() || written->second <= ended.begun) continue;
    if (was_there != 0 || model->records.contains(key))
      conflict = true;
    else
      perhaps = true;  // it was not there, and is not, but was
  }
  for (const auto& [place, value] : ended.writes) dropped = dropped || place.first->dropped;
  if (s.code() == Code::kConflict) return Expect(conflict || perhaps, "a conflict with nothing");
  if (ended.writes.empty()) return ExpectCode(s, Code::kOk, "commit of reads");
  if (!HasWritten(s, StoreModel{"", {}, {}, dropped}, true)) return;
  Expect(!conflict, "a conflict is not seen");
  for (const auto& [place, value] : ended.writes) Set(place.first, place.second, value);
}

void ApiRun::Compare() {
  ListStores();
  for (const auto& model : models_) {
    if (model->dropped) continue;
    if (model->store == nullptr) OpenStore(model->name);
    CompareStore(*model, model->records, nullptr);
  }
  ExpectCode(pool_->WaitForBackgroundWork(), Code::kOk, "background work");
  const CheckReport report = Check(*pool_);
  Expect(report.problems.empty(), report.ToString());
}

void ApiRun::Misuse(const ApiStep& step) {
  StoreModel* const model = ModelOf(step);
  switch (step.x % 8) {
    case 0: {
      const auto pool = Pool::Open(path_, Options(false));
      return ExpectCode(pool.status(), Code::kLocked, "opened twice");
    }
    case 1: {
      CreateOptions options;
      options.size_bytes = kPoolSizeMin;
      return ExpectCode(Pool::Create(path_, options).status(), Code::kExists, "made twice");
    }
    case 2: {
      CreateOptions options;
      options.size_bytes = kPoolSizeMin - 1 - step.size;
      options.sparse = true;
      return ExpectCode(Pool::Create(path_ + "-2", options).status(), Code::kInvalidArgument,
                        "made too small");
    }
    case 3:
      return ExpectCode(Pool::Open(path_ + "-3").status(), Code::kNotFound, "opened nothing");
    case 4:
      return Expect(Pool::Peek(path_).ok(), "peek");
    case 5:
      return Expect(!pool_->GetProperty("tuff.no such").ok(), "a property that is not");
    case 6:
      for (const std::string& name : Pool::Properties()) {
        ExpectCode(pool_->GetProperty(name).status(), Code::kOk, name);
      }
      return;
    default:
      break;
  }
  auto ended = pool_->BeginTransaction();
  ExpectCode(ended.status(), Code::kOk, "begin");
  ExpectCode((*ended)->Commit(), Code::kOk, "an empty commit");
  ExpectCode((*ended)->Commit(), Code::kInvalidArgument, "a second commit");
  if (model == nullptr) return;
  ExpectCode((*ended)->Put(*model->store, "key", ""), Code::kInvalidArgument,
             "a write of a transaction that has ended");
}

}  // namespace tuff::test
