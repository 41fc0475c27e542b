#include "tests/damage/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tests/crash/isolate.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

using Value = std::optional<std::string>;

struct Got {
  bool error = false;
  Value value;
};

// What one pass over the pool has found of a leaf.
struct Found {
  bool error = false;
  int state = -1;  // the newest of its states that explains all that was read
  std::vector<Got> got;
};

std::string Shown(const Value& value) { return value ? "'" + value->substr(0, 24) + "'" : "none"; }

}  // namespace

class Examiner::Run {
 public:
  Run(Examiner& examiner, const std::vector<Damage>& damages, const std::vector<uint32_t>& which,
      uint64_t turn)
      : at_(examiner), layout_(examiner.layout_), damages_(damages), which_(which), turn_(turn) {
    in_scope_.resize(layout_.leaves.size());
    for (const uint32_t i : which) {
      alone_ = alone_ || damages[i].alone;
      for (const uint32_t leaf : layout_.targets[damages[i].target].scope) {
        if (leaf < in_scope_.size()) in_scope_[leaf] = true;
      }
    }
    if (alone_) in_scope_.assign(in_scope_.size(), true);
  }

  Verdict Go() {
    const SparseImage image = Apply(at_.image_, damages_, which_);
    at_.file_.Load(image);
    if (Open(true)) {
      ReadAll("read-only");
      problems_ = Check(*pool_).problems;
      Close();
      first_ = std::move(found_);
    }
    if (!at_.file_.Holds(image, false)) Fail("a read-only open has changed the file");
    if (Open(false)) {
      if (Status s = pool_->WaitForBackgroundWork(); !s.ok()) CheckError("the worker", s);
      ReadAll("for writing");
      CompareReadings();
      Write();
      (void)Check(*pool_);
      Close();
    }
    return {Outcomes(), std::move(wrong_)};
  }

 private:
  void Fail(const std::string& what) {
    if (wrong_.empty()) wrong_ = phase_ + ": " + what;
  }

  bool Open(bool read_only) {
    phase_ = read_only ? "read-only" : "for writing";
    OpenOptions options = SmallPool().open;
    options.read_only = read_only;
    stores_.clear();
    auto pool = Pool::Open(at_.file_.path(), options);
    if (pool.ok()) {
      pool_ = std::move(*pool);
      return true;
    }
    const Status& s = pool.status();
    if (s.code() != Code::kCorruption) Fail("opening: " + s.ToString());
    if (!alone_) Fail("damage to a part keeps the pool from being opened: " + s.ToString());
    refused_ = true;
    return false;
  }
  void Close() {
    if (Status s = pool_->Close(); !s.ok()) CheckError("closing", s);
    pool_.reset();
  }

  // An error is Corruption and says where.
  void CheckError(const std::string& what, const Status& s) {
    errors_++;
    const bool names = Contains(s, "pfn ") || Contains(s, "lane ") || Contains(s, "record is mal");
    if (s.code() != Code::kCorruption || !names) Fail(what + ": " + s.ToString());
  }

  // Null: it cannot be opened.
  Store* OpenStore(const std::string& name) {
    const auto known = stores_.find(name);
    if (known != stores_.end()) return known->second;
    auto store = pool_->OpenStore(name);
    Store* const opened = store.ok() ? *store : nullptr;
    if (opened == nullptr && !(alone_ && store.status().IsNotFound())) {
      CheckError("opening store " + name, store.status());
    }
    return stores_[name] = opened;
  }

  void ReadAll(const std::string& phase) {
    phase_ = phase;
    found_.assign(layout_.leaves.size(), {});
    for (const std::string& name : at_.stores_) ReadStore(name);
  }

  void ReadStore(const std::string& name) {
    Store* const store = OpenStore(name);
    bool any = false;
    bool nothing = store != nullptr;
    for (uint32_t i = 0; i < layout_.leaves.size(); i++) {
      if (layout_.leaves[i].store != name) continue;
      any = any || in_scope_[i];
      ReadLeaf(store, i);
      for (const Got& got : found_[i].got) nothing = nothing && !got.error && !got.value;
    }
    for (uint32_t i = 0; i < layout_.leaves.size(); i++) {
      if (layout_.leaves[i].store == name) Explain(i, nothing);
    }
    if (any && store != nullptr) Scan(name, *store);
  }

  void ReadLeaf(Store* store, uint32_t i) {
    const LeafStates& leaf = layout_.leaves[i];
    Found& found = found_[i];
    const size_t step = in_scope_[i] ? 1 : 7;
    found.got.resize(leaf.keys.size());
    std::vector<std::string_view> keys;
    for (size_t k = 0; k < leaf.keys.size(); k++) {
      Got& got = found.got[k];
      if (k % step != 0) {
        got.value = leaf.states.back()[k];  // not looked at
        continue;
      }
      std::string value;
      Status s = store == nullptr ? Status(Code::kCorruption, "pfn : no store")
                                  : store->Get(leaf.keys[k], &value);
      got.error = !s.ok() && !s.IsNotFound();
      if (s.ok()) got.value = std::move(value);
      if (got.error) {
        CheckError("get", s);
        found.error = true;
        if (!in_scope_[i]) Fail("far from the damage: " + s.ToString());
      }
      keys.push_back(leaf.keys[k]);
    }
    if (in_scope_[i] && store != nullptr) ReadTogether(*store, keys, found);
  }

  void ReadTogether(const Store& store, const std::vector<std::string_view>& keys,
                    const Found& found) {
    std::vector<std::string> values;
    std::vector<Status> statuses;
    store.MultiGet(keys, &values, &statuses);
    for (size_t k = 0; k < keys.size(); k++) {
      const Got& got = found.got[k];
      const bool same = statuses[k].ok() ? !got.error && got.value == values[k]
                                         : got.error != statuses[k].IsNotFound() && !got.value;
      if (!same) Fail("MultiGet differs from Get");
    }
  }

  // Which state of the leaf has been read; `nothing`: the whole store seems empty.
  void Explain(uint32_t i, bool nothing) {
    const LeafStates& leaf = layout_.leaves[i];
    Found& found = found_[i];
    for (size_t n = leaf.states.size(); n-- > 0 && found.state < 0;) {
      bool fits = true;
      for (size_t k = 0; k < leaf.keys.size() && fits; k++) {
        fits = found.got[k].error || found.got[k].value == leaf.states[n][k];
      }
      if (fits) found.state = static_cast<int>(n);
    }
    if (found.state < 0 && nothing && in_scope_[i]) return;  // as before the first put
    if (alone_ && !OpenStore(leaf.store)) return;
    if (found.state < 0) return Fail(DescribeWrong(leaf, found));
    if (!in_scope_[i] && found.state + 1 != static_cast<int>(leaf.states.size())) {
      Fail(fmt::format("far from the damage, leaf {} is not as it was", leaf.pfn));
    }
  }

  static std::string DescribeWrong(const LeafStates& leaf, const Found& found) {
    std::string text = fmt::format("leaf {} of '{}' is as it never was:", leaf.pfn, leaf.store);
    int told = 0;
    for (size_t k = 0; k < leaf.keys.size(); k++) {
      const Got& got = found.got[k];
      if (got.error || got.value == leaf.states.back()[k] || told++ > 2) continue;
      text += fmt::format(" {}: {}, not {};", leaf.keys[k].substr(0, 24), Shown(got.value),
                          Shown(leaf.states.back()[k]));
    }
    return text;
  }

  void Scan(const std::string& name, const Store& store) {
    for (const bool forward : {true, false}) {
      std::map<std::string, std::string> seen;
      std::string last;
      const auto it = store.NewIterator();
      for (forward ? it->SeekToFirst() : it->SeekToLast(); it->Valid();
           forward ? it->Next() : it->Prev()) {
        const std::string key(it->key());
        if (!seen.empty() && (forward ? key <= last : key >= last)) Fail("a scan out of order");
        seen[key] = it->value();
        last = key;
      }
      const bool whole = it->status().ok();
      if (!whole) CheckError("scan", it->status());
      CompareScan(name, seen, whole);
    }
  }

  void CompareScan(const std::string& name, std::map<std::string, std::string>& seen, bool whole) {
    for (uint32_t i = 0; i < layout_.leaves.size(); i++) {
      const LeafStates& leaf = layout_.leaves[i];
      if (leaf.store != name) continue;
      for (size_t k = 0; k < leaf.keys.size(); k++) {
        const Got& got = found_[i].got[k];
        const auto at = seen.find(leaf.keys[k]);
        if (at == seen.end()) {
          if (whole && !got.error && got.value) Fail("a whole scan leaves out " + leaf.keys[k]);
          continue;
        }
        const auto was = [&](const auto& state) { return state[k] == at->second; };
        const bool right = got.error ? std::any_of(leaf.states.begin(), leaf.states.end(), was)
                                     : got.value == at->second;
        if (!right) Fail("a scan finds another value of " + leaf.keys[k]);
        seen.erase(at);
      }
    }
    if (!seen.empty()) Fail("a scan invents " + seen.begin()->first);
  }

  // Both ways of opening find the same.
  void CompareReadings() {
    if (first_.empty()) return;
    for (size_t i = 0; i < found_.size(); i++) {
      for (size_t k = 0; k < found_[i].got.size(); k++) {
        const Got& a = first_[i].got[k];
        const Got& b = found_[i].got[k];
        if (a.error != b.error || a.value != b.value) {
          Fail("not what a read-only open has found: " + layout_.leaves[i].keys[k]);
        }
      }
    }
  }

  // Writes around the damage. Whatever is acknowledged must be there, all else as it was.
  void Write() {
    phase_ = "written";
    size_t written = 0;
    for (uint32_t i = 0; i < layout_.leaves.size(); i++) {
      const bool far = i == turn_ % layout_.leaves.size();
      if ((!in_scope_[i] && !far) || (alone_ && (i + turn_) % 8 != 0)) continue;
      if (written++ < 6) WriteLeaf(i);
    }
    WriteBatchOverStores();
    if (turn_ % 8 == 0) DropAndMake();
    for (uint32_t i = 0; i < layout_.leaves.size(); i++) Verify(i);
    for (const auto& [store, keys] : put_) {
      for (const auto& [key, value] : keys) {
        if (!in_leaves_.contains({store, key})) VerifyKey(store, key, value, nullptr);
      }
    }
  }

  void Put(const std::string& name, const std::string& key, const std::string& value) {
    Store* const store = OpenStore(name);
    if (store == nullptr) return;
    Status s = store->Put(key, value);
    if (s.ok()) {
      put_[name][key] = value;
    } else if (!s.IsNotFound()) {
      CheckError("put", s);
    }
  }

  void WriteLeaf(uint32_t i) {
    const LeafStates& leaf = layout_.leaves[i];
    Store* const store = OpenStore(leaf.store);
    if (store == nullptr || leaf.keys.empty()) return;
    const size_t n = leaf.keys.size();
    for (const size_t k : {size_t{0}, n - 1}) Put(leaf.store, leaf.keys[k], "new");
    if (n > 2) {
      Status s = store->Delete(leaf.keys[n / 2]);
      if (s.ok()) put_[leaf.store][leaf.keys[n / 2]] = std::nullopt;
      if (!s.ok() && !s.IsNotFound()) CheckError("delete", s);
    }
    // So many that the leaf is rewritten, and often split.
    for (int j = 0; j < (turn_ % 2 == 0 ? 4 : 24); j++) {
      Put(leaf.store, fmt::format("{}+{}", leaf.keys[n / 3], j), std::string(60, 'p'));
    }
  }

  void WriteBatchOverStores() {
    WriteBatch batch;
    std::vector<std::pair<std::string, std::string>> keys;
    for (uint32_t i = 0; i < layout_.leaves.size() && keys.size() < 4; i++) {
      const LeafStates& leaf = layout_.leaves[(i * 5 + turn_) % layout_.leaves.size()];
      Store* const store = OpenStore(leaf.store);
      if (store == nullptr || leaf.keys.empty()) continue;
      if (!batch.Put(*store, leaf.keys[0], "of a batch").ok()) continue;
      keys.emplace_back(leaf.store, leaf.keys[0]);
    }
    Status s = pool_->Write(batch);
    if (!s.ok()) return CheckError("batch", s);
    for (const auto& [store, key] : keys) put_[store][key] = "of a batch";
  }

  void DropAndMake() {
    const std::string& name = layout_.leaves[turn_ / 8 % layout_.leaves.size()].store;
    if (Status s = pool_->DropStore(name); s.ok()) {
      dropped_ = name;
      put_.erase(name);
    } else if (!(alone_ && s.IsNotFound())) {
      CheckError("drop", s);
    }
    if (Status s = pool_->WaitForBackgroundWork(); !s.ok()) CheckError("the worker", s);
    auto made = pool_->CreateStore("made");
    if (!made.ok()) return CheckError("create", made.status());
    stores_["made"] = *made;
    for (int i = 0; i < 80; i++)
      Put("made", fmt::format("key{}", i * 7 % 80), std::string(90, 'm'));
  }

  void Verify(uint32_t i) {
    const LeafStates& leaf = layout_.leaves[i];
    if (leaf.store == dropped_) return;
    for (size_t k = 0; k < leaf.keys.size(); k += in_scope_[i] ? 1 : 5) {
      const auto store = put_.find(leaf.store);
      const Got& before = found_[i].got[k];
      const bool written = store != put_.end() && store->second.contains(leaf.keys[k]);
      if (written) in_leaves_.insert({leaf.store, leaf.keys[k]});
      if (before.error && !written) continue;
      VerifyKey(leaf.store, leaf.keys[k], written ? store->second.at(leaf.keys[k]) : before.value,
                in_scope_[i] ? nullptr : &leaf);
    }
  }

  // `far`: a leaf that must be readable.
  void VerifyKey(const std::string& name, const std::string& key, const Value& wanted,
                 const LeafStates* far) {
    Store* const store = OpenStore(name);
    if (store == nullptr) return;
    std::string value;
    Status s = store->Get(key, &value);
    if (!s.ok() && !s.IsNotFound()) {
      CheckError("get", s);
      if (far != nullptr) Fail("far from the damage: " + s.ToString());
      return;
    }
    const Value found = s.ok() ? Value(value) : std::nullopt;
    if (found != wanted) {
      Fail(fmt::format("'{}' of '{}' is {}, not {}", key.substr(0, 24), name, Shown(found),
                       Shown(wanted)));
    }
  }

  std::vector<Outcome> Outcomes() const {
    std::vector<Outcome> outcomes;
    for (const uint32_t i : which_) outcomes.push_back(OutcomeOf(damages_[i]));
    return outcomes;
  }

  Outcome OutcomeOf(const Damage& damage) const {
    if (refused_) return Outcome::kAtOpen;
    const Target& target = layout_.targets[damage.target];
    bool older = false;
    const bool all = damage.alone;
    for (uint32_t i = 0; i < layout_.leaves.size(); i++) {
      const auto& scope = target.scope;
      if (!all && std::find(scope.begin(), scope.end(), i) == scope.end()) continue;
      if (found_[i].error || first_[i].error) return Outcome::kReading;
      older = older || found_[i].state + 1 != static_cast<int>(layout_.leaves[i].states.size());
    }
    const bool others = target.scope.empty() || target.scope[0] == layout_.leaves.size();
    if ((all || (others && which_.size() == 1)) && errors_ > 0) return Outcome::kReading;
    for (const std::string& problem : problems_) {
      if (all || NamedIn(problem, target) || (others && which_.size() == 1)) return Outcome::kCheck;
    }
    return older ? Outcome::kOlder : Outcome::kCurrent;
  }

  static bool NamedIn(const std::string& problem, const Target& target) {
    return std::any_of(target.regions.begin(), target.regions.end(), [&](const Region& region) {
      if (region.kind == Kind::kFree) return false;
      const Pfn pfn = region.kind == Kind::kOwnerWord
                          ? (region.from - OffsetOf(FrameTablePfn(0))) / 8
                          : region.from >> kFrameShift;
      return problem.find(fmt::format("pfn {}:", pfn)) != problem.npos;
    });
  }

  Examiner& at_;
  const Layout& layout_;
  const std::vector<Damage>& damages_;
  const std::vector<uint32_t>& which_;
  const uint64_t turn_;
  std::vector<bool> in_scope_;
  bool alone_ = false;
  bool refused_ = false;
  int errors_ = 0;
  std::string phase_;
  std::string wrong_;
  std::unique_ptr<Pool> pool_;
  std::map<std::string, Store*> stores_;
  std::vector<Found> first_;  // by the read-only open
  std::vector<Found> found_;
  std::vector<std::string> problems_;
  std::map<std::string, std::map<std::string, Value>> put_;  // what has been acknowledged
  std::set<std::pair<std::string, std::string>> in_leaves_;
  std::string dropped_;
};

Examiner::Examiner(const std::string& path, const SparseImage& image, const Layout& layout,
                   const std::map<uint32_t, std::string>& stores)
    : image_(image), layout_(layout), file_(path, image.bytes()), watch_(file_) {
  for (const auto& [id, name] : stores) stores_.push_back(name);
}

Examiner::~Examiner() = default;

Verdict Examiner::Examine(const std::vector<Damage>& damages, const std::vector<uint32_t>& which,
                          uint64_t turn) {
  return Run(*this, damages, which, turn).Go();
}

}  // namespace tuff::test
