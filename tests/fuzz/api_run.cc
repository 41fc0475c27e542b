#include "tests/fuzz/api_run.h"

#include <cstdio>
#include <cstdlib>

namespace tuff::test {
namespace {

constexpr size_t kPinsMax = 3;

}  // namespace

ApiRun::ApiRun(std::string path, const ApiHead& head) : path_(std::move(path)), head_(head) {
  Open(false);
}

ApiRun::~ApiRun() { LetGo(); }

void ApiRun::Expect(bool right, const std::string& what) const {
  if (right) return;
  std::fprintf(stderr, "FOUND: step %zu: %s\n", step_, what.c_str());
  std::abort();
}

void ApiRun::ExpectCode(const Status& status, Code code, const std::string& what) const {
  Expect(status.code() == code, what + ": " + status.ToString());
}

OpenOptions ApiRun::Options(bool read_only) const {
  OpenOptions options;
  options.read_only = read_only;
  options.guard = Guard::kNone;
  options.force_granularity = (head_.options & kApiPage) != 0   ? Granularity::kPage
                              : (head_.options & kApiByte) != 0 ? Granularity::kByte
                                                                : Granularity::kCacheLine;
  if ((head_.options & kApiDram) != 0) options.memmap = MemmapPlace::kDram;
  options.background_consolidation = (head_.options & kApiConsolidator) != 0;
  if ((head_.options & kApiFewVersions) != 0) options.version_memory_bytes_max = 2000;
  return options;
}

void ApiRun::Open(bool read_only) {
  auto pool = Pool::Open(path_, Options(read_only));
  Expect(pool.ok(), "open: " + pool.status().ToString());
  pool_ = std::move(*pool);
  read_only_ = read_only;
}

void ApiRun::LetGo() {
  iterators_.clear();
  pins_.clear();
  transaction_.reset();
  for (const TakenSnapshot& taken : snapshots_) pool_->ReleaseSnapshot(taken.snapshot);
  snapshots_.clear();
}

void ApiRun::Reopen(bool read_only) {
  const bool busy = !iterators_.empty() || !pins_.empty() || transaction_ || !snapshots_.empty();
  if (busy) ExpectCode(pool_->Close(), Code::kBusy, "closing a pool that is in use");
  LetGo();
  ExpectCode(pool_->Close(), Code::kOk, "close");
  pool_.reset();
  std::erase_if(models_, [](const auto& model) { return model->dropped; });
  for (const auto& model : models_) *model = {model->name, model->records, {}, false};
  Open(read_only);
}

std::string ApiRun::KeyOf(const ApiStep& step) {
  const std::string number = std::to_string(step.key);
  switch (step.shape % 8) {
    case 0:
      return step.shape == 64 ? "" : number;
    case 1:
      return std::string(kKeySizeMax + (step.shape == 65 ? 1 : 0), static_cast<char>(step.key));
    case 2:
      return std::string(step.key % 16 + 1, '\0');
    case 3:
      return std::string(1000, 'l') + number;
    case 4:
      return std::string(1 + step.key % 8, 'a') + static_cast<char>(step.shape);
    case 5:
      return std::string(1, static_cast<char>(step.key));
    default:
      return "key" + number;
  }
}

std::string ApiRun::ValueOf(const ApiStep& step, const std::string& key) const {
  const size_t most = key.size() > kKeySizeMax ? 0 : ValueSizeMax(key.size());
  size_t size = step.size % 600;
  if (step.x % 16 == 7) size = most;
  if (step.x == 8) size = most + 1;
  std::string value = std::to_string(step_) + "/" + std::to_string(writes_);
  value.resize(size, static_cast<char>('a' + step_ % 26));
  return value;
}

std::string ApiRun::NameOf(uint8_t i) {
  switch (i) {
    case 100:
      return "";
    case 101:
      return "a/b";
    case 102:
      return std::string(kStoreNameSizeMax + 1, 'n');
    case 103:
      return std::string(1, '\0');
    case 104:
      return std::string(kStoreNameSizeMax, 'n');
    default:
      return "store" + std::to_string(i % 4);
  }
}

bool ApiRun::KeyIsRight(const std::string& key) {
  return !key.empty() && key.size() <= kKeySizeMax;
}
bool ApiRun::IsRight(const std::string& key, const std::string& value) {
  return KeyIsRight(key) && value.size() <= ValueSizeMax(key.size());
}

ApiRun::StoreModel* ApiRun::ModelOf(const ApiStep& step) {
  std::vector<StoreModel*> open;
  for (const auto& model : models_) {
    if (model->store != nullptr) open.push_back(model.get());
  }
  return open.empty() ? nullptr : open[step.store % open.size()];
}

ApiRun::StoreModel* ApiRun::Existing(const std::string& name) {
  for (const auto& model : models_) {
    if (model->name == name && !model->dropped) return model.get();
  }
  return nullptr;
}

bool ApiRun::HasWritten(const Status& status, const StoreModel& model, bool right) {
  if (status.code() == Code::kNoSpace) return false;
  const bool may_not =
      (read_only_ && status.code() == Code::kReadOnly) ||
      (model.dropped && status.code() == Code::kNotFound) ||
      (!right && (status.code() == Code::kInvalidArgument || status.code() == Code::kTooLarge));
  Expect(status.ok() ? !read_only_ && !model.dropped && right : may_not,
         "write: " + status.ToString());
  return status.ok();
}

void ApiRun::Set(StoreModel* model, const std::string& key,
                 const std::optional<std::string>& value) {
  writes_++;
  model->last_write[key] = writes_;
  if (value) {
    model->records[key] = {*value, writes_};
  } else {
    model->records.erase(key);
  }
}

const std::string* ApiRun::Find(const Records& records, const std::string& key) const {
  const auto it = records.find(key);
  return it == records.end() ? nullptr : &it->second.value;
}

void ApiRun::ExpectValue(const Status& status, const std::string& value,
                         const std::string* expected, const std::string& what) const {
  if (expected == nullptr) return ExpectCode(status, Code::kNotFound, what + " of no key");
  ExpectCode(status, Code::kOk, what);
  Expect(value == *expected, what + ": a wrong value");
}

void ApiRun::Run(const std::vector<ApiStep>& steps) {
  for (step_ = 0; step_ < steps.size(); step_++) {
    const ApiStep& step = steps[step_];
    if (static_cast<StepOp>(step.op % kStepOps) == StepOp::kBatch) {
      const size_t n = std::min<size_t>(step.x % 8, steps.size() - step_ - 1);
      const auto first = steps.begin() + static_cast<ptrdiff_t>(step_) + 1;
      WriteBatchOf({first, first + static_cast<ptrdiff_t>(n)});
      step_ += n;
    } else {
      Do(step);
    }
  }
  Compare();
  Reopen(false);
  Compare();
  LetGo();
  ExpectCode(pool_->Close(), Code::kOk, "the last close");
}

void ApiRun::Do(const ApiStep& step) {
  StoreModel* const model = ModelOf(step);
  const auto op = static_cast<StepOp>(step.op % kStepOps);
  if (op >= StepOp::kCreateStore) return DoMore(step);
  if (model == nullptr) return CreateStore(NameOf(step.store), true);
  const std::string key = KeyOf(step);
  switch (op) {
    case StepOp::kPut:
      Put(model, key, ValueOf(step, key));
      break;
    case StepOp::kDelete:
      Delete(model, key);
      break;
    case StepOp::kGet:
      Get(model, key);
      break;
    case StepOp::kGetPinned:
      GetPinned(model, key);
      break;
    case StepOp::kMultiGet:
      MultiGet(model, step);
      break;
    case StepOp::kCompareAndSwap:
      CompareAndSwap(model, step);
      break;
    case StepOp::kReadModifyWrite:
      ReadModifyWrite(model, step);
      break;
    case StepOp::kDeleteRange:
      DeleteRange(model, step);
      break;
    default:
      PutMany(model, step);
      break;
  }
}

void ApiRun::Put(StoreModel* model, const std::string& key, const std::string& value) {
  const Status s = model->store->Put(key, value);
  if (HasWritten(s, *model, IsRight(key, value))) Set(model, key, value);
}

void ApiRun::Delete(StoreModel* model, const std::string& key) {
  const Status s = model->store->Delete(key);
  const bool there = model->records.contains(key);
  if (KeyIsRight(key) && !there && s.IsNotFound()) return;
  if (HasWritten(s, *model, KeyIsRight(key))) {
    Expect(there, "a key is deleted that is not there");
    Set(model, key, std::nullopt);
  }
}

void ApiRun::Get(StoreModel* model, const std::string& key) {
  std::string value;
  const Status s = model->store->Get(key, &value);
  if (!KeyIsRight(key)) return Expect(!s.ok(), "a wrong key is found");
  ExpectValue(s, value, Find(model->records, key), "get");
}

void ApiRun::GetPinned(StoreModel* model, const std::string& key) {
  for (const Pin& pin : pins_) {
    Expect(pin.value.view() == pin.expected, "a pinned value has changed");
  }
  if (pins_.size() == kPinsMax) {
    pins_.front().model->pinned--;
    pins_.erase(pins_.begin());
  }
  if (!KeyIsRight(key)) return;
  auto pinned = model->store->GetPinned(key);
  ExpectValue(pinned.status(), pinned.ok() ? std::string(pinned->view()) : "",
              Find(model->records, key), "get pinned");
  if (!pinned.ok()) return;
  std::string expected(pinned->view());
  pins_.push_back({model, std::move(*pinned), std::move(expected)});
  model->pinned++;
}

void ApiRun::MultiGet(StoreModel* model, const ApiStep& step) {
  std::vector<std::string> keys;
  for (ApiStep one = step; keys.size() < step.x % 40u; one.key++) {
    if (KeyIsRight(KeyOf(one)))
      keys.push_back(KeyOf(one));
    else
      keys.emplace_back("any");
  }
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  std::vector<std::string> values;
  std::vector<Status> statuses;
  model->store->MultiGet(views, &values, &statuses);
  Expect(values.size() == keys.size() && statuses.size() == keys.size(), "multi-get: how many");
  for (size_t i = 0; i < keys.size(); i++) {
    ExpectValue(statuses[i], values[i], Find(model->records, keys[i]), "multi-get");
  }
}

void ApiRun::CompareAndSwap(StoreModel* model, const ApiStep& step) {
  const std::string key = KeyOf(step);
  const std::string* const there = Find(model->records, key);
  std::optional<std::string> expected;
  if (there != nullptr && step.y % 4 != 0) expected = *there;
  if (step.y % 8 == 5) expected = "another";
  std::optional<std::string> desired;
  if (step.y % 16 < 11) desired = ValueOf(step, key);
  const bool matches =
      expected.has_value() == (there != nullptr) && (there == nullptr || *expected == *there);
  const Status s = model->store->CompareAndSwap(key, expected, desired);
  const bool right = desired ? IsRight(key, *desired) : KeyIsRight(key);
  if (right && !model->dropped && !read_only_ && !matches) {
    return ExpectCode(s, Code::kConflict, "compare and swap");
  }
  if (!matches && s.code() == Code::kConflict) return;
  if (right && !desired && there == nullptr && s.ok()) return;  // there is nothing to write
  if (HasWritten(s, *model, right)) Set(model, key, desired);
}

void ApiRun::ReadModifyWrite(StoreModel* model, const ApiStep& step) {
  const std::string key = KeyOf(step);
  const std::string* const there = Find(model->records, key);
  std::optional<std::string> desired;
  if (step.y % 4 != 0) desired = (there == nullptr ? "" : there->substr(0, 300)) + "m";
  const Status s = model->store->ReadModifyWrite(key, [&](std::optional<std::string_view> value) {
    Expect(value.has_value() == (there != nullptr) && (there == nullptr || *value == *there),
           "another value is to be modified");
    return desired;
  });
  if (!desired && there == nullptr && s.ok()) return;
  if (HasWritten(s, *model, KeyIsRight(key))) Set(model, key, desired);
}

void ApiRun::DeleteRange(StoreModel* model, const ApiStep& step) {
  ApiStep other = step;
  other.key = step.x;
  const std::string begin = KeyOf(step);
  std::optional<std::string> end;
  if (step.y % 4 != 0) end = KeyOf(other);
  std::vector<std::string> keys;
  for (auto it = model->records.lower_bound(begin); it != model->records.end(); ++it) {
    if (end && it->first >= *end) break;
    keys.push_back(it->first);
  }
  uint64_t deleted = 0;
  const Status s = model->store->DeleteRange(begin, end, &deleted);
  if (keys.empty() && s.ok()) return Expect(deleted == 0, "keys are deleted that are not there");
  if (!HasWritten(s, *model, KeyIsRight(begin))) return Expect(deleted == 0, "a range's part");
  Expect(deleted == keys.size(), "delete range: how many");
  for (const std::string& key : keys) Set(model, key, std::nullopt);
}

void ApiRun::PutMany(StoreModel* model, const ApiStep& step) {
  ApiStep one = step;
  one.x = 0;
  for (unsigned i = 0; i < step.x % 64u; i++) {
    one.key = static_cast<uint8_t>(step.key + i * (step.y | 1u));
    if (step.y % 4 == 2) {
      Delete(model, KeyOf(one));
    } else {
      Put(model, KeyOf(one), ValueOf(one, KeyOf(one)));
    }
  }
}

void ApiRun::WriteBatchOf(const std::vector<ApiStep>& steps) {
  WriteBatch batch;
  std::vector<std::pair<StoreModel*, std::pair<std::string, std::optional<std::string>>>> ops;
  bool dropped = false;
  for (const ApiStep& step : steps) {
    StoreModel* const model = ModelOf(step);
    if (model == nullptr) return;
    const std::string key = KeyOf(step);
    std::optional<std::string> value;
    if (step.op % 4 != 1) value = ValueOf(step, key);
    const bool right = value ? IsRight(key, *value) : KeyIsRight(key);
    const Status s =
        value ? batch.Put(*model->store, key, *value) : batch.Delete(*model->store, key);
    Expect(s.ok() == right, "a batch takes: " + s.ToString());
    if (!right) continue;
    ops.push_back({model, {key, value}});
    dropped = dropped || model->dropped;
  }
  Expect(batch.operations() == ops.size(), "operations of a batch");
  const Status s = pool_->Write(batch);
  if (ops.empty()) return;
  const StoreModel any{"", {}, {}, dropped};
  if (!HasWritten(s, any, true)) return;
  for (const auto& [model, op] : ops) Set(model, op.first, op.second);
}

}  // namespace tuff::test
