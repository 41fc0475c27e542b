// Pool::Scrub: the order in which objects are looked at, how fast, and what is told of it.
//
// First the superblocks and the catalogue, then the objects that it names, by id, then what hangs
// in the graveyard; then the frame table, and the lanes. An object's anchor stays its own while it
// cannot be dropped: with the mutex of the open stores held, or as a writer of its tree
// (TreeScrub); in the graveyard, with the worker's.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "engine/cursor.h"
#include "engine/frame_scrub.h"
#include "engine/pool_impl.h"
#include "engine/scrub_position.h"
#include "engine/tree_scrub.h"
#include "tuff/pool.h"

namespace tuff {
namespace {

using Clock = std::chrono::steady_clock;
using Phase = ScrubPosition::Phase;

constexpr auto kPaceMin = std::chrono::microseconds(500);
constexpr auto kNapMax = std::chrono::milliseconds(100);

class Scrubber {
 public:
  Scrubber(Pool::Impl& pool, const ScrubOptions& options)
      : pool_(pool), map_(*pool.map), options_(options) {}

  Status Run();
  ScrubResult TakeResult() { return std::move(result_); }

 private:
  Status Begin();
  Status End();
  Status ScrubObjects();
  Status ScrubFrames();
  void Take(FrameScrub::Findings* findings, const FrameScrub& scrub);
  Status ScrubObject(const ObjectInfo& listed);
  Status ScrubBuried(const ObjectInfo& graveyard);
  Status ScrubEntry(Tree* graveyard, uint32_t id);
  Status ScrubTree(Tree& tree, ObjectKind kind);
  bool IsGone(const Tree& tree);
  void CheckAnchor(Pfn pfn, uint32_t id, ObjectKind kind, bool* whole);
  void CheckSuperblocks();
  void Take(TreeScrub::Findings* findings);
  void Distrust(uint32_t id);
  void Tell(Problem problem);
  void Tell(ProblemCode code, Pfn pfn, uint32_t object_id, std::string text);
  void Pace();
  void Ask();
  PoolFrames frames() const { return {map_.base(), map_.frames(), map_.hash_seed()}; }

  Pool::Impl& pool_;
  PageMap& map_;
  const ScrubOptions& options_;
  const Clock::time_point start_ = Clock::now();
  uint64_t pool_number_ = 0;
  ScrubPosition at_;
  ScrubResult result_;
  uint64_t number_max_ = 0;
  uint32_t object_id_ = 0;  // for progress, and for problems
  std::string store_;
  bool names_others_ = false;  // it is the catalogue, or the graveyard
  bool stopped_ = false;
  bool flag_told_ = false;
};

// Something may be in the tree of this object that nobody comes to.
void Scrubber::Distrust(uint32_t id) {
  at_.sound = false;
  at_.damaged.insert(id);
}

void Scrubber::Tell(Problem found) {
  at_.sound = false;
  if (found.code >= ProblemCode::kAnchorDamaged && found.code <= ProblemCode::kGraveyardRecord) {
    Distrust(names_others_ ? ScrubPosition::kAnyObject : found.object_id);
  }
  if (result_.problems.size() >= kScrubProblemsMax) {
    result_.problems_left_out++;
    return;
  }
  ScrubProblem problem;
  problem.code = static_cast<uint16_t>(found.code);
  problem.name = KindOf(found.code).name;
  problem.pfn = found.pfn;
  problem.object_id = found.object_id;
  if (found.object_id != 0 && found.object_id == object_id_) problem.store = store_;
  problem.text = std::move(found.text);
  result_.problems.push_back(std::move(problem));
}

void Scrubber::Tell(ProblemCode code, Pfn pfn, uint32_t object_id, std::string text) {
  Problem problem{};
  problem.code = code;
  problem.pfn = pfn;
  problem.object_id = object_id;
  problem.text = std::move(text);
  Tell(std::move(problem));
}

void Scrubber::Take(TreeScrub::Findings* findings) {
  for (Problem& problem : findings->problems) Tell(std::move(problem));
  result_.nodes += findings->nodes;
  result_.records += findings->records;
  result_.bytes += findings->bytes;
  number_max_ = std::max(number_max_, findings->number_max);
}

void Scrubber::Take(FrameScrub::Findings* findings, const FrameScrub& scrub) {
  for (Problem& problem : findings->problems) {
    object_id_ = problem.object_id;
    store_ = scrub.NameOf(object_id_);
    Tell(std::move(problem));
  }
  object_id_ = 0;
  store_.clear();
  result_.bytes += findings->bytes;
  if (!at_.damaged.empty()) at_.sound = false;
}

void Scrubber::Ask() {
  if (!options_.progress || stopped_) return;
  ScrubProgress progress;
  progress.nodes = result_.nodes;
  progress.records = result_.records;
  progress.bytes = result_.bytes;
  progress.problems = result_.problems.size() + result_.problems_left_out;
  progress.object_id = object_id_;
  progress.store = store_;
  stopped_ = !options_.progress(progress);
}

// Asks whether to go on, and sleeps if it has been too fast so far.
void Scrubber::Pace() {
  Ask();
  if (options_.bytes_per_second == 0) return;
  const std::chrono::duration<double> wanted(static_cast<double>(result_.bytes) /
                                             static_cast<double>(options_.bytes_per_second));
  while (!stopped_) {
    const std::chrono::duration<double> ahead = wanted - (Clock::now() - start_);
    if (ahead < kPaceMin) return;
    std::this_thread::sleep_for(std::min<std::chrono::duration<double>>(ahead, kNapMax));
    if (ahead > kNapMax) Ask();
  }
}

// REQUIRES: the object cannot go.
void Scrubber::CheckAnchor(Pfn pfn, uint32_t id, ObjectKind kind, bool* whole) {
  *whole = AnchorIsWhole(frames(), pfn, id, kind);
  if (!*whole) {
    return Tell(ProblemCode::kAnchorDamaged, pfn, id,
                fmt::format("pfn {}: the anchor of object {} is damaged", pfn, id));
  }
  if (pfn == kCatalogueAnchorPfn || !at_.key.empty()) return;  // not, or told before
  const uint64_t wanted = PackOwner(pfn, FrameKind::kMetadata, 0, id);
  const uint64_t found = map_.memmap().OwnerWordAt(pfn);
  if (found == wanted) return;
  const bool damaged = found != 0 && !OwnerIsValid(pfn, found);
  Tell(damaged ? ProblemCode::kOwnerDamaged : ProblemCode::kOwnerWrong, pfn, id,
       fmt::format("pfn {}: owner word {:#x}, expected {:#x}", pfn, found, wanted));
}

void Scrubber::CheckSuperblocks() {
  for (const Pfn pfn : {kSuperblockPfn, kMirrorPfn}) {
    const Status s = map_.ExamineCopy(pfn == kSuperblockPfn ? 0 : 1);
    if (s.ok()) continue;
    Tell(ProblemCode::kSuperblockCopy, pfn, 0,
         fmt::format("superblock copy {}: {}", pfn, s.message()));
  }
}

// Whoever drops a store may find that he cannot, and open its gate again.
bool Scrubber::IsGone(const Tree& tree) {
  std::lock_guard lock(pool_.mutex);
  return tree.gate() == Tree::Gate::kDropped;
}

// From where at_ is to the end of the object's tree, or until it is told to stop.
Status Scrubber::ScrubTree(Tree& tree, ObjectKind kind) {
  TreeScrub scrub(tree, kind, TreeScrub::State::kInUse);
  while (!stopped_) {
    TreeScrub::Findings findings;
    if (Status s = scrub.Look(at_.key, &findings); !s.ok()) return s;
    if (findings.gone && !IsGone(tree)) continue;
    Take(&findings);
    const bool more = findings.next.has_value();
    if (more) at_.key = std::move(*findings.next);
    if (!more) at_.Pass(at_.object_id);
    Pace();
    if (!more) return Status();
  }
  return Status();
}

Status Scrubber::ScrubObject(const ObjectInfo& listed) {
  if (at_.object_id != listed.id) at_.Pass(listed.id - 1ull);
  object_id_ = listed.id;
  names_others_ = listed.kind != ObjectKind::kStore;
  store_.clear();
  ObjectInfo info = listed;
  Tree* tree = nullptr;
  std::unique_ptr<Tree> own;
  {
    std::lock_guard lock(pool_.mutex);  // it is not dropped now
    std::string record;
    Status s = pool_.catalogue.tree().Get(CatalogueKey(info.id), &record);
    if (!s.ok() || !ParseCatalogueRecord(CatalogueKey(listed.id), record, &info)) {
      at_.Pass(listed.id);
      if (s.IsNotFound()) return Status();  // gone
      Distrust(ScrubPosition::kAnyObject);  // where the catalogue is damaged has been told
      return s.code() == Code::kCorruption ? Status() : s;
    }
    if (info.kind == ObjectKind::kStore) store_ = info.name;
    bool whole = false;
    CheckAnchor(info.anchor, info.id, info.kind, &whole);
    if (!whole) {
      at_.Pass(listed.id);
      return Status();
    }
    if (info.kind == ObjectKind::kStore) {
      auto store = pool_.Use(info);
      if (!store.ok()) {
        at_.Pass(listed.id);
        Distrust(listed.id);  // its anchor's owner word has been told
        return store.status().code() == Code::kCorruption ? Status() : store.TakeStatus();
      }
      tree = &StoreAccess::Of(**store).tree;
    }
  }
  if (tree == nullptr) {
    own = std::make_unique<Tree>(map_, info.id, info.anchor);
    tree = own.get();
  }
  return ScrubTree(*tree, info.kind);
}

// An object of the graveyard; between two looks its worker may do a step, and free all of it.
Status Scrubber::ScrubEntry(Tree* graveyard, uint32_t id) {
  if (at_.object_id != id) at_.Pass(id - 1ull);
  object_id_ = id;
  names_others_ = false;
  store_.clear();
  std::unique_ptr<Tree> tree;
  std::optional<TreeScrub> scrub;
  while (!stopped_) {
    TreeScrub::Findings findings;
    {
      std::lock_guard step(pool_.graveyard.step_mutex());
      std::string record;
      GraveyardEntry entry;
      uint32_t parsed = 0;
      Status s = graveyard->Get(CatalogueKey(id), &record);
      if (s.code() == Code::kCorruption) Distrust(ScrubPosition::kAnyObject);  // has been told
      if (s.IsNotFound() || s.code() == Code::kCorruption) break;
      if (!s.ok()) return s;
      if (!ParseGraveyardRecord(CatalogueKey(id), record, &parsed, &entry)) break;
      if (!map_.graveyard_in_use() && !flag_told_) {
        flag_told_ = true;
        Tell(ProblemCode::kGraveyardFlag, kSuperblockPfn, 0,
             "the graveyard is in use, and the superblock says it is not");
      }
      const auto kind = static_cast<ObjectKind>(entry.kind);
      if (tree == nullptr) {
        bool whole = false;
        CheckAnchor(entry.anchor_pfn, id, kind, &whole);
        if (!whole) Distrust(entry.tree_object_id);
        if (!whole) break;
        tree = std::make_unique<Tree>(map_, entry.tree_object_id, entry.anchor_pfn);
        scrub.emplace(
            *tree, kind,
            kind == ObjectKind::kStore ? TreeScrub::State::kBuried : TreeScrub::State::kBuilding);
      }
      if (s = scrub->Look(at_.key, &findings); !s.ok()) return s;
      Take(&findings);
    }
    if (findings.next) {
      at_.key = std::move(*findings.next);
      Pace();
      continue;
    }
    at_.Pass(id);
    Pace();
    return Status();
  }
  if (!stopped_) at_.Pass(id);
  return Status();
}

Status Scrubber::ScrubBuried(const ObjectInfo& graveyard) {
  Tree tree(map_, graveyard.id, graveyard.anchor);
  while (!stopped_ && at_.object_id <= UINT32_MAX) {
    uint32_t id = 0;
    bool found = false;
    {
      Cursor cursor(tree, {});
      cursor.Seek(CatalogueKey(static_cast<uint32_t>(at_.object_id)));
      for (; cursor.Valid() && !found; cursor.Next()) {
        GraveyardEntry entry;
        found = ParseGraveyardRecord(cursor.key(), cursor.value(), &id, &entry);
      }
      const Status& s = cursor.status();
      if (!s.ok() && s.code() != Code::kCorruption) return s;
      if (!s.ok()) Distrust(ScrubPosition::kAnyObject);  // where it is damaged has been told
    }
    if (!found) return Status();
    if (Status s = ScrubEntry(&tree, id); !s.ok()) return s;
  }
  return Status();
}

// All that the catalogue names now; what is made later has no past.
Status Scrubber::ScrubObjects() {
  auto list = pool_.catalogue.List();
  if (!list.ok()) {
    Distrust(ScrubPosition::kAnyObject);  // where the catalogue is damaged has been told
    at_.Enter(Phase::kFrames);
    return list.status().code() == Code::kCorruption ? Status() : list.TakeStatus();
  }
  std::vector<ObjectInfo> objects;
  for (const auto& [name, info] : *list) objects.push_back(info);
  std::sort(objects.begin(), objects.end(),
            [](const ObjectInfo& a, const ObjectInfo& b) { return a.id < b.id; });
  if (at_.phase == Phase::kObjects) {
    for (const ObjectInfo& info : objects) {
      if (info.id < at_.object_id) continue;
      if (Status s = ScrubObject(info); !s.ok()) return s;
      if (stopped_) return Status();
    }
    at_.Enter(Phase::kBuried);
  }
  for (const ObjectInfo& info : objects) {
    if (info.kind != ObjectKind::kGraveyard) continue;
    if (Status s = ScrubBuried(info); !s.ok()) return s;
    if (stopped_) return Status();
  }
  at_.Enter(Phase::kFrames);
  return Status();
}

Status Scrubber::ScrubFrames() {
  FrameScrub scrub(pool_, &at_.damaged);
  object_id_ = 0;
  store_.clear();
  FrameScrub::Findings findings;
  while (!stopped_ && at_.phase == Phase::kFrames) {
    if (Status s = scrub.Look(at_.pfn, &findings); !s.ok()) return s;
    Take(&findings, scrub);
    if (findings.next) {
      at_.pfn = *findings.next;
    } else {
      at_.Enter(Phase::kLanes);
    }
    Pace();
  }
  if (stopped_) return Status();
  if (Status s = scrub.LookAtLanes(&findings); !s.ok()) return s;
  Take(&findings, scrub);
  at_.Enter(Phase::kEnd);
  return Status();
}

Status Scrubber::Begin() {
  const Superblock superblock = map_.superblock();
  pool_number_ = Hash64(superblock.uuid, sizeof superblock.uuid);
  const uint64_t mount = MountGeneration(superblock);
  at_.mount = mount;
  if (options_.resume_from.empty()) return Status();
  if (!ParsePosition(options_.resume_from, pool_number_, &at_)) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{}: not the resume token of a scrub of this pool", map_.path()));
  }
  // What an earlier mount has seen says nothing about crashes since.
  if (at_.mount != mount) at_.sound = false;
  return Status();
}

Status Scrubber::End() {
  if (number_max_ >= map_.superblock().number_limit) {
    Tell(ProblemCode::kNumbersBehind, kSuperblockPfn, 0,
         fmt::format("number {} is in use, the superblock reserves those below {}", number_max_,
                     map_.superblock().number_limit));
  }
  result_.finished = !stopped_;
  if (stopped_) {
    result_.resume_token = FormatPosition(at_, pool_number_);
    return Status();
  }
  // Every log of the pool has been seen to end in zeros, in this mount, and stays so without a
  // crash.
  if (!at_.sound || map_.read_only() || !map_.crashed_since_scrub()) return Status();
  return map_.ForgetCrash();
}

Status Scrubber::Run() {
  map_.domain().AdmitThread();
  if (Status s = Begin(); !s.ok()) return s;
  if (map_.domain().failed()) return map_.domain().CheckWritable();
  if (at_.phase == Phase::kCatalogue) {
    object_id_ = kCatalogueObjectId;
    names_others_ = true;
    if (at_.key.empty()) CheckSuperblocks();
    bool whole = true;
    CheckAnchor(kCatalogueAnchorPfn, kCatalogueObjectId, ObjectKind::kCatalogue, &whole);
    if (whole) {
      Status s = ScrubTree(pool_.catalogue.tree(), ObjectKind::kCatalogue);
      if (!s.ok()) return s;
    }
    // The catalogue passed, ScrubTree has said so by the id.
    if (!stopped_ || at_.object_id != 0) at_.Enter(Phase::kObjects);
  }
  if (!stopped_ && at_.phase < Phase::kFrames) {
    if (Status s = ScrubObjects(); !s.ok()) return s;
  }
  if (!stopped_ && at_.phase < Phase::kEnd) {
    if (Status s = ScrubFrames(); !s.ok()) return s;
  }
  return End();
}

}  // namespace

Result<ScrubResult> Pool::Scrub(const ScrubOptions& options) {
  if (impl_->scrubbing.exchange(true)) {
    return Status(Code::kBusy, fmt::format("{}: another scrub is under way", impl_->map->path()));
  }
  ScrubResult result;
  const Status s = NoThrow([&] {
    Scrubber scrubber(*impl_, options);
    Status done = scrubber.Run();
    result = scrubber.TakeResult();
    return done;
  });
  impl_->scrubbing = false;
  if (!s.ok()) return s;
  return result;
}

}  // namespace tuff
