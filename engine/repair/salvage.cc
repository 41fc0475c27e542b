#include "engine/repair/salvage.h"

#include <fmt/format.h>

#include <set>

#include "engine/catalogue.h"
#include "engine/graveyard.h"
#include "engine/no_throw.h"
#include "engine/repair/overlay.h"
#include "engine/repair/sources.h"
#include "engine/repair/survey.h"
#include "pagemap/page_map.h"
#include "tuff/pool.h"

namespace tuff {
namespace {

using Kind = SalvageFinding::Kind;

constexpr uint64_t kRecordsPerCall = 1024;  // of keep_on

class Salvage {
 public:
  Salvage(PoolImage& image, const SalvageOptions& options)
      : image_(image), options_(options), survey_(image) {}

  Status Run(Pool& pool) {
    Note(image_.guessed() ? "both superblocks are damaged; size and seed are guessed" : "");
    for (int copy = 0; copy < 2 && !image_.guessed(); copy++) {
      if (!image_.copy_status(copy).ok()) Note(fmt::format("superblock {} is damaged", copy));
    }
    if (image_.truncated()) Note("the file is truncated");
    std::vector<std::string> lanes;
    if (Status s = RecoverInOverlay(image_, &lanes); !s.ok()) return s;
    for (std::string& lane : lanes) Tell({Kind::kDoubtful, "", false, "", {}, 0, std::move(lane)});
    survey_.Scan();
    survey_.FollowTrees();
    ReadCatalogue();
    ReadGraveyard();
    survey_.FollowRest();
    leaves_ = survey_.LeavesByObject();
    for (const auto& [id, info] : objects_) leaves_[id];
    for (const auto& [id, leaves] : leaves_) {
      if (Status s = SaveObject(pool, id); !s.ok()) return s;
    }
    return Status();
  }

  SalvageReport TakeReport() { return std::move(report_); }

 private:
  void Note(std::string reason) {
    if (!reason.empty()) Tell({Kind::kNote, "", false, "", {}, 0, std::move(reason)});
  }
  void Tell(SalvageFinding finding) {
    SalvagedStore* const store = saving_;
    const bool lost = finding.kind == Kind::kLost;
    const bool doubtful = finding.kind == Kind::kDoubtful;
    report_.lost += lost ? 1 : 0;
    report_.doubtful += doubtful ? 1 : 0;
    if (store != nullptr) {
      finding.store = store->name;
      store->lost += lost ? 1 : 0;
      store->doubtful += doubtful ? 1 : 0;
    }
    report_.findings.push_back(std::move(finding));
  }
  void TellRange(Kind kind, std::string_view low, const std::optional<std::string_view>& high,
                 Pfn pfn, std::string reason) {
    SalvageFinding finding;
    finding.kind = kind;
    finding.reason = std::move(reason);
    finding.pfn = pfn;
    // Of the pool's own trees nobody knows what the keys mean.
    finding.has_range = saving_ != nullptr;
    if (finding.has_range) {
      finding.from = low;
      if (high) finding.to.emplace(*high);
    }
    Tell(std::move(finding));
  }

  void ReadCatalogue();
  void ReadGraveyard();
  bool ReadOwnTree(uint32_t id, const std::string& what, const Sources::Use& use);
  Status SaveObject(Pool& pool, uint32_t id);
  Status SaveStore(Pool& pool, uint32_t id, const Sources& sources);
  Result<Store*> NewStore(Pool& pool, uint32_t id);
  void TellLeaf(const Source& source, const Remains& remains, const std::string& what);
  void TellSources(uint32_t id, const Sources& sources, const std::string& what);
  void TellGaps(uint32_t id, const Sources& sources, const std::string& what);
  bool KeepOn() const { return !options_.keep_on || options_.keep_on(report_.records); }

  PoolImage& image_;
  const SalvageOptions& options_;
  const bool crashed_ = MayHaveCrashed(image_);
  Survey survey_;
  std::map<uint32_t, std::vector<const FoundNode*>> leaves_;
  std::map<uint32_t, ObjectInfo> objects_;  // that the catalogue knows
  std::set<uint32_t> dropped_;
  uint32_t graveyard_ = 0;
  bool catalogue_is_whole_ = false;
  SalvagedStore* saving_ = nullptr;
  SalvageReport report_;
};

// The catalogue or the graveyard. True if all of it is there, and nothing is in doubt.
bool Salvage::ReadOwnTree(uint32_t id, const std::string& what, const Sources::Use& use) {
  const uint64_t before = report_.lost + report_.doubtful;
  Sources sources(survey_, image_, crashed_);
  sources.Collect(survey_.LeavesOf(id));
  Status s = sources.Stream(
      use, [&](const Source& source, const Remains& remains) { TellLeaf(source, remains, what); });
  if (!s.ok()) Tell({Kind::kDoubtful, "", false, "", {}, 0, std::string(s.message())});
  TellSources(id, sources, what);
  TellGaps(id, sources, what);
  return report_.lost + report_.doubtful == before;
}

void Salvage::ReadCatalogue() {
  const auto use = [&](const Source& source, const RecordView& record) {
    ObjectInfo info;
    if (ParseCatalogueRecord(record.key, record.value, &info)) {
      objects_[info.id] = info;
      survey_.AddAnchor(info.anchor, info.id);
    } else {
      Tell({Kind::kDoubtful,
            "",
            false,
            "",
            {},
            source.node->pfn,
            "a record of the catalogue is malformed"});
    }
    return Status();
  };
  catalogue_is_whole_ = ReadOwnTree(kCatalogueObjectId, "the catalogue", use);
}

void Salvage::ReadGraveyard() {
  for (const auto& [id, info] : objects_) {
    if (info.kind == ObjectKind::kGraveyard) graveyard_ = id;
  }
  for (const FoundAnchor& found : survey_.anchors()) {
    const bool is_graveyard =
        found.whole && found.anchor.kind == static_cast<uint32_t>(ObjectKind::kGraveyard);
    if (is_graveyard && graveyard_ == 0) graveyard_ = found.anchor.object_id;
  }
  if (graveyard_ == 0) return;
  const auto use = [&](const Source& source, const RecordView& record) {
    uint32_t id = 0;
    GraveyardEntry entry;
    if (!ParseGraveyardRecord(record.key, record.value, &id, &entry)) {
      Tell({Kind::kDoubtful,
            "",
            false,
            "",
            {},
            source.node->pfn,
            "a record of the graveyard is malformed"});
    } else if (entry.kind == static_cast<uint32_t>(ObjectKind::kStore)) {
      dropped_.insert(id);
    } else {
      survey_.AddAnchor(entry.anchor_pfn, id);
    }
    return Status();
  };
  // With the catalogue whole nothing depends on it.
  (void)ReadOwnTree(graveyard_, "the graveyard", use);
  objects_.erase(graveyard_);
}

Status Salvage::SaveObject(Pool& pool, uint32_t id) {
  if (id == kCatalogueObjectId || id == graveyard_ || dropped_.contains(id)) return Status();
  Sources sources(survey_, image_, crashed_);
  sources.Collect(leaves_[id]);
  report_.leaves += sources.leaves();
  const auto known = objects_.find(id);
  if (known == objects_.end()) {
    if (sources.segments().empty()) return Status();
    if (catalogue_is_whole_) {
      Tell({Kind::kDoubtful,
            "",
            false,
            "",
            {},
            sources.segments()[0].source->node->pfn,
            fmt::format("{} leaves of object {}, which the catalogue does not know, are left out",
                        sources.leaves(), id)});
      return Status();
    }
  } else if (known->second.kind != ObjectKind::kStore) {
    Tell({Kind::kLost,
          "",
          false,
          "",
          {},
          known->second.anchor,
          fmt::format("object {} is of kind {}, which cannot be saved", id,
                      static_cast<uint32_t>(known->second.kind))});
    return Status();
  }
  return SaveStore(pool, id, sources);
}

// Under its name, or one that tells its number.
Result<Store*> Salvage::NewStore(Pool& pool, uint32_t id) {
  const auto known = objects_.find(id);
  if (known != objects_.end()) {
    auto store = pool.CreateStore(known->second.name);
    const Code code = store.status().code();
    if (code != Code::kExists && code != Code::kInvalidArgument) return store;
  }
  std::string name = fmt::format("lost+found-{}", id);
  for (;;) {
    auto store = pool.CreateStore(name);
    if (store.status().code() != Code::kExists) return store;
    name += '+';
  }
}

Status Salvage::SaveStore(Pool& pool, uint32_t id, const Sources& sources) {
  auto made = NewStore(pool, id);
  if (!made.ok()) return made.TakeStatus();
  SalvagedStore saved;
  saved.object_id = id;
  saved.name = (*made)->name();
  const auto known = objects_.find(id);
  saved.name_lost = known == objects_.end() || known->second.name != saved.name;
  saving_ = &saved;
  if (saved.name_lost) Tell({Kind::kLost, "", false, "", {}, 0, "its name is lost"});
  std::unique_ptr<BulkLoader> loader;
  const auto use = [&](const Source&, const RecordView& record) {
    if (loader == nullptr) {
      auto begun = (*made)->NewBulkLoader();
      if (!begun.ok()) return begun.TakeStatus();
      loader = std::move(*begun);
    }
    if (Status s = loader->Add(record.key, record.value); !s.ok()) return s;
    saved.records++;
    saved.bytes += record.key.size() + record.value.size();
    if (++report_.records % kRecordsPerCall == 0 && !KeepOn()) {
      return Status(Code::kBusy, "the salvage was ended");
    }
    return Status();
  };
  Status s = sources.Stream(
      use, [&](const Source& source, const Remains& remains) { TellLeaf(source, remains, ""); });
  if (s.ok() && loader != nullptr) s = loader->Finish();
  if (s.ok()) {
    TellSources(id, sources, "");
    TellGaps(id, sources, "");
    report_.stores.push_back(saved);
  }
  saving_ = nullptr;
  return s;
}

std::string Of(const std::string& what, Pfn pfn) {
  return what.empty() ? fmt::format("leaf {}", pfn) : fmt::format("leaf {} of {}", pfn, what);
}

// A leaf that has been read.
void Salvage::TellLeaf(const Source& source, const Remains& remains, const std::string& what) {
  const Pfn pfn = source.node->pfn;
  const auto tell = [&](Kind kind, const std::string& reason) {
    TellRange(kind, source.low, source.high, pfn, Of(what, pfn) + reason);
  };
  if (!source.node->whole) {
    const std::string saved =
        fmt::format(" is damaged; {} records in it are whole", remains.records.size());
    const bool all = remains.all_of_base || !source.claims;
    tell(all ? Kind::kDoubtful : Kind::kLost, saved);
  } else if (source.rank < 2) {
    tell(Kind::kDoubtful, " has no right owner word");
  }
  if (remains.log_is_damaged) {
    tell(Kind::kDoubtful, "'s log is damaged; later puts and deletes may be missing");
  }
}

// What was won, and by whom.
void Salvage::TellSources(uint32_t id, const Sources& sources, const std::string& what) {
  for (const Source* source : sources.partly()) {
    const Pfn pfn = source->node->pfn;
    TellRange(Kind::kDoubtful, source->low, source->high, pfn,
              Of(what, pfn) + " looks superseded: what other leaves cover of it is theirs");
  }
  for (const Source* source : sources.superseded()) {
    const Pfn pfn = source->node->pfn;
    TellRange(Kind::kNote, source->low, source->high, pfn,
              Of(what, pfn) + " is superseded; it is left out");
  }
  for (const FoundNode* node : sources.useless()) {
    Tell({Kind::kNote,
          "",
          false,
          "",
          {},
          node->pfn,
          fmt::format("a node is damaged, and has no record that is whole (pfn {})", node->pfn)});
  }
  size_t orphans = 0;
  const Source* orphan = nullptr;
  for (const Segment& segment : sources.segments()) {
    if (segment.source->rank != 2 || !segment.source->node->whole || !segment.first) continue;
    orphans++;
    orphan = segment.source;
  }
  if (orphans == 0) return;
  // A tree that says it is empty may be right.
  const FoundAnchor* const anchor = survey_.AnchorOf(id);
  const bool says_empty = anchor != nullptr && anchor->whole && anchor->anchor.root == 0;
  Tell({says_empty ? Kind::kDoubtful : Kind::kNote,
        "",
        false,
        "",
        {},
        orphan->node->pfn,
        fmt::format("{}{} leaves, which its tree does not lead to, are known by their owner words",
                    what.empty() ? "" : what + ": ", orphans)});
}

void Salvage::TellGaps(uint32_t id, const Sources& sources, const std::string& what) {
  const FoundAnchor* const anchor = survey_.AnchorOf(id);
  const bool sound = anchor != nullptr && anchor->whole;
  const bool none = sources.segments().empty() && sources.useless().empty();
  if (none && sound && anchor->anchor.root == 0) return;
  const std::string of = what.empty() ? "" : " of " + what;
  for (const Segment& gap : sources.Gaps()) {
    if (none && !sound) {
      TellRange(Kind::kDoubtful, gap.low, gap.high, anchor == nullptr ? 0 : anchor->pfn,
                "the anchor" + of + " is damaged, and no leaf is found: perhaps there was none");
      continue;
    }
    TellRange(Kind::kLost, gap.low, gap.high,
              sources.useless().empty() ? 0 : sources.useless()[0]->pfn,
              "no leaf" + of + " is found for them");
  }
}

}  // namespace

Result<SalvageReport> SalvagePool(const std::string& from, const std::string& to,
                                  const SalvageOptions& options) {
  SalvageReport report;
  bool made = false;
  Status s = NoThrow([&] {
    auto image = PoolImage::Open(from, {});
    if (!image.ok()) return image.TakeStatus();
    CreateOptions create;
    create.size_bytes = options.size_bytes;
    if (create.size_bytes == 0) {
      create.size_bytes = std::max(OffsetOf((*image)->superblock().frames), kPoolSizeMin);
    }
    create.sparse = options.sparse;
    create.open = options.open;
    auto pool = Pool::Create(to, create);
    if (!pool.ok()) return pool.TakeStatus();
    made = true;
    Salvage salvage(**image, options);
    Status saved = salvage.Run(**pool);
    Status closed = (*pool)->Close();
    report = salvage.TakeReport();
    return saved.ok() ? std::move(closed) : std::move(saved);
  });
  if (s.ok()) return report;
  if (made) PageMap::Remove(to);
  return s;
}

}  // namespace tuff
