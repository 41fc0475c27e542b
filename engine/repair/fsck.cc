#include "engine/repair/fsck.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "engine/catalogue.h"
#include "engine/repair/pool_walk.h"
#include "engine/repair/tree_mender.h"
#include "pagemap/lanes.h"
#include "pagemap/superblock.h"

namespace tuff {
namespace {

// A mended tree may show what was hidden behind the damage; each round gets a level further.
constexpr int kRoundsMax = 20;
// No superblock may reserve numbers from here on.
constexpr uint64_t kNumbersEnd = 1ull << 56;

// What refers to a truncated pool's lost end is right once that is back: only who wants all
// repaired gives it up.
FsckMode ModeFor(const PoolImage& image, FsckMode wanted) {
  if (!image.truncated() || (wanted == FsckMode::kRepair && image.padded())) {
    return wanted;
  }
  return FsckMode::kCheck;
}

class Fsck {
 public:
  Fsck(PoolImage& image, const FsckOptions& options)
      : image_(image),
        options_(options),
        mode_(ModeFor(image, options.mode)),
        superblock_(image.superblock()) {
    report_.mode = mode_;
  }

  Result<FsckReport> Run();

 private:
  bool Repairs(ProblemCode code) const {
    if (mode_ == FsckMode::kCheck) return false;
    return mode_ == FsckMode::kRepair || KindOf(code).severity == Severity::kCosmetic;
  }
  void Tell(Problem problem);
  bool Tell(ProblemCode code, Pfn pfn, std::string text);
  void CheckSuperblocks();
  void NoteRuns(const LaneReading& live);
  void CheckLanes();
  void CheckTrees();
  void NoteNames(const PoolWalkResult& walk);
  void MendTrees(const PoolWalkResult& walk);
  void ForgetDropped(const PoolWalkResult& walk);
  bool AdoptOrphans(const PoolWalkResult& walk);
  void CheckFrames(const PoolWalkResult& walk);
  void CheckTables();
  void CheckOwnerWord(const PoolWalkResult& walk, Pfn pfn, uint64_t word);
  void CheckNumbers(const PoolWalkResult& walk);
  // Above all that are in use.
  uint64_t NextNumber(const PoolWalkResult& walk) const {
    return std::max(superblock_.number_limit, std::min(walk.number_max, kNumbersEnd) + 1);
  }
  void WriteSuperblocks();
  void StoreWord(uint64_t place, uint64_t word) {
    WriteWindow window(image_.domain());
    window.Store64(place, word);
  }

  PoolImage& image_;
  const FsckOptions& options_;
  const FsckMode mode_;
  Superblock superblock_;
  FsckReport report_;
  // Were the repair interrupted, the next open might set their owner words once more.
  std::set<Pfn> named_by_lanes_;
  bool catalogue_was_damaged_ = false;
  bool superblocks_change_ = false;
};

// A message's reason: without the path, which all lines are about, and the advice.
std::string ReasonOf(const Status& status, const std::string& path) {
  std::string_view text = status.message();
  if (text.starts_with(path + ": ")) text.remove_prefix(path.size() + 2);
  return std::string(text.substr(0, text.rfind(';')));
}

void Fsck::Tell(Problem problem) {
  problem.repaired = Repairs(problem.code);
  if (!problem.repaired) report_.unrepaired++;
  if (report_.problems.size() < kProblemsMax) {
    report_.problems.push_back(std::move(problem));
  } else {
    report_.problems_left_out++;
  }
}

// True if it is to be repaired.
bool Fsck::Tell(ProblemCode code, Pfn pfn, std::string text) {
  Problem problem{};
  problem.code = code;
  problem.pfn = pfn;
  problem.text = std::move(text);
  Tell(std::move(problem));
  return Repairs(code);
}

void Fsck::CheckSuperblocks() {
  if (image_.guessed()) {
    superblocks_change_ |= Tell(ProblemCode::kSuperblocksLost, kSuperblockPfn,
                                fmt::format("both superblocks are damaged: {}; {}",
                                            ReasonOf(image_.copy_status(0), image_.path()),
                                            ReasonOf(image_.copy_status(1), image_.path())));
    std::memcpy(superblock_.magic, kSuperblockMagic, sizeof superblock_.magic);
    superblock_.format_version = kFormatVersion;
    superblock_.feature_incompat = kIncompatBatches;
    const uint64_t uuid[2] = {Random64(), Random64()};
    std::memcpy(superblock_.uuid, uuid, sizeof superblock_.uuid);
    superblock_.created_ns = NowNs();
    superblock_.number_limit = 1;
    superblock_.next_object_id = kFirstObjectId;
    return;
  }
  for (int copy = 0; copy < 2; copy++) {
    const Status& s = image_.copy_status(copy);
    if (s.ok()) continue;
    // Right but for the file, which has lost its end.
    if (ExamineSuperblock(image_.Copy(copy), UINT64_MAX, image_.path()).ok()) continue;
    superblocks_change_ |=
        Tell(ProblemCode::kSuperblockCopy, static_cast<Pfn>(copy),
             fmt::format("superblock copy {}: {}", copy, ReasonOf(s, image_.path())));
  }
  if (image_.truncated()) {
    superblocks_change_ |= Tell(ProblemCode::kTruncated, image_.frames(),
                                fmt::format("the superblock says {} bytes, the file has {}",
                                            OffsetOf(superblock_.frames), image_.file_bytes()));
  }
}

void Fsck::NoteRuns(const LaneReading& live) {
  for (const auto* runs : {&live.new_runs, &live.old_runs}) {
    for (const LaneRun& run : *runs) {
      for (Pfn i = 0; i < 1ull << UnpackOwner(run.owner).order; i++) {
        named_by_lanes_.insert(run.pfn + i);
      }
    }
  }
}

void Fsck::CheckLanes() {
  const bool clean = (superblock_.state & kStateClean) != 0;
  report_.recovered = !clean && !image_.guessed();
  for (unsigned lane = 0; lane < kLanes; lane++) {
    const uint64_t place = OffsetOf(kLanesPfn + lane);
    if (Load64(image_.base() + place) == 0) continue;
    bool repair = false;
    if (clean) {
      repair = Tell(ProblemCode::kLaneNotEmpty, kLanesPfn + lane,
                    fmt::format("I5: lane {} of a cleanly closed pool is not empty", lane));
    } else {
      const LaneReading reading =
          Lanes::Read(image_.base(), lane, image_.hash_seed(), image_.frames(), RecordIsThere);
      if (reading.verdict == LaneReading::Verdict::kLive) NoteRuns(reading);
      const Status s = Lanes::RecoverOne(image_.domain(), lane, image_.hash_seed(), image_.frames(),
                                         RecordIsThere);
      if (s.ok()) continue;
      repair = Tell(ProblemCode::kLaneDamaged, kLanesPfn + lane, ReasonOf(s, image_.path()));
    }
    if (repair) StoreWord(place, 0);
  }
}

void Fsck::CheckTrees() {
  const ProblemSink sink = [this](Problem problem) { Tell(std::move(problem)); };
  for (int round = 0;; round++) {
    report_.stores = report_.nodes = report_.records = report_.frames_in_use = 0;
    const PoolWalkResult walk = WalkPool(image_, superblock_, options_, &report_, sink);
    report_.cancelled = walk.cancelled;
    if (walk.cancelled) return;
    NoteNames(walk);
    const auto damaged = walk.tree_is_damaged.find(kCatalogueObjectId);
    catalogue_was_damaged_ |= damaged != walk.tree_is_damaged.end();
    const bool broken = !walk.broken.empty() || !walk.broken_anchors.empty();
    if (mode_ == FsckMode::kRepair && round < kRoundsMax) {
      if (broken) {
        MendTrees(walk);
        continue;
      }
      if (!walk.dropped.empty()) {
        ForgetDropped(walk);
        continue;
      }
      if (catalogue_was_damaged_ && AdoptOrphans(walk)) continue;
    }
    // What could be repaired, and was not: the rounds are used up.
    if (mode_ == FsckMode::kRepair && broken) report_.unrepaired++;
    CheckNumbers(walk);
    CheckFrames(walk);
    return;
  }
}

// What a round has found stays: the next one may not find it any more.
void Fsck::NoteNames(const PoolWalkResult& walk) {
  for (const auto& [id, object] : walk.objects) {
    const bool in_grave = object.buried || object.kind == ObjectKind::kGraveyard;
    const std::string name = in_grave                                ? "/graveyard"
                             : object.kind == ObjectKind::kCatalogue ? "/catalogue"
                                                                     : object.name;
    report_.names[id] = name;
    if (object.id != id) report_.names.emplace(object.id, name);
  }
}

void Fsck::MendTrees(const PoolWalkResult& walk) {
  TreeMender mender(image_, walk, named_by_lanes_, NextNumber(walk));
  for (const WalkedObject& object : walk.broken_anchors) {
    if (!mender.MendAnchor(object)) report_.unrepaired++;
  }
  for (const NodeSite& site : walk.broken) {
    if (!mender.Mend(site)) report_.unrepaired++;
  }
  for (const auto& [pfn, owner] : walk.owners) StoreWord(OwnerWordOffset(pfn), owner);
  superblock_.number_limit = mender.next_number();
  superblocks_change_ = true;
}

void Fsck::ForgetDropped(const PoolWalkResult& walk) {
  TreeMender mender(image_, walk, named_by_lanes_, NextNumber(walk));
  for (const uint32_t id : walk.dropped) {
    const WalkedObject& catalogue = walk.objects.at(kCatalogueObjectId);
    if (!mender.Change(catalogue, RecordType::kDelete, CatalogueKey(id), "")) report_.unrepaired++;
  }
  superblock_.number_limit = mender.next_number();
  superblocks_change_ = true;
}

// False: there are none.
bool Fsck::AdoptOrphans(const PoolWalkResult& walk) {
  TreeMender mender(image_, walk, named_by_lanes_, NextNumber(walk));
  const std::vector<WalkedObject> stores = mender.FindOrphanStores();
  const WalkedObject& catalogue = walk.objects.at(kCatalogueObjectId);
  bool adopted = false;
  for (const WalkedObject& store : stores) {
    Problem problem{};
    problem.code = ProblemCode::kOrphan;
    problem.pfn = store.anchor;
    problem.object_id = store.id;
    problem.text = fmt::format("pfn {}: store {} has lost its name; it is {} now", store.anchor,
                               store.id, store.name);
    Tell(std::move(problem));
    CatalogueEntry entry{store.anchor, static_cast<uint32_t>(ObjectKind::kStore), 0};
    std::string value(reinterpret_cast<const char*>(&entry), sizeof entry);
    if (mender.Change(catalogue, RecordType::kPut, CatalogueKey(store.id),
                      value.append(store.name))) {
      adopted = true;
    } else {
      report_.unrepaired++;
    }
  }
  superblock_.number_limit = mender.next_number();
  superblocks_change_ |= adopted;
  return adopted;
}

void Fsck::CheckNumbers(const PoolWalkResult& walk) {
  if (walk.number_max >= superblock_.number_limit && !image_.guessed()) {
    superblocks_change_ |=
        Tell(ProblemCode::kNumbersBehind, kSuperblockPfn,
             fmt::format("number {} is in use, the superblock reserves those below {}",
                         walk.number_max, superblock_.number_limit));
  }
  superblock_.number_limit = NextNumber(walk);
  superblock_.next_object_id = std::max(superblock_.next_object_id, walk.object_id_max + 1);
  if (walk.graveyard_in_use && (superblock_.state & kStateGraveyard) == 0) {
    if (!image_.guessed()) {
      superblocks_change_ |= Tell(ProblemCode::kGraveyardFlag, kSuperblockPfn,
                                  "the graveyard is in use, and the superblock says it is not");
    }
    superblock_.state |= kStateGraveyard;
  }
}

void Fsck::CheckFrames(const PoolWalkResult& walk) {
  if (mode_ != FsckMode::kCheck) {
    for (const auto& [pfn, owner] : walk.owners) StoreWord(OwnerWordOffset(pfn), owner);
    // As a leaf's first writer does. Later the same bytes would be damage: see WriteSuperblocks.
    WriteWindow window(image_.domain());
    for (const auto& [place, bytes] : walk.torn) window.Zero(place, bytes);
  }
  for (uint64_t section = 0; section < SectionsOf(image_.frames()); section++) {
    image_.ForEachOwnerWord(section,
                            [&](Pfn pfn, uint64_t word) { CheckOwnerWord(walk, pfn, word); });
  }
}

void Fsck::CheckOwnerWord(const PoolWalkResult& walk, Pfn pfn, uint64_t word) {
  const auto clear_if = [&](bool repair) {
    if (repair) StoreWord(OwnerWordOffset(pfn), 0);
  };
  if (IsReserved(pfn)) {
    return clear_if(Tell(ProblemCode::kOwnerOfTable, pfn,
                         fmt::format("pfn {}: reserved frame has an owner", pfn)));
  }
  if (walk.heads[pfn]) return;  // seen to where it was reached
  if (walk.reached[pfn]) {
    return clear_if(Tell(ProblemCode::kOwnerInside, pfn,
                         fmt::format("I4: pfn {}: owner word inside a run", pfn)));
  }
  const OwnerWord owner = UnpackOwner(word);
  const bool valid = OwnerIsValid(pfn, word);
  if (valid && owner.kind == static_cast<uint8_t>(FrameKind::kQuarantined)) return;
  // Of a damaged tree nobody knows what it refers to.
  const auto may_be_in_use = [&](const auto& entry) {
    return entry.second &&
           (!valid || entry.first == owner.object_id || entry.first == kCatalogueObjectId);
  };
  if (std::any_of(walk.tree_is_damaged.begin(), walk.tree_is_damaged.end(), may_be_in_use)) return;
  if (valid) {
    clear_if(Tell(ProblemCode::kLeaked, pfn,
                  fmt::format("I4: pfn {}: leaked: {} frames of object {}, kind {}", pfn,
                              1ull << owner.order, owner.object_id, owner.kind)));
  } else {
    clear_if(Tell(ProblemCode::kOwnerDamaged, pfn,
                  fmt::format("pfn {}: damaged owner word {:#x} of a free frame", pfn, word)));
  }
}

// What owner words alone tell.
void Fsck::CheckTables() {
  for (uint64_t section = 0; section < SectionsOf(image_.frames()); section++) {
    Pfn end = 0;  // of the last run
    image_.ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) {
      if (IsReserved(pfn)) {
        Tell(ProblemCode::kOwnerOfTable, pfn,
             fmt::format("pfn {}: reserved frame has an owner", pfn));
      } else if (pfn < end) {
        Tell(ProblemCode::kOwnerInside, pfn,
             fmt::format("I4: pfn {}: owner word inside a run", pfn));
      } else if (!OwnerIsValid(pfn, word) || !image_.Holds(pfn, UnpackOwner(word).order)) {
        Tell(ProblemCode::kOwnerDamaged, pfn,
             fmt::format("pfn {}: damaged owner word {:#x}", pfn, word));
      } else {
        end = pfn + (1ull << UnpackOwner(word).order);
        report_.frames_in_use += end - pfn;
      }
    });
  }
}

// As closing does; a pool in which nothing is left to repair has had its scrub.
void Fsck::WriteSuperblocks() {
  Superblock next = superblock_;
  next.state |= kStateClean;
  next.writer_pid = 0;
  if (report_.unrepaired == 0) {
    next.state &= ~kStateCrashedSinceScrub;
  } else if (report_.recovered) {  // what is out of reach may have torn records, too
    next.state |= kStateCrashedSinceScrub;
  }
  const bool repaired = std::any_of(report_.problems.begin(), report_.problems.end(),
                                    [](const Problem& problem) { return problem.repaired; });
  if (!repaired && !superblocks_change_ && next.state == image_.superblock().state) return;
  next.sequence++;
  next.checksum = SuperblockChecksum(next);
  WriteWindow window(image_.domain());
  window.Store(OffsetOf(kSuperblockPfn), &next, sizeof next);
  window.Store(OffsetOf(kMirrorPfn), &next, sizeof next);
}

Result<FsckReport> Fsck::Run() {
  if (Status s = TestChecksums(); !s.ok()) return s;
  image_.domain().BeginOverlay();
  CheckSuperblocks();
  CheckLanes();
  options_.quick ? CheckTables() : CheckTrees();
  if (!report_.cancelled && mode_ != FsckMode::kCheck) {
    if (superblock_.number_limit >= kNumbersEnd) {
      return Status(Code::kNoSpace,
                    fmt::format("{}: it cannot be repaired, for the numbers of its nodes and "
                                "records are used up; save what 'tuff dump' can read",
                                image_.path()));
    }
    WriteSuperblocks();
  }
  if (Status s = image_.domain().EndOverlay(); !s.ok()) return s;
  return std::move(report_);
}

}  // namespace

Status TestChecksums() {
  // XXH3-64 of nothing, from the xxHash specification.
  const bool empty = Hash64("", 0) == 0x2d06800538d394c2ull;
  const bool mixed = Unmix64(Mix64(0x74756666)) == 0x74756666 &&
                     SeedOfChecksum(Hash64("tuff", 4), Checksum64("tuff", 4, 7)) == 7;
  const bool owner = OwnerIsValid(192, PackOwner(192, FrameKind::kTreeNode, 0, 16));
  if (empty && mixed && owner) return Status();
  return Status(Code::kCorruption,
                "the checksum code computes wrong results on this machine; nothing was touched");
}

Result<FsckReport> RunFsck(PoolImage& image, const FsckOptions& options) {
  return Fsck(image, options).Run();
}

}  // namespace tuff
