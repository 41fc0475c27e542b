// Model, second half: what touches several keys, both stores, or an earlier moment.

#include <algorithm>
#include <set>

#include "tests/engine/model.h"

namespace tuff::test {
namespace {

constexpr size_t kSnapshotsMax = 4;

}  // namespace

void Model::Set(size_t which, const std::string& key, const std::optional<std::string>& value) {
  Contents& contents = ContentsOf(which);
  const auto it = contents.find(key);
  for (const auto& snapshot : snapshots_) {
    snapshot->changes[which].try_emplace(
        key, it == contents.end() ? std::nullopt : std::optional(it->second));
  }
  if (value) {
    contents[key] = *value;
  } else if (it != contents.end()) {
    contents.erase(it);
  }
}

Model::Place Model::AnyPlace() {
  if (other_exists_ && random_.OneIn(3)) {
    return {kOther, MakeKey(config_.keys, random_.Below(kOtherKeys))};
  }
  return {kMain, random_.OneIn(2) ? LiveKey() : AnyKey()};
}

void Model::ExpectValue(const Status& status, std::string_view value, const std::string* expected) {
  EXPECT_CODE(status, expected == nullptr ? Code::kNotFound : Code::kOk);
  if (status.ok() && expected != nullptr) {
    EXPECT_TRUE(value == *expected);
  }
}

void Model::StepMore() {
  const uint64_t dice = random_.Below(1000);
  if (dice < 60) {
    WriteBatchOnBoth();
  } else if (dice < 260) {
    CompareAndSwap();
  } else if (dice < 420) {
    ReadModifyWrite();
  } else if (dice < 520) {
    Transact();
  } else if (dice < 540) {
    DeleteRange();
  } else if (dice < 620) {
    MultiGet();
  } else if (dice < 628) {
    ChangeOther();
  } else if (dice < 700) {
    if (snapshots_.size() < kSnapshotsMax) {
      TakeSnapshot();
    } else {
      ReleaseSnapshot();
    }
  } else if (dice < 760) {
    ReleaseSnapshot();
  } else {
    ReadSnapshot();
  }
}

void Model::WriteBatchOnBoth() {
  WriteBatch batch;
  std::vector<std::pair<Place, std::optional<std::string>>> operations;
  for (size_t n = 1 + random_.Below(random_.OneIn(8) ? 200 : 24); n > 0; n--) {
    Place place = AnyPlace();
    if (!operations.empty() && random_.OneIn(10)) place = operations[0].first;
    if (random_.Below(10) < (growing_ ? 7u : 4u)) {
      std::string value = ValueFor(place.key);
      ASSERT_OK(batch.Put(StoreOf(place.which), place.key, value));
      operations.emplace_back(place, std::move(value));
    } else {
      ASSERT_OK(batch.Delete(StoreOf(place.which), place.key));
      operations.emplace_back(place, std::nullopt);
    }
  }
  EXPECT_EQ(batch.operations(), operations.size());
  ASSERT_OK(pool().Write(batch));
  for (const auto& [place, value] : operations) Set(place.which, place.key, value);
}

void Model::CompareAndSwap() {
  const auto [which, key] = AnyPlace();
  const std::string* const now = ModelView(ContentsOf(which)).Get(key);
  const auto view = [](const std::optional<std::string>& text) {
    return text ? std::optional<std::string_view>(*text) : std::nullopt;
  };
  std::optional<std::string> expected;
  if (now != nullptr) expected = *now;
  if (random_.OneIn(3)) {  // perhaps wrong
    expected = random_.OneIn(2) ? std::nullopt : std::optional(ValueFor(key));
  }
  std::optional<std::string> desired;
  if (!random_.OneIn(4)) desired = ValueFor(key);
  const bool right = (now == nullptr) ? !expected : expected == *now;
  EXPECT_CODE(StoreOf(which).CompareAndSwap(key, view(expected), view(desired)),
              right ? Code::kOk : Code::kConflict);
  if (right) Set(which, key, desired);
}

void Model::ReadModifyWrite() {
  const auto [which, key] = AnyPlace();
  const std::string* const now = ModelView(ContentsOf(which)).Get(key);
  std::optional<std::string> desired;
  if (!random_.OneIn(5)) desired = ValueFor(key);
  int calls = 0;
  EXPECT_OK(StoreOf(which).ReadModifyWrite(key, [&](std::optional<std::string_view> found) {
    calls++;
    EXPECT_TRUE(now == nullptr ? !found : found == *now);
    return desired;
  }));
  EXPECT_EQ(calls, 1);
  Set(which, key, desired);
}

void Model::MultiGet() {
  const size_t which = other_exists_ && random_.OneIn(4) ? kOther : kMain;
  const ModelSnapshot* at = nullptr;
  if (!snapshots_.empty() && random_.OneIn(2))
    at = snapshots_[random_.Below(snapshots_.size())].get();
  if (at != nullptr && at->snapshot == nullptr) at = nullptr;
  std::vector<std::string> keys(random_.Below(40));
  for (std::string& key : keys) {
    key = which == kOther    ? MakeKey(config_.keys, random_.Below(kOtherKeys))
          : random_.OneIn(2) ? LiveKey()
                             : AnyKey();
  }
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  std::vector<std::string> values;
  std::vector<Status> statuses;
  StoreOf(which).MultiGet(views, &values, &statuses, at == nullptr ? nullptr : at->snapshot);
  ASSERT_EQ(values.size(), keys.size());
  ASSERT_EQ(statuses.size(), keys.size());
  const ModelView view(ContentsOf(which), at == nullptr ? nullptr : &at->changes[which]);
  for (size_t i = 0; i < keys.size(); i++) ExpectValue(statuses[i], values[i], view.Get(keys[i]));
}

void Model::DeleteRange() {
  const size_t which = other_exists_ && random_.OneIn(3) ? kOther : kMain;
  const Contents& contents = ContentsOf(which);
  const std::string begin = AnyKey();
  auto it = contents.lower_bound(begin);
  std::vector<std::string> keys;
  for (size_t n = random_.Below(60); n > 0 && it != contents.end(); n--) {
    keys.push_back((it++)->first);
  }
  const std::optional<std::string> end =
      it == contents.end() ? std::nullopt : std::optional(it->first);
  uint64_t deleted = 0;
  ASSERT_OK(StoreOf(which).DeleteRange(begin, end, &deleted));
  EXPECT_EQ(deleted, keys.size());
  for (const std::string& key : keys) Set(which, key, std::nullopt);
}

// What it reads and writes; perhaps a put by somebody else in between.
void Model::Transact() {
  auto transaction = pool().BeginTransaction();
  ASSERT_OK(transaction);
  ModelSnapshot begin;  // the rest of the model goes on
  std::map<std::pair<size_t, std::string>, std::optional<std::string>> written;
  std::set<std::pair<size_t, std::string>> read;
  bool conflict = false;
  const size_t steps = 1 + random_.Below(8);
  const size_t interleaved_at = random_.OneIn(2) ? random_.Below(steps) : steps;
  std::vector<Place> touched;
  for (size_t i = 0; i < steps; i++) {
    Place place = AnyPlace();
    if (!touched.empty() && random_.OneIn(3)) place = touched[random_.Below(touched.size())];
    touched.push_back(place);
    Store& store = StoreOf(place.which);
    const std::pair name(place.which, place.key);
    if (random_.OneIn(2)) {
      std::string value;
      const Status s = (*transaction)->Get(store, place.key, &value);
      const auto own = written.find(name);
      if (own != written.end()) {
        ExpectValue(s, value, own->second ? &*own->second : nullptr);
      } else {
        const ModelView view(ContentsOf(place.which), &begin.changes[place.which]);
        ExpectValue(s, value, view.Get(place.key));
        read.insert(name);
      }
    } else if (random_.OneIn(4)) {
      ASSERT_OK((*transaction)->Delete(store, place.key));
      written[name] = std::nullopt;
    } else {
      written[name] = ValueFor(place.key);
      ASSERT_OK((*transaction)->Put(store, place.key, *written[name]));
    }
    if (i != interleaved_at) continue;
    const Place other = random_.OneIn(2) ? touched[random_.Below(touched.size())] : AnyPlace();
    const std::string* const before = ModelView(ContentsOf(other.which)).Get(other.key);
    begin.changes[other.which].emplace(other.key, before ? std::optional(*before) : std::nullopt);
    const std::string value = ValueFor(other.key);
    ASSERT_OK(StoreOf(other.which).Put(other.key, value));
    Set(other.which, other.key, value);
  }
  for (size_t which : {kMain, kOther}) {
    for (const auto& [key, before] : begin.changes[which]) {
      conflict = conflict || read.contains({which, key});
    }
  }
  if (random_.OneIn(10)) return;  // given up
  conflict = conflict && !written.empty();
  EXPECT_CODE((*transaction)->Commit(), conflict ? Code::kConflict : Code::kOk);
  EXPECT_CODE((*transaction)->Commit(), Code::kInvalidArgument);
  if (conflict) return;
  for (const auto& [name, value] : written) Set(name.first, name.second, value);
}

void Model::ChangeOther() {
  if (!other_exists_) {
    CreateOther();
    if (random_.OneIn(2)) LoadOther();
  } else if (random_.OneIn(2)) {
    DropOther();
  } else if (random_.OneIn(2)) {
    ASSERT_OK(other_->DeleteRange("", std::nullopt));
    const Contents before = other_map_;
    for (const auto& [key, value] : before) Set(kOther, key, std::nullopt);
    LoadOther();
  } else {
    CompareView(*other_, ModelView(other_map_), nullptr);
  }
}

void Model::CreateOther() {
  auto store = pool().CreateStore("other");
  ASSERT_OK(store);
  EXPECT_NE(*store, other_);
  other_ = *store;
  other_exists_ = true;
}

// Snapshots do not keep it: what they see of a store of this name is nothing, from then on.
void Model::DropOther() {
  if (random_.OneIn(3)) {
    const auto iterator = other_->NewIterator();
    EXPECT_CODE(pool().DropStore("other"), Code::kBusy);
  }
  ASSERT_OK(pool().DropStore("other"));
  other_exists_ = false;
  other_map_.clear();
  for (const auto& snapshot : snapshots_) snapshot->changes[kOther].clear();
  std::string value;
  EXPECT_CODE(other_->Put("key", "value"), Code::kNotFound);
  EXPECT_CODE(other_->Get("key", &value), Code::kNotFound);
  EXPECT_CODE(other_->Delete("key"), Code::kNotFound);
  WriteBatch batch;
  ASSERT_OK(batch.Put(store(), AnyKey(), "of a batch that must not be written"));
  ASSERT_OK(batch.Put(*other_, "key", "value"));
  EXPECT_CODE(pool().Write(batch), Code::kNotFound);
  if (random_.OneIn(3)) {
    EXPECT_OK(pool().WaitForBackgroundWork());
  }
}

void Model::LoadOther() {
  ASSERT_TRUE(other_map_.empty());
  auto loader = other_->NewBulkLoader();
  ASSERT_OK(loader);
  Contents records;
  for (size_t n = random_.Below(random_.OneIn(4) ? 3000 : 100); n > 0; n--) {
    std::string key = MakeKey(config_.keys, random_.Below(n < 100 ? kOtherKeys : 100'000));
    std::string value = ValueFor(key);
    records.emplace(std::move(key), std::move(value));
  }
  uint64_t added = 0;
  const std::string* last = nullptr;
  for (const auto& [key, value] : records) {
    ASSERT_OK((*loader)->Add(key, value));
    added++;
    if (random_.OneIn(50)) {
      EXPECT_CODE((*loader)->Add(last != nullptr && random_.OneIn(2) ? *last : key, value),
                  Code::kInvalidArgument);
    }
    last = &key;
  }
  EXPECT_EQ((*loader)->records(), added);
  std::string value;
  if (!records.empty()) {
    EXPECT_CODE(other_->Get(records.begin()->first, &value), Code::kNotFound);
  }
  switch (random_.Below(6)) {
    case 0:
      return;  // given up
    case 1: {
      const std::string key = MakeKey(config_.keys, 7);
      value = ValueFor(key);
      ASSERT_OK(other_->Put(key, value));
      Set(kOther, key, value);
      EXPECT_CODE((*loader)->Finish(), records.empty() ? Code::kOk : Code::kConflict);
      return;
    }
    default:
      ASSERT_OK((*loader)->Finish());
      for (const auto& [key, loaded] : records) Set(kOther, key, loaded);
  }
}

void Model::TakeSnapshot() {
  auto taken = std::make_unique<ModelSnapshot>();
  if (!random_.OneIn(4)) {
    auto snapshot = pool().GetSnapshot();
    ASSERT_OK(snapshot);
    taken->snapshot = *snapshot;
  }
  if (taken->snapshot == nullptr || random_.OneIn(3)) {
    ReadOptions options;
    options.snapshot = taken->snapshot;
    taken->iterator = store().NewIterator(options);
  }
  snapshots_.push_back(std::move(taken));
}

// Of a snapshot with an iterator sometimes only the one goes, or only the other.
void Model::ReleaseSnapshot() {
  if (snapshots_.empty()) return;
  const size_t i = random_.Below(snapshots_.size());
  ModelSnapshot& snapshot = *snapshots_[i];
  if (random_.OneIn(20)) {
    const ModelView view(map_, &snapshot.changes[kMain]);
    if (snapshot.snapshot != nullptr) CompareView(store(), view, snapshot.snapshot);
  }
  const bool keep_iterator = snapshot.snapshot != nullptr && random_.OneIn(2);
  const bool keep_snapshot = snapshot.iterator != nullptr && random_.OneIn(4);
  if (!keep_snapshot) {
    pool().ReleaseSnapshot(snapshot.snapshot);
    snapshot.snapshot = nullptr;
  }
  if (!keep_iterator) snapshot.iterator.reset();
  if (snapshot.snapshot != nullptr || snapshot.iterator != nullptr) return;
  snapshots_.erase(snapshots_.begin() + static_cast<ptrdiff_t>(i));
}

void Model::ReleaseAllSnapshots() {
  for (const auto& snapshot : snapshots_) {
    snapshot->iterator.reset();
    pool().ReleaseSnapshot(snapshot->snapshot);
  }
  snapshots_.clear();
}

void Model::ReadSnapshot() {
  if (snapshots_.empty()) return TakeSnapshot();
  ModelSnapshot& at = *snapshots_[random_.Below(snapshots_.size())];
  const ModelView main(map_, &at.changes[kMain]);
  if (at.iterator != nullptr && (at.snapshot == nullptr || random_.OneIn(3))) {
    WalkView(*at.iterator, main, AnyKey(), 12);
    return;
  }
  if (random_.OneIn(8)) {
    ReadOptions options;
    options.snapshot = at.snapshot;
    const auto iterator = store().NewIterator(options);
    WalkView(*iterator, main, AnyKey(), 30);
    return;
  }
  if (other_exists_ && random_.OneIn(200)) {
    CompareView(*other_, ModelView(other_map_, &at.changes[kOther]), at.snapshot);
    return;
  }
  for (int i = 0; i < 4; i++) {
    auto [which, key] = AnyPlace();
    // One that has changed since is more likely to be got wrong.
    const Changes& changes = at.changes[which];
    if (!changes.empty() && random_.OneIn(2)) {
      const auto it = changes.lower_bound(key);
      key = it == changes.end() ? changes.begin()->first : it->first;
    }
    const std::string* const expected = ModelView(ContentsOf(which), &changes).Get(key);
    if (random_.OneIn(2)) {
      std::string value;
      const Status s = StoreOf(which).Get(key, &value, at.snapshot);
      ExpectValue(s, value, expected);
    } else {
      const auto pinned = StoreOf(which).GetPinned(key, at.snapshot);
      ExpectValue(pinned.status(), pinned.ok() ? pinned->view() : "", expected);
    }
  }
}

void Model::WalkView(Iterator& iterator, const ModelView& view, const std::string& target,
                     int steps) {
  const bool from_below = random_.OneIn(2);
  ModelView::Record expected;
  if (from_below) {
    iterator.Seek(target);
    expected = view.From(target, true);
  } else {
    iterator.SeekForPrev(target);
    expected = view.DownFrom(target, true);
  }
  // Mostly in one direction, or the walk would never leave its leaf.
  const uint64_t forwards_of_10 = random_.OneIn(2) ? 9 : 1;
  for (int i = 0; i < steps; i++) {
    ASSERT_EQ(iterator.Valid(), expected.has_value()) << iterator.status().ToString();
    if (!expected) return;
    ASSERT_TRUE(iterator.key() == expected->first);
    ASSERT_TRUE(iterator.value() == expected->second);
    if (random_.Below(10) < forwards_of_10) {
      iterator.Next();
      expected = view.From(std::string(expected->first), false);
    } else {
      iterator.Prev();
      expected = view.DownFrom(std::string(expected->first), false);
    }
  }
}

void Model::CompareView(Store& store, const ModelView& view, const Snapshot* snapshot) {
  const Contents all = view.All();
  ReadOptions options;
  options.snapshot = snapshot;
  const auto iterator = store.NewIterator(options);
  iterator->SeekToFirst();
  for (const auto& [key, value] : all) {
    ASSERT_TRUE(iterator->Valid()) << iterator->status().ToString();
    ASSERT_TRUE(iterator->key() == key);
    ASSERT_TRUE(iterator->value() == value);
    iterator->Next();
  }
  EXPECT_FALSE(iterator->Valid());
  EXPECT_OK(iterator->status());
  iterator->SeekToLast();
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    ASSERT_TRUE(iterator->Valid()) << iterator->status().ToString();
    ASSERT_TRUE(iterator->key() == it->first);
    iterator->Prev();
  }
  EXPECT_FALSE(iterator->Valid());
  EXPECT_OK(iterator->status());
}

}  // namespace tuff::test
