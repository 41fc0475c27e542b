#include "tests/concurrency/partition.h"

#include <gtest/gtest.h>

namespace tuff::test {
namespace {

constexpr size_t kHeldMax = 8;

}  // namespace

// Key, '=', serial number, and one letter again and again.
std::string Partition::Value(const std::string& key) {
  std::string value = key + "=" + std::to_string(serial_++) + ".";
  value.resize(value.size() + random_.Below(value_bytes_max_),
               static_cast<char>('a' + random_.Below(26)));
  return value;
}

void Partition::ExpectWhole(std::string_view key, std::string_view value) {
  EXPECT_EQ(value.substr(0, key.size() + 1), std::string(key) + "=");
  const size_t dot = value.find('.');
  ASSERT_NE(dot, value.npos);
  const std::string_view filler = value.substr(dot + 1);
  EXPECT_EQ(filler.find_first_not_of(filler.substr(0, 1)), filler.npos) << value;
}

void Partition::Put(bool full_is_fine) {
  const std::string key = Key();
  const std::string value = Value(key);
  const Status s = store_.Put(key, value);
  if (full_is_fine && s.code() == Code::kNoSpace) {
    full_++;
    return;
  }
  ASSERT_OK(s) << key;
  oracle_[key] = value;
}

void Partition::Delete() {
  const std::string key = Key();
  const Status s = store_.Delete(key);
  const bool there = oracle_.erase(key) == 1;
  EXPECT_EQ(s.code(), there ? Code::kOk : Code::kNotFound) << key << ": " << s.ToString();
}

void Partition::DeleteSome(size_t n) {
  for (size_t i = 0; i < n && !oracle_.empty(); i++) {
    auto at = oracle_.lower_bound(Key());
    if (at == oracle_.end()) at = oracle_.begin();
    ASSERT_OK(store_.Delete(at->first)) << at->first;
    oracle_.erase(at);
  }
}

void Partition::Get() {
  const std::string key = Key();
  std::string value;
  const Status s = store_.Get(key, &value);
  const auto at = oracle_.find(key);
  EXPECT_EQ(s.code(), at != oracle_.end() ? Code::kOk : Code::kNotFound)
      << key << ": " << s.ToString();
  if (s.ok() && at != oracle_.end()) {
    EXPECT_EQ(value, at->second);
  }
}

// Pins a value, overwrites or deletes it, and looks at it again much later.
void Partition::Hold() {
  if (oracle_.empty()) return;
  auto at = oracle_.lower_bound(Key());
  if (at == oracle_.end()) at = oracle_.begin();
  auto pin = store_.GetPinned(at->first);
  ASSERT_OK(pin) << at->first;
  held_.push_back({std::move(*pin), at->second});
  EXPECT_EQ(held_.back().pin.view(), held_.back().expected);
  if (random_.OneIn(2)) {
    EXPECT_OK(store_.Delete(at->first));
    oracle_.erase(at);
  }
  if (held_.size() > kHeldMax) {
    EXPECT_EQ(held_.front().pin.view(), held_.front().expected);
    held_.pop_front();
  }
}

void Partition::LetPinsGo() {
  for (const Held& held : held_) EXPECT_EQ(held.pin.view(), held.expected);
  held_.clear();
}

void Partition::GetOthers() {
  const std::string key =
      std::to_string(random_.Below(keys_)) + "t" + std::to_string(1000 + random_.Below(4)) + "/";
  std::string value;
  const Status s = store_.Get(key, &value);
  if (s.IsNotFound()) return;
  ASSERT_OK(s);
  ExpectWhole(key, value);
}

// A part of the store, both ways; of its own keys, all that there are and nothing else.
void Partition::Walk() {
  const bool forward = random_.OneIn(2);
  const std::string from = Key();
  const auto at = store_.NewIterator();
  std::map<std::string, std::string> own;
  std::string last;
  forward ? at->Seek(from) : at->SeekForPrev(from);
  for (size_t n = 0; n < 200 && at->Valid(); n++) {
    const std::string key(at->key());
    EXPECT_TRUE(last.empty() || (forward ? last < key : last > key)) << last << ", " << key;
    last = key;
    ExpectWhole(key, at->value());
    if (key.ends_with(prefix_)) own.emplace(key, at->value());
    forward ? at->Next() : at->Prev();
  }
  EXPECT_OK(at->status());
  const bool whole = !at->Valid();
  for (const auto& [key, value] : oracle_) {
    const bool passed =
        forward ? key >= from && (whole || key <= last) : key <= from && (whole || key >= last);
    EXPECT_EQ(own.contains(key), passed) << key << " from " << from << " to " << last;
  }
  for (const auto& [key, value] : own) {
    const auto mine = oracle_.find(key);
    ASSERT_NE(mine, oracle_.end()) << key;
    EXPECT_EQ(value, mine->second);
  }
}

void Partition::Act(bool full_is_fine) {
  const uint64_t dice = random_.Below(100);
  if (dice < 45) return Put(full_is_fine);
  if (dice < 65) return Delete();
  if (dice < 80) return Get();
  if (dice < 90) return GetOthers();
  if (dice < 98) return Hold();
  Walk();
}

void Partition::Check() {
  std::map<std::string, std::string> found;
  const auto at = store_.NewIterator();
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    if (at->key().ends_with(prefix_)) found.emplace(at->key(), at->value());
  }
  EXPECT_OK(at->status());
  EXPECT_EQ(found, oracle_);
}

}  // namespace tuff::test
