#include "tests/crash/maker.h"

#include <fmt/format.h>

#include <functional>

namespace tuff::test {
namespace {

constexpr const char* kShared[] = {"s", "t"};  // stores that all threads write to
constexpr unsigned kThreadsMax = 3;
constexpr int kKeys = 160;    // of the first shared store; the second has few
constexpr int kOwnKeys = 30;  // of a store of one thread

std::string Key(int i) { return fmt::format("key{:04}", i); }

// A thread's part of all that there is, and operations that keep to it.
class Maker {
 public:
  Maker(unsigned thread, uint64_t seed) : thread_(thread), random_(seed * 16 + thread) {}

  /// Before anything is recorded. REQUIRES: the shared stores are there.
  Operations Prepare() {
    Operations all;
    for (int i = 0; i < kKeys; i++) {
      if (Owner(i) == thread_) Append(&all, PutKey(0, Key(i), 90));
      if (Owner(i) == thread_ && i % 8 == 0) Append(&all, PutKey(1, Key(i), 30));
    }
    const std::string own = NewStore(&all);
    for (int i = 0; i < kOwnKeys; i++) Append(&all, Note(PutOp(own, Key(i), "own")));
    NewStore(&all);
    return all;
  }

  /// Leaves no room in the leaf in the middle.
  Operations Fill() { return {Note(FillLeafOp(kShared[0], middle_, Value(40)))}; }

  Operations Make(const std::string& kind) {
    Operations made;
    (this->*kMakers.at(kind))(&made);
    return made;
  }

  using Member = void (Maker::*)(Operations*);
  static const std::map<std::string, Member> kMakers;

 private:
  Operation Note(Operation operation) {
    operation.effect(&mine_);
    return operation;
  }
  static unsigned Owner(int key) { return static_cast<unsigned>(key) % kThreadsMax; }
  // The key of mine next to this one.
  std::string Mine(int key) const {
    return Key(key - static_cast<int>(Owner(key)) + static_cast<int>(thread_));
  }
  static void Append(Operations* to, Operation operation) { to->push_back(std::move(operation)); }

  std::string Value(size_t bytes) {
    return std::string(bytes, static_cast<char>('a' + random_.Below(26)));
  }
  Operation PutKey(int store, const std::string& key, size_t bytes) {
    return Note(PutOp(kShared[store], key, Value(bytes)));
  }
  std::string NewStore(Operations* to) {
    const std::string name = fmt::format("own{}.{}", thread_, stores_made_++);
    Append(to, Note(CreateStoreOp(name)));
    own_.push_back(name);
    return name;
  }
  // A key of mine that is (not) in a shared store, near the middle of it.
  std::string AKey(int store, bool present) {
    for (int i = 0;; i++) {
      const auto near = static_cast<int>(random_.Below(static_cast<uint64_t>(8 + i)));
      const int at = kKeys / 2 + (near % 2 == 0 ? near : -near) / 2;
      const std::string key =
          Mine(std::abs(at)) + (present || i % 2 == 0 ? "" : fmt::format("+{}", i));
      const bool is_there = mine_.contains(fmt::format("{}/{}", kShared[store], key));
      if (is_there == present) return key;
      if (i > 400) return middle_;
    }
  }
  std::string Existing(int store) {
    const std::string key = AKey(store, true);
    return mine_.contains(fmt::format("{}/{}", kShared[store], key)) ? key : std::string();
  }
  std::vector<KeyWrite> Writes(bool many) {
    std::map<std::pair<std::string, std::string>, std::optional<std::string>> by_key;
    const uint64_t n = many ? 12 : 3;
    for (uint64_t i = 0; i < n; i++) {
      const int store = many && i % 4 == 3 ? 1 : 0;
      const std::string key =
          many ? Mine(static_cast<int>(random_.Below(kKeys))) : AKey(0, i % 2 == 0);
      by_key[{kShared[store], key}] =
          random_.OneIn(3) ? std::nullopt : std::optional(Value(10 + random_.Below(60)));
    }
    std::vector<KeyWrite> writes;
    for (const auto& [at, value] : by_key) writes.push_back({at.first, at.second, value});
    return writes;
  }

  void Put(Operations* to) { Append(to, PutKey(0, AKey(0, false), 40)); }
  void PutLong(Operations* to) { Append(to, PutKey(0, AKey(0, random_.OneIn(2)), 1500)); }
  void Overwrite(Operations* to) { Append(to, PutKey(0, AKey(0, true), 40)); }
  void Delete(Operations* to) {
    const std::string key = Existing(0);
    Append(to, key.empty() ? PutKey(0, AKey(0, false), 40) : Note(DeleteOp(kShared[0], key)));
  }
  void CompareAndSwap(Operations* to) {
    const std::string key = AKey(0, random_.OneIn(2));
    const auto at = mine_.find(fmt::format("{}/{}", kShared[0], key));
    const std::optional<std::string> now =
        at == mine_.end() ? std::nullopt : std::optional(at->second);
    const bool remove = now && random_.OneIn(3);
    Append(to, Note(CompareAndSwapOp(kShared[0], key, now,
                                     remove ? std::nullopt : std::optional(Value(50)))));
  }
  void BatchOfOneLeaf(Operations* to) { Append(to, Note(BatchOp(Writes(false)))); }
  void Batch(Operations* to) { Append(to, Note(BatchOp(Writes(true)))); }
  void Transact(Operations* to) {
    const std::string read = Existing(0);
    if (read.empty()) return Batch(to);
    Append(to, Note(TransactionOp(kShared[0], read, Writes(random_.OneIn(2)))));
  }
  void DeleteRange(Operations* to) {
    const std::string& store = own_[random_.Below(own_.size())];
    const auto begin = static_cast<int>(random_.Below(kOwnKeys));
    Append(to, Note(DeleteRangeOp(store, Key(begin), Key(begin + 12))));
  }
  void CreateStore(Operations* to) { (void)NewStore(to); }
  void RenameStore(Operations* to) {
    std::string& store = own_[random_.Below(own_.size())];
    const std::string name = fmt::format("own{}.{}", thread_, stores_made_++);
    Append(to, Note(RenameStoreOp(store, name)));
    store = name;
  }
  void DropStore(Operations* to) {
    if (own_.empty()) (void)NewStore(to);
    const auto at = own_.begin() + static_cast<ptrdiff_t>(random_.Below(own_.size()));
    Append(to, Note(DropStoreOp(*at)));
    Append(to, WaitOp());
    own_.erase(at);
    if (own_.empty()) (void)NewStore(to);
  }
  void BulkLoad(Operations* to) {
    const std::string store = NewStore(to);
    std::vector<std::string> keys;
    for (int i = 0; i < 40; i++) keys.push_back(Key(i));
    Append(to, Note(BulkLoadOp(store, keys, Value(90))));
  }
  void ConsolidateAhead(Operations* to) {
    Append(to, Note(FillLeafOp(kShared[0], middle_, Value(40))));
    Append(to, ConsolidateAheadOp(kShared[0], middle_, 40));
  }
  void Reopen(Operations* to) {
    Append(to, CloseOp());
    Append(to, OpenOp());
  }

  const unsigned thread_;
  Random random_;
  const std::string middle_ = Mine(kKeys / 2);
  Contents mine_;
  std::vector<std::string> own_;  // stores
  int stores_made_ = 0;
};

const std::map<std::string, Maker::Member> Maker::kMakers = {
    {"put", &Maker::Put},
    {"put-long", &Maker::PutLong},
    {"overwrite", &Maker::Overwrite},
    {"delete", &Maker::Delete},
    {"cas", &Maker::CompareAndSwap},
    {"batch-leaf", &Maker::BatchOfOneLeaf},
    {"batch", &Maker::Batch},
    {"transaction", &Maker::Transact},
    {"delete-range", &Maker::DeleteRange},
    {"create", &Maker::CreateStore},
    {"rename", &Maker::RenameStore},
    {"drop", &Maker::DropStore},
    {"bulk-load", &Maker::BulkLoad},
    {"consolidate", &Maker::ConsolidateAhead},
    {"reopen", &Maker::Reopen},
};

Operations PrepareFor(std::vector<Maker>* makers) {
  Operations all = {CreateStoreOp(kShared[0]), CreateStoreOp(kShared[1])};
  for (Maker& maker : *makers) all = all + maker.Prepare();
  return all;
}

Workload MakePair(const std::string& first, const std::string& second, bool full) {
  Workload workload;
  std::vector<Maker> makers;
  for (unsigned thread = 0; thread < kThreadsMax; thread++) makers.emplace_back(thread, 1);
  workload.prepare = PrepareFor(&makers);
  if (full) workload.prepare = workload.prepare + makers[0].Fill();
  const Operations begin = makers[0].Make(first);  // what the second does depends on it
  workload.threads = {begin + makers[0].Make(second)};
  return workload;
}

Workload MakeRandom(uint64_t seed) {
  Workload workload;
  workload.interleave_seed = seed;
  Random random(seed);
  std::vector<Maker> makers;
  for (unsigned thread = 0; thread < kThreadsMax; thread++) makers.emplace_back(thread, seed);
  workload.prepare = PrepareFor(&makers);
  if (random.OneIn(2)) workload.prepare = workload.prepare + makers[0].Fill();
  workload.threads.resize(2 + random.Below(kThreadsMax - 1));
  for (size_t thread = 0; thread < workload.threads.size(); thread++) {
    Operations& operations = workload.threads[thread];
    for (uint64_t n = 2 + random.Below(4); n > 0; n--) {
      const auto& kinds = OperationKinds();
      const std::string& kind = kinds[random.Below(kinds.size())];
      if (kind != "reopen") operations = operations + makers[thread].Make(kind);
    }
  }
  return workload;
}

}  // namespace

const std::vector<std::string>& OperationKinds() {
  static const std::vector<std::string> kinds = [] {
    std::vector<std::string> names;
    for (const auto& [name, make] : Maker::kMakers) names.push_back(name);
    return names;
  }();
  return kinds;
}

std::string PairName(const std::string& first, const std::string& second, bool full) {
  return fmt::format("pair/{}/{}{}", first, second, full ? "/full" : "");
}

std::string RandomName(uint64_t seed) { return fmt::format("random/{}", seed); }

std::optional<Workload> MakeByName(const std::string& name) {
  std::vector<std::string> parts;
  std::istringstream in(name);
  for (std::string part; std::getline(in, part, '/');) parts.push_back(part);
  std::optional<Workload> workload;
  if (parts.size() == 2 && parts[0] == "random") {
    workload = MakeRandom(std::strtoull(parts[1].c_str(), nullptr, 10));
  } else if (parts.size() >= 3 && parts[0] == "pair") {
    workload = MakePair(parts[1], parts[2], parts.size() == 4);
  }
  if (workload) workload->name = name;
  return workload;
}

}  // namespace tuff::test
