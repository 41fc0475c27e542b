#include "tests/engine/model.h"

#include <fmt/format.h>

#include <algorithm>

namespace tuff::test {

std::string MakeKey(KeyShape shape, uint64_t i) {
  const auto big_endian = [](uint64_t x) {
    std::string text(8, '\0');
    for (size_t k = 0; k < 8; k++) text[k] = static_cast<char>(x >> (56 - 8 * k));
    return text;
  };
  Random hash(i * 2 + 1);
  switch (shape) {
    case KeyShape::kRandom16:
      return hash.Bytes(16);
    case KeyShape::kSequential:
      return big_endian(i);
    case KeyShape::kCommonPrefix: {
      std::string key = "a common prefix, longer than a key head:";
      key += fmt::format("{:03}", i % 1000);
      key.append(i % 3, '\0');
      return key + big_endian(i / 1000);
    }
    case KeyShape::kAnyLength: {
      const uint64_t longest[] = {3, 12, 20, 40, 120, 1024};
      const size_t n = 1 + hash.Below(longest[hash.Below(6)]);
      std::string key(n, '\0');
      for (char& c : key) c = "\0a\xff"[hash.Below(3)];
      return key;
    }
    case KeyShape::kLongSeparators: {
      constexpr uint64_t kGroup = 40;
      std::string key = big_endian(i / kGroup * 0x9e3779b97f4a7c15ull);
      key.append(984, 'x');
      return key + big_endian(i % kGroup);
    }
  }
  return "";
}

std::string MakeValue(ValueShape shape, size_t key_bytes, Random& random) {
  size_t n = 0;
  switch (shape) {
    case ValueShape::kEmpty:
      break;
    case ValueShape::kSmall:
      n = random.Below(24);
      break;
    case ValueShape::k100:
      n = 100;
      break;
    case ValueShape::k1000:
      n = 1000;
      break;
    case ValueShape::kMixed:
      if (random.OneIn(200)) {
        n = ValueSizeMax(key_bytes) - (random.OneIn(2) ? 0 : random.Below(4000));
      } else if (random.OneIn(20)) {
        n = random.Below(3000);
      } else {
        n = random.Below(100);
      }
      break;
  }
  if (n == 0) return "";
  // Cheap to make, and no two alike.
  std::string value(n, static_cast<char>(random.Next()));
  const uint64_t stamp = random.Next();
  value.replace(0, std::min<size_t>(8, n), reinterpret_cast<const char*>(&stamp),
                std::min<size_t>(8, n));
  return value;
}

CreateOptions PoolOptions(const ModelConfig& config) {
  CreateOptions options = SmallPool(config.pool_bytes, config.granularity, TestGuard(config.guard));
  options.memmap = config.memmap;
  return options;
}

std::string Model::LiveKey() {
  if (map_.empty()) return AnyKey();
  auto it = map_.lower_bound(AnyKey());
  if (it == map_.end()) it = map_.begin();
  return it->first;
}

Status Model::Put(const std::string& key, const std::string& value) {
  Status s = store().Put(key, value);
  if (s.ok()) Set(kMain, key, value);
  return s;
}

void Model::Delete(const std::string& key) {
  const bool there = map_.contains(key);
  EXPECT_EQ(store().Delete(key).code(), there ? Code::kOk : Code::kNotFound);
  if (there) Set(kMain, key, std::nullopt);
}

void Model::Get(const std::string& key) {
  const auto it = map_.find(key);
  std::string value;
  Status s = store().Get(key, &value);
  if (it == map_.end()) {
    EXPECT_CODE(s, Code::kNotFound);
  } else {
    EXPECT_OK(s);
    EXPECT_TRUE(value == it->second);
  }
}

// The pinned value must outlive an overwrite or delete of its key.
void Model::GetPinned(const std::string& key) {
  const auto it = map_.find(key);
  auto pinned = store().GetPinned(key);
  ASSERT_EQ(pinned.ok(), it != map_.end()) << pinned.status().ToString();
  if (!pinned.ok()) return;
  const std::string before = it->second;
  EXPECT_TRUE(pinned->view() == before);
  if (random_.OneIn(2)) {
    Delete(key);
  } else {
    (void)Put(key, MakeValue(config_.values, key.size(), random_));
  }
  for (int i = 0; i < 30; i++) Delete(LiveKey());
  EXPECT_TRUE(pinned->view() == before);
}

void Model::Walk(int steps) {
  ReadOptions options;
  if (random_.OneIn(3)) options.lower_bound = AnyKey();
  if (random_.OneIn(3)) options.upper_bound = AnyKey();
  if (random_.OneIn(4)) options.prefix = AnyKey().substr(0, 1 + random_.Below(3));
  const auto inside = [&](const std::string& key) {
    return (!options.lower_bound || key >= *options.lower_bound) &&
           (!options.upper_bound || key < *options.upper_bound) &&
           (!options.prefix || key.starts_with(*options.prefix));
  };
  // The bounds cut a piece out of the map; walk that.
  std::vector<const std::pair<const std::string, std::string>*> piece;
  const std::string target = AnyKey();
  auto middle = map_.lower_bound(target);
  auto first = middle;
  for (int i = 0; i < steps + 1 && first != map_.begin(); i++) --first;
  bool piece_has_start = first == map_.begin();
  auto last = middle;
  for (int i = 0; i < steps + 1 && last != map_.end(); i++) ++last;
  size_t at = 0;  // of the first key at or above target
  for (auto it = first; it != last; ++it) {
    if (!inside(it->first)) continue;
    if (it->first < target) at++;
    piece.push_back(&*it);
  }
  const auto cursor = store().NewIterator(options);
  cursor->Seek(target);
  // A target outside the bounds lands on the bound, which the piece may not hold.
  if (!inside(target)) return;
  if (at == piece.size() && last == map_.end()) {
    EXPECT_FALSE(cursor->Valid());
    EXPECT_OK(cursor->status());
    cursor->SeekForPrev(target);
    if (piece.empty()) {
      EXPECT_FALSE(cursor->Valid() && piece_has_start);
      return;
    }
    at = piece.size() - 1;
  }
  for (int i = 0; i < steps && at < piece.size(); i++) {
    ASSERT_TRUE(cursor->Valid()) << cursor->status().ToString();
    ASSERT_TRUE(cursor->key() == piece[at]->first);
    ASSERT_TRUE(cursor->value() == piece[at]->second);
    if (random_.OneIn(2)) {
      cursor->Next();
      at++;
    } else {
      cursor->Prev();
      at--;  // below 0 it wraps, and the loop ends
    }
  }
}

void Model::CompareAll() {
  const auto cursor = store().NewIterator();
  cursor->SeekToFirst();
  for (const auto& [key, value] : map_) {
    ASSERT_TRUE(cursor->Valid()) << cursor->status().ToString();
    ASSERT_TRUE(cursor->key() == key);
    ASSERT_TRUE(cursor->value() == value);
    cursor->Next();
  }
  EXPECT_FALSE(cursor->Valid());
  EXPECT_OK(cursor->status());
  cursor->SeekToLast();
  for (auto it = map_.rbegin(); it != map_.rend(); ++it) {
    ASSERT_TRUE(cursor->Valid()) << cursor->status().ToString();
    ASSERT_TRUE(cursor->key() == it->first);
    cursor->Prev();
  }
  EXPECT_FALSE(cursor->Valid());
  EXPECT_OK(cursor->status());
}

void Model::AddStatistics() {
  const Statistics s = pool().GetStatistics();
  sum_.puts += s.puts;
  sum_.deletes += s.deletes;
  sum_.consolidations += s.consolidations;
  sum_.splits += s.splits;
  sum_.inner_splits += s.inner_splits;
  sum_.merges += s.merges;
  sum_.inner_merges += s.inner_merges;
  sum_.root_growths += s.root_growths;
  sum_.root_shrinks += s.root_shrinks;
  sum_.compound_nodes += s.compound_nodes;
  sum_.tails_built += s.tails_built;
  sum_.batches += s.batches;
  sum_.conflicts += s.conflicts;
  sum_.bulk_records += s.bulk_records;
  sum_.nodes_dismantled += s.nodes_dismantled;
}

void Model::Reopen(bool read_only_between) {
  ReleaseAllSnapshots();
  AddStatistics();
  const auto reopen_other = [&] {
    if (!other_exists_) {
      other_ = nullptr;
      EXPECT_CODE(pool().OpenStore("other"), Code::kNotFound);
      return;
    }
    auto store = pool().OpenStore("other");
    ASSERT_OK(store);
    other_ = *store;
    CompareView(*other_, ModelView(other_map_), nullptr);
  };
  if (read_only_between) {
    fixture_.Reopen(true);
    ASSERT_TRUE(fixture_.is_open());
    CompareAll();
    reopen_other();
    EXPECT_CODE(store().Put("k", "v"), Code::kReadOnly);
    EXPECT_CODE(store().Delete("k"), Code::kReadOnly);
  }
  fixture_.Reopen();
  ASSERT_TRUE(fixture_.is_open());
  CompareAll();
  reopen_other();
}

void Model::CheckPool() {
  const CheckReport report = Check(pool());
  EXPECT_TRUE(report.problems.empty()) << report.ToString();
  // And the catalogue's.
  EXPECT_GE(report.records, map_.size() + other_map_.size() + (other_exists_ ? 2 : 1));
  const Statistics s = pool().GetStatistics();
  if (snapshots_.empty()) {
    EXPECT_EQ(s.snapshots, 0u);
    EXPECT_EQ(s.versions_retained, 0u);
    EXPECT_EQ(s.version_bytes_retained, 0u);
  }
  sum_.versions_retained += s.versions_retained;  // for a look at whether there ever are any
}

void Model::Step() {
  if (map_.size() >= config_.live_max) growing_ = false;
  if (map_.size() <= config_.live_max / 100) growing_ = true;
  const uint64_t dice = random_.Below(1000);
  if (dice < 25) {
    StepMore();
  } else if (dice < 600) {
    const bool put = random_.Below(10) < (growing_ ? 9u : 2u);
    if (!put) return Delete(random_.OneIn(10) ? AnyKey() : LiveKey());
    // A third of new keys in order, a few overwrites, else anywhere.
    std::string key = random_.OneIn(4)   ? LiveKey()
                      : random_.OneIn(3) ? MakeKey(config_.keys, next_key_++ % config_.live_max)
                                         : AnyKey();
    const std::string value = MakeValue(config_.values, key.size(), random_);
    EXPECT_OK(Put(key, value));
  } else if (dice < 980) {
    Get(random_.OneIn(8) ? AnyKey() : LiveKey());
  } else if (dice < 984) {
    GetPinned(LiveKey());
  } else {
    Walk(20);
  }
}

}  // namespace tuff::test
