#include "engine/graveyard.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cstring>

#include "engine/batch.h"
#include "engine/cursor.h"
#include "engine/no_throw.h"

namespace tuff {
namespace {

// Frames freed by one change; its lists must fit a lane.
constexpr size_t kRunsPerStep = 128;

std::string EntryText(const GraveyardEntry& entry) {
  return {reinterpret_cast<const char*>(&entry), sizeof entry};
}

}  // namespace

size_t FirstChildLeft(const NodeView& node) {
  size_t first = 0;
  for (size_t i = 0; i < node.count(); i++) {
    if (node.ChildWord(i) == 0) first = i + 1;
  }
  return first;
}

bool ParseGraveyardRecord(std::string_view key, std::string_view value, uint32_t* id,
                          GraveyardEntry* entry) {
  if (!TUFF_CHECK("graveyard.record", key.size() == sizeof *id && value.size() == sizeof *entry)) {
    return false;
  }
  std::memcpy(id, key.data(), sizeof *id);
  *id = __builtin_bswap32(*id);
  std::memcpy(entry, value.data(), sizeof *entry);
  return true;
}

namespace {

// What the Dismantler looks at. Here, since ids cannot stand in inline functions.
bool IsDataFrame(const PageMap& map, Pfn pfn) {
  return TUFF_CHECK("graveyard.frame", map.RunInPool(pfn, 0));
}

bool IsNodeOf(const PageMap& map, Pfn pfn, uint64_t word, uint32_t object_id) {
  const OwnerWord owner = UnpackOwner(word);
  return TUFF_CHECK("graveyard.owner",
                    OwnerIsValid(pfn, word) &&
                        owner.kind == static_cast<uint8_t>(FrameKind::kTreeNode) &&
                        owner.object_id == object_id && map.RunInPool(pfn, owner.order));
}

// Or a damaged word might lead to a node of the same object that is in use elsewhere.
bool IsNamedBy(const PageMap& map, uint64_t child_word) {
  const Pfn pfn = ChildPfn(child_word);
  return TUFF_CHECK(
      "graveyard.tag",
      ChildTagMatches(child_word, NodeView(map.base() + OffsetOf(pfn), pfn).number()));
}

// For runs in the order of their frames.
bool AreDisjoint(const LaneRun& run, const LaneRun& next) {
  return TUFF_CHECK("graveyard.twice", next.pfn - run.pfn >= 1ull << UnpackOwner(run.owner).order);
}

void GiveToLimbo(PageMap& map, const std::vector<Limbo::Run>& freed) {
  if (TUFF_RETIRE("graveyard.retire")) map.limbo().Add(freed.data(), freed.size());
}

}  // namespace

// Frees a tree step by step.
class Graveyard::Dismantler {
 public:
  Dismantler(Graveyard& graveyard, Tree& tree, unsigned lane)
      : graveyard_(graveyard), tree_(tree), map_(tree.map()), lane_(lane) {}

  Status Dismantle() {
    const uint64_t root = tree_.root_word();
    if (root == 0) return Status();
    if (Status s = Empty(root, -1); !s.ok()) return s;
    LaneRun run;
    if (Status s = RunOf(root, &run); !s.ok()) return s;
    return Free(tree_.root_place(), root, {run});
  }

 private:
  // Frees all that is below a node.
  Status Empty(uint64_t word, int level) {
    NodeView node;
    if (Status s = tree_.Visit(word, level, &node); !s.ok()) return s;
    if (node.is_leaf()) return Status();
    LaneRun here;
    if (Status s = RunOf(word, &here); !s.ok()) return s;
    above_.push_back(here);
    std::vector<LaneRun> runs;
    for (size_t i = FirstChildLeft(node); i < node.count(); i++) {
      if (graveyard_.stopping_.load(std::memory_order_relaxed)) {
        return Status(Code::kBusy, "the pool is being closed");
      }
      const uint64_t child = node.ChildWord(i);
      if (node.level() > 1) {
        if (Status s = Empty(child, static_cast<int>(node.level()) - 1); !s.ok()) return s;
      }
      LaneRun run;
      if (Status s = RunOf(child, &run); !s.ok()) return s;
      runs.push_back(run);
      if (runs.size() < kRunsPerStep && i + 1 < node.count()) continue;
      if (Status s = Free(node.ChildPlace(i), child, runs); !s.ok()) return s;
      runs.clear();
    }
    above_.pop_back();
    return Status();
  }

  // What the frame table says of a node that is not looked at otherwise.
  Status RunOf(uint64_t word, LaneRun* run) const {
    const Pfn pfn = ChildPfn(word);
    if (!IsDataFrame(map_, pfn)) return NodeDamage(pfn, "child word leads out of the pool");
    map_.memmap().Touch(pfn);
    const uint64_t owner = map_.memmap().OwnerWordAt(pfn);
    if (!IsNodeOf(map_, pfn, owner, tree_.object_id())) {
      return NodeDamage(
          pfn, fmt::format("frame table does not give this node to object {}", tree_.object_id()));
    }
    if (!IsNamedBy(map_, word)) {
      return NodeDamage(pfn, "child word and node number do not match");
    }
    *run = {pfn, owner};
    return Status();
  }

  // A damaged tree may lead to a frame twice in one step (I8), or to a node that is still read.
  // Across steps, what is free already has no owner.
  Status CheckDisjoint(std::vector<LaneRun> runs) const {
    runs.insert(runs.end(), above_.begin(), above_.end());
    std::sort(runs.begin(), runs.end(),
              [](const LaneRun& a, const LaneRun& b) { return a.pfn < b.pfn; });
    for (size_t i = 1; i < runs.size(); i++) {
      if (!AreDisjoint(runs[i - 1], runs[i])) {
        return NodeDamage(runs[i].pfn, "several child words lead to this node; it stays in use");
      }
    }
    return Status();
  }

  // One step: the word becomes 0, the frames are free.
  Status Free(uint64_t place, uint64_t old_word, std::vector<LaneRun> runs) {
    if (Status s = CheckDisjoint(runs); !s.ok()) return s;
    LaneChange change;
    change.place = place;
    change.old_value = old_word;
    change.new_value = 0;
    change.object_id = tree_.object_id();
    change.old_runs = std::move(runs);
    std::vector<Limbo::Run> freed;  // after the commit nothing may fail
    for (const LaneRun& run : change.old_runs) {
      freed.push_back({run.pfn, UnpackOwner(run.owner).order});
    }
    std::lock_guard step(graveyard_.step_mutex_);
    {
      WriteWindow window(map_.domain());
      if (Status s = map_.lanes().Change(window, lane_, change, {}); !s.ok()) return s;
    }
    for (const Limbo::Run& run : freed) map_.memmap().At(run.pfn).Set(Descriptor::kObsolete);
    GiveToLimbo(map_, freed);
    map_.counters().Add(Counter::kNodesDismantled, freed.size());
    return Status();
  }

  Graveyard& graveyard_;
  Tree& tree_;
  PageMap& map_;
  const unsigned lane_;
  std::vector<LaneRun> above_;  // the inner nodes from the root to the one that is emptied
};

Result<Tree*> Graveyard::OpenTree() {
  std::lock_guard lock(mutex_);
  if (tree_ != nullptr) return tree_.get();
  auto info = catalogue_.Find(kGraveyardName);
  if (!info.ok()) return info.TakeStatus();
  auto anchor = catalogue_.ReadAnchor(info->anchor, info->id, ObjectKind::kGraveyard);
  if (!anchor.ok()) return anchor.TakeStatus();
  tree_ = std::make_unique<Tree>(map_, info->id, info->anchor);
  return tree_.get();
}

Status Graveyard::Prepare() {
  if (Status s = map_.domain().CheckWritable(); !s.ok()) return s;
  auto tree = OpenTree();
  if (tree.status().IsNotFound()) {
    auto made = catalogue_.Create(kGraveyardName, ObjectKind::kGraveyard);
    if (!made.ok() && made.status().code() != Code::kExists) return made.TakeStatus();
    tree = OpenTree();
  }
  if (!tree.ok()) return tree.TakeStatus();
  LaneHold lane(map_.lanes());
  NodeView leaf;  // its root leaf, too, so that a full pool can bury something
  if (Status s = (*tree)->LatchLeaf(CatalogueKey(0), &lane, &leaf); !s.ok()) return s;
  map_.memmap().At(leaf.pfn()).latch.Unlock();
  return Status();
}

Status Graveyard::Bury(const ObjectInfo& store) {
  if (Status s = Prepare(); !s.ok()) return s;
  const auto note = [&](int more) {
    std::lock_guard lock(mutex_);
    burying_ += more;
  };
  note(1);
  const GraveyardEntry entry{store.anchor, static_cast<uint32_t>(store.kind), store.id};
  Status s = NoThrow([&]() -> Status {
    if (TUFF_ORDER("graveyard.flag")) {
      if (Status in_use = map_.SetGraveyardInUse(true); !in_use.ok()) return in_use;
    }
    return catalogue_.Move(store, tree_.get(), EntryText(entry), versions_);
  });
  if (s.ok()) Wake();
  note(-1);
  if (s.ok()) versions_.Forget(store.id);
  return s;
}

Result<ObjectInfo> Graveyard::NewBuilding(uint32_t tree_object_id) {
  if (Status s = Prepare(); !s.ok()) return s;
  auto id = map_.NextObjectId();
  if (!id.ok()) return id.TakeStatus();
  {
    std::lock_guard lock(mutex_);
    buildings_.insert(*id);
  }
  Result<ObjectInfo> info = ObjectInfo();
  Status s = NoThrow([&]() -> Status {
    if (TUFF_ORDER("building.flag")) {
      if (Status in_use = map_.SetGraveyardInUse(true); !in_use.ok()) return in_use;
    }
    info = catalogue_.NewAnchor(*id, ObjectKind::kBuilding, tree_.get(), [&](Pfn anchor) {
      return EntryText({anchor, static_cast<uint32_t>(ObjectKind::kBuilding), tree_object_id});
    });
    return info.ok() ? Status() : info.TakeStatus();
  });
  if (s.ok()) return info;
  LetGo(*id);
  return s;
}

void Graveyard::LetGo(uint32_t building_id) {
  {
    std::lock_guard lock(mutex_);
    buildings_.erase(building_id);
  }
  Wake();
}

void Graveyard::Wake() {
  std::lock_guard lock(mutex_);
  if (stop_ || map_.read_only()) return;
  work_ = true;
  if (!worker_.joinable()) {
    try {
      worker_ = std::thread([this] { Run(); });
    } catch (const std::exception& error) {
      // What is buried stays for the next to wake it, or for the next mount.
      last_ = NoThrow([&] {
        return Status(Code::kNoMemory, fmt::format("cannot start a thread: {}", error.what()));
      });
      work_ = false;
      Tell(LogLevel::kWarning, last_);
    }
  }
  changed_.notify_all();
}

Status Graveyard::AwaitIdle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !work_ && !busy_; });
  return last_;
}

void Graveyard::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    stopping_ = true;
    changed_.notify_all();
  }
  if (worker_.joinable()) worker_.join();
}

void Graveyard::Tell(LogLevel level, const Status& status) {
  (void)NoThrow([&] {
    map_.Log(level, fmt::format("{}: dismantling: {}", map_.path(), status.ToString()));
    return Status();
  });
}

void Graveyard::Run() {
  (void)pthread_setname_np(pthread_self(), "tuff-worker");
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return work_ || stop_; });
    if (stop_) break;
    work_ = false;
    busy_ = true;
    lock.unlock();
    Status s = NoThrow([&] { return DismantleAll(); });
    if (!s.ok() && s.code() != Code::kBusy) Tell(LogLevel::kError, s);
    lock.lock();
    busy_ = false;
    last_ = std::move(s);
    changed_.notify_all();
  }
  work_ = false;
  changed_.notify_all();
}

Result<bool> Graveyard::NextEntry(const std::string& after, std::string* key,
                                  GraveyardEntry* entry) {
  auto tree = OpenTree();
  if (tree.status().IsNotFound()) return false;
  if (!tree.ok()) return tree.TakeStatus();
  Cursor cursor(**tree, {});
  for (cursor.Seek(after + '\0'); cursor.Valid(); cursor.Next()) {
    uint32_t id = 0;
    if (!ParseGraveyardRecord(cursor.key(), cursor.value(), &id, entry)) {
      return Status(Code::kCorruption, fmt::format("{}: a graveyard record is malformed; what it "
                                                   "names stays in use",
                                                   map_.path()));
    }
    std::lock_guard lock(mutex_);
    if (buildings_.contains(id)) continue;
    *key = cursor.key();
    return true;
  }
  if (!cursor.status().ok()) return cursor.status();
  return false;
}

Status Graveyard::DismantleAll() {
  Status first_error;
  std::string key;
  for (;;) {
    GraveyardEntry entry;
    auto more = NextEntry(key, &key, &entry);
    if (!more.ok()) return more.TakeStatus();
    if (!*more) break;
    Status s = DismantleEntry(key, entry);
    if (s.code() == Code::kBusy || s.code() == Code::kReadOnly) return s;
    if (!s.ok() && first_error.ok()) first_error = std::move(s);  // damage: others may be whole
  }
  if (!first_error.ok()) return first_error;
  std::lock_guard lock(mutex_);
  if (work_ || burying_ > 0 || !buildings_.empty()) return Status();
  return map_.SetGraveyardInUse(false);
}

Status Graveyard::DismantleEntry(std::string_view key, const GraveyardEntry& entry) {
  uint32_t id = 0;
  std::memcpy(&id, key.data(), sizeof id);
  id = __builtin_bswap32(id);
  if (Status s = map_.domain().CheckWritable(); !s.ok()) return s;
  auto anchor = catalogue_.ReadAnchor(entry.anchor_pfn, id, static_cast<ObjectKind>(entry.kind));
  if (!anchor.ok()) return anchor.TakeStatus();
  Tree tree(map_, entry.tree_object_id, entry.anchor_pfn);
  {
    LaneHold lane(map_.lanes());
    if (Status s = Dismantler(*this, tree, lane.Take()).Dismantle(); !s.ok()) return s;
  }
  const LaneRun run{entry.anchor_pfn, PackOwner(entry.anchor_pfn, FrameKind::kMetadata, 0, id)};
  std::lock_guard step(step_mutex_);
  return tree_->DeleteWithRun(key, run);
}

}  // namespace tuff
