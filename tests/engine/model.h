// A pool beside a std::map: every operation is done on both, every answer compared.
//
// There is one store that is always there, and another one that comes and goes. Several snapshots
// live at once, each remembering what the stores held when it was taken.
// Thread-safety: none.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/engine/engine_test_util.h"
#include "tests/engine/model_view.h"

namespace tuff::test {

enum class KeyShape : uint8_t {
  kRandom16,        // 16 random bytes
  kSequential,      // 8 bytes, big-endian
  kCommonPrefix,    // 40 common bytes, a number, zeros inside
  kAnyLength,       // 1 to 1024 bytes of a three-letter alphabet (NUL, 'a', 0xff): many ties
  kLongSeparators,  // 1000 bytes, groups that differ at their end only: a low fan-out
};
enum class ValueShape : uint8_t { kEmpty, kSmall, k100, k1000, kMixed };

/// Key number i of a shape. Different numbers give different keys, but for a few of kAnyLength.
std::string MakeKey(KeyShape shape, uint64_t i);
std::string MakeValue(ValueShape shape, size_t key_bytes, Random& random);

/// How often things happen, and between which sizes the store swings.
struct ModelConfig {
  const char* name = "";
  KeyShape keys = KeyShape::kRandom16;
  ValueShape values = ValueShape::kSmall;
  Granularity granularity = Granularity::kCacheLine;
  MemmapPlace memmap = MemmapPlace::kPool;
  Guard guard = Guard::kNone;  // none: that of the environment
  uint64_t pool_bytes = 64ull << 20;
  uint64_t live_max = 20000;  // records at which growing turns into shrinking
  uint64_t share = 10;        // of all operations
};

inline void PrintTo(const ModelConfig& config, std::ostream* out) { *out << config.name; }

CreateOptions PoolOptions(const ModelConfig& config);

class Model {
 public:
  Model(const ModelConfig& config, uint64_t seed)
      : config_(config), fixture_(PoolOptions(config)), random_(seed) {}
  ~Model() { ReleaseAllSnapshots(); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  PoolFixture& fixture() { return fixture_; }
  Pool& pool() { return fixture_.pool(); }
  Store& store() { return fixture_.store(); }
  const Contents& map() const { return map_; }
  Random& random() { return random_; }
  Statistics statistics() const { return sum_; }

  /// One random operation.
  void Step();

  /// Returns the put's status; the map follows if it is OK.
  Status Put(const std::string& key, const std::string& value);
  /// Deletes on both and compares the answers.
  void Delete(const std::string& key);
  void Get(const std::string& key);
  void GetPinned(const std::string& key);
  /// A walk of up to `steps` steps both ways from a random place, with random bounds.
  void Walk(int steps);
  /// Every record, forwards and backwards.
  void CompareAll();
  void Reopen(bool read_only_between);
  void CheckPool();
  /// Adds the open pool's statistics to the sum: call before it is closed.
  void AddStatistics();

  // model_more.cc: over both stores, at several moments.

  /// One random operation of the following ones.
  void StepMore();
  void WriteBatchOnBoth();
  void CompareAndSwap();
  void ReadModifyWrite();
  void MultiGet();
  void DeleteRange();
  void Transact();
  /// Makes, fills, empties or drops the other store.
  void ChangeOther();
  void TakeSnapshot();
  void ReadSnapshot();
  void ReleaseSnapshot();
  void ReleaseAllSnapshots();

  std::string AnyKey() { return MakeKey(config_.keys, random_.Below(config_.live_max * 5 / 4)); }
  /// A key that is there, or any if there is none.
  std::string LiveKey();

 private:
  static constexpr size_t kMain = 0;
  static constexpr size_t kOther = 1;
  static constexpr uint64_t kOtherKeys = 400;

  // One of the two stores with a key of it.
  struct Place {
    size_t which;
    std::string key;
  };
  Store& StoreOf(size_t which) { return which == kMain ? store() : *other_; }
  Contents& ContentsOf(size_t which) { return which == kMain ? map_ : other_map_; }
  Place AnyPlace();
  std::string ValueFor(const std::string& key) {
    return MakeValue(config_.values, key.size(), random_);
  }
  /// The model's side of every change; nullopt: the key goes.
  void Set(size_t which, const std::string& key, const std::optional<std::string>& value);
  void ExpectValue(const Status& status, std::string_view value, const std::string* expected);
  void WalkView(Iterator& iterator, const ModelView& view, const std::string& target, int steps);
  void CompareView(Store& store, const ModelView& view, const Snapshot* snapshot);
  void CreateOther();
  void DropOther();
  void LoadOther();

  const ModelConfig config_;
  PoolFixture fixture_;
  Random random_;
  Contents map_;
  Store* other_ = nullptr;  // dropped, if !other_exists_; null: never made
  bool other_exists_ = false;
  Contents other_map_;
  std::vector<std::unique_ptr<ModelSnapshot>> snapshots_;
  bool growing_ = true;
  uint64_t next_key_ = 0;
  Statistics sum_;
};

}  // namespace tuff::test
