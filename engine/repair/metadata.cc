#include "engine/repair/metadata.h"

#include <fmt/format.h>

#include <cstring>

#include "engine/catalogue.h"
#include "engine/graveyard.h"
#include "engine/no_throw.h"
#include "engine/repair/blank_node.h"
#include "engine/repair/lane_list.h"
#include "engine/repair/remains.h"
#include "engine/repair/survey.h"
#include "pagemap/superblock.h"

namespace tuff {
namespace {

using Bytes = std::vector<std::byte>;

// Words that no reader takes for anything.
constexpr uint64_t kNoOwner = 0xff;  // of no kind
constexpr uint64_t kNoLane = 1;      // of a lane that is not empty; what follows is no entry

template <typename T>
T StructAt(const PoolImage& image, uint64_t place) {
  T value;
  std::memcpy(&value, image.base() + place, sizeof value);
  return value;
}

class Collector {
 public:
  Collector(const PoolImage& image, const MetadataOptions& options,
            const std::function<Status(const MetadataPiece&)>& use, MetadataSummary* summary)
      : image_(image), options_(options), use_(use), summary_(summary), survey_(image) {}

  Status Run() {
    survey_.Scan();
    survey_.FollowTrees();
    NoteAnchors(kCatalogueObjectId);
    FindGraveyard();
    NoteAnchors(graveyard_);
    survey_.FollowRest();
    for (unsigned lane = 0; lane < kLanes; lane++) lanes_.push_back(ReadLaneList(image_, lane));
    if (options_.hide_keys) RankKeys();
    TellSuperblocks();
    for (unsigned lane = 0; lane < kLanes; lane++) TellLane(lane);
    TellFrameTables();
    for (const FoundAnchor& found : survey_.anchors()) TellAnchor(found);
    survey_.ForEachNode([&](const FoundNode& found) { TellNode(found); });
    return status_;
  }

 private:
  void FindGraveyard() {
    for (const FoundAnchor& found : survey_.anchors()) {
      const bool is_graveyard =
          found.whole && found.anchor.kind == static_cast<uint32_t>(ObjectKind::kGraveyard);
      if (is_graveyard) graveyard_ = found.anchor.object_id;
    }
  }

  // Those that the catalogue or the graveyard names, whatever their owner words say.
  void NoteAnchors(uint32_t own) {
    for (const FoundNode* node : survey_.LeavesOf(own)) {
      const NodeView view = survey_.View(*node);
      const Remains remains = node->whole ? ReadWholeLeaf(view, image_.hash_seed(), false)
                                          : ReadDamagedLeaf(view, image_.hash_seed(), false);
      for (const RecordView& record : remains.records) {
        ObjectInfo info;
        GraveyardEntry entry;
        uint32_t id = 0;
        if (own == kCatalogueObjectId && ParseCatalogueRecord(record.key, record.value, &info)) {
          survey_.AddAnchor(info.anchor, info.id);
          if (info.kind == ObjectKind::kGraveyard) graveyard_ = info.id;
        } else if (own != kCatalogueObjectId &&
                   ParseGraveyardRecord(record.key, record.value, &id, &entry)) {
          survey_.AddAnchor(entry.anchor_pfn, id);
        }
      }
    }
  }

  bool IsOwn(uint32_t object_id) const {
    return object_id == kCatalogueObjectId || (object_id != 0 && object_id == graveyard_);
  }

  void RankKeys() {
    survey_.ForEachNode([&](const FoundNode& found) {
      if (IsOwn(found.object_id)) return;
      NodeBlanker::ForEachKey(survey_.View(found), found.whole, image_.hash_seed(),
                              [&](std::string_view key) { ranks_[found.object_id].Add(key); });
    });
    for (std::optional<LaneList>& lane : lanes_) {
      if (!lane) continue;
      ForEachStoreOf(lane->stores, [&](uint64_t place, std::span<std::byte> store) {
        Bytes node;
        const FoundNode* const found = WithStore(place, store, &node);
        if (found == nullptr || IsOwn(found->object_id)) return;
        NodeBlanker::ForEachKey(NodeView(node.data(), found->pfn, found->order), false,
                                image_.hash_seed(),
                                [&](std::string_view key) { ranks_[found->object_id].Add(key); });
      });
    }
    for (auto& [id, ranks] : ranks_) ranks.Number();
  }

  // The leaf that a store goes to, as it is after that; null: it goes to no leaf.
  const FoundNode* WithStore(uint64_t place, std::span<const std::byte> store, Bytes* node) const {
    const FoundNode* const found = survey_.NodeOver(place >> kFrameShift);
    if (found == nullptr || !found->whole || found->level > 0) return nullptr;
    const NodeView view = survey_.View(*found);
    const uint64_t offset = place - OffsetOf(found->pfn);
    if (offset < view.base_end() || offset > view.bytes() || store.size() > view.bytes() - offset) {
      return nullptr;
    }
    node->assign(view.data(), view.data() + view.bytes());
    std::memcpy(node->data() + offset, store.data(), store.size());
    return found;
  }

  // Of the catalogue and the graveyard values stay, but for names on wish.
  std::string OwnValue(uint32_t object_id, std::string_view key, std::string_view value) const {
    ObjectInfo info;
    std::string kept(value);
    if (object_id != kCatalogueObjectId) return value.size() <= sizeof(GraveyardEntry) ? kept : "";
    if (!ParseCatalogueRecord(key, value, &info)) return "";
    if (!options_.hide_keys || info.kind == ObjectKind::kGraveyard) return kept;
    std::string name = fmt::format("{}", info.id);
    name.resize(info.name.size(), '-');
    return kept.substr(0, sizeof(CatalogueEntry)) + name;
  }

  NodeBlanker BlankerOf(uint32_t object_id) const {
    const auto ranks = ranks_.find(object_id);
    NodeBlanker::ValueOf value_of;
    if (IsOwn(object_id)) {
      value_of = [this, object_id](std::string_view key, std::string_view value) {
        return OwnValue(object_id, key, value);
      };
    }
    return {image_.hash_seed(), image_.frames(), ranks == ranks_.end() ? nullptr : &ranks->second,
            std::move(value_of)};
  }

  void Tell(Pfn pfn, uint64_t frames, std::span<const std::byte> bytes, bool withheld) {
    size_t n = bytes.size();
    while (n > 0 && bytes[n - 1] == std::byte{0}) n--;
    summary_->undecoded += withheld ? 1 : 0;
    if (status_.ok() && (n > 0 || withheld)) {
      status_ = use_({pfn, frames, bytes.first(n), withheld});
    }
  }
  void TellRaw(Pfn pfn, uint64_t frames) {
    summary_->undecoded++;
    Tell(pfn, frames, {image_.base() + OffsetOf(pfn), OffsetOf(frames)}, false);
  }

  void TellSuperblocks() {
    for (int i = 0; i < 2; i++) {
      const Pfn pfn = kSuperblockPfn + static_cast<Pfn>(i);
      Superblock copy = image_.Copy(i);
      const bool whole = ExamineSuperblock(copy, UINT64_MAX, image_.path()).ok();
      if (!whole && options_.raw_damaged) {
        TellRaw(pfn, 1);
        continue;
      }
      if (!whole) copy = Agreeing(copy);
      Tell(pfn, 1, std::as_bytes(std::span(&copy, 1)), !whole);
    }
  }

  // What a damaged copy has in common with the one that counts.
  Superblock Agreeing(Superblock copy) const {
    if (image_.guessed()) return {};
    const Superblock& best = image_.superblock();
    std::array<uint64_t, sizeof copy / 8> words;
    std::array<uint64_t, sizeof copy / 8> right;
    std::memcpy(words.data(), &copy, sizeof copy);
    std::memcpy(right.data(), &best, sizeof best);
    for (size_t i = 0; i < words.size(); i++) words[i] = words[i] == right[i] ? right[i] : 0;
    std::memcpy(&copy, words.data(), sizeof copy);
    if (copy.checksum == SuperblockChecksum(copy)) copy.checksum ^= 1;
    return copy;
  }

  void TellLane(unsigned lane) {
    const Pfn pfn = kLanesPfn + lane;
    if (Load64(image_.base() + OffsetOf(pfn)) == 0) return;
    if (!lanes_[lane]) {
      if (options_.raw_damaged) return TellRaw(pfn, 1);
      return Tell(pfn, 1, std::as_bytes(std::span(&kNoLane, 1)), true);
    }
    LaneList& list = *lanes_[lane];
    bool withheld = !list.is_whole();
    ForEachStoreOf(list.stores, [&](uint64_t place, std::span<std::byte> store) {
      if (!BlankStore(place, store)) withheld = true;
    });
    WriteLaneList(list, lane, image_.hash_seed(), [&](uint64_t place, const Bytes& bytes) {
      // A chunk begins with its frame.
      const uint64_t frames = (bytes.size() + kFrameSize - 1) >> kFrameShift;
      Tell(place >> kFrameShift, frames, bytes, withheld && place == OffsetOf(pfn));
    });
  }

  // False: it could not be decoded, and is zeros.
  bool BlankStore(uint64_t place, std::span<std::byte> store) const {
    Bytes node;
    const FoundNode* const found = WithStore(place, store, &node);
    if (found == nullptr && store.size() == 8) {
      uint64_t word = 0;
      std::memcpy(&word, store.data(), sizeof word);
      if (ChildPfn(word) < image_.frames()) return true;
    }
    Bytes blank(store.size());
    bool decoded = false;
    if (found != nullptr) {
      const size_t offset = place - OffsetOf(found->pfn);
      Bytes copy(node.size());
      decoded = BlankerOf(found->object_id)
                    .Records(NodeView(node.data(), found->pfn, found->order), offset,
                             offset + store.size(), false, copy.data());
      std::memcpy(blank.data(), copy.data() + offset, blank.size());
    }
    std::memcpy(store.data(), blank.data(), blank.size());
    return decoded;
  }

  // An owner word that may be one; else what is none.
  uint64_t OwnerToTell(Pfn pfn, uint64_t word) const {
    const OwnerWord owner = UnpackOwner(word);
    const uint32_t ids = image_.guessed() ? UINT16_MAX : image_.superblock().next_object_id;
    const bool may_be_owner = owner.kind <= kFrameKindLast && owner.order <= kOrderMax &&
                              owner.reserved == 0 && owner.object_id <= ids;
    return OwnerIsValid(pfn, word) || may_be_owner || options_.raw_damaged ? word : kNoOwner;
  }

  void TellFrameTables() {
    constexpr uint64_t kWords = kFrameSize / 8;
    for (uint64_t section = 0; section < SectionsOf(image_.frames()); section++) {
      std::array<uint64_t, kWords> words{};
      Pfn table = 0;  // the frame that `words` is; 0: none yet
      bool withheld = false;
      const auto flush = [&] {
        if (table != 0) Tell(table, 1, std::as_bytes(std::span(words)), withheld);
        words.fill(0);
        withheld = false;
      };
      image_.ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) {
        const Pfn at = OwnerWordOffset(pfn) >> kFrameShift;
        if (at != table) flush();
        table = at;
        words[pfn % kWords] = OwnerToTell(pfn, word);
        withheld = withheld || words[pfn % kWords] != word;
      });
      flush();
    }
  }

  void TellAnchor(const FoundAnchor& found) {
    if (!found.whole && options_.raw_damaged) return TellRaw(found.pfn, 1);
    const auto anchor = StructAt<Anchor>(image_, OffsetOf(found.pfn));
    Anchor told = anchor;
    if (!found.whole) told = {};
    const NodeBlanker blanker(image_.hash_seed(), image_.frames(), nullptr, nullptr);
    told.root = blanker.ChildWord(anchor.root);
    told.flags = 0;
    for (uint64_t* const word :
         {&told.modified_ns, &told.attributes_changed_ns, &told.change_counter}) {
      if (*word >> 61 != 0) *word = 0;  // text would be so large
    }
    std::memset(told.reserved_words, 0, sizeof told.reserved_words);
    Tell(found.pfn, 1, std::as_bytes(std::span(&told, 1)), !found.whole);
  }

  void TellNode(const FoundNode& found) {
    const uint64_t frames = 1ull << found.order;
    summary_->nodes++;
    summary_->damaged_nodes += found.whole ? 0 : 1;
    const NodeBlanker blanker = BlankerOf(found.object_id);
    const NodeView view = survey_.View(found);
    if (!found.whole) {
      if (options_.raw_damaged) return TellRaw(found.pfn, frames);
      return Tell(found.pfn, frames, blanker.Damaged(view, found.object_id), true);
    }
    bool withheld = false;
    const Bytes bytes = blanker.Whole(view, &withheld);
    if (withheld && options_.raw_damaged) return TellRaw(found.pfn, frames);
    Tell(found.pfn, frames, bytes, withheld);
  }

  const PoolImage& image_;
  const MetadataOptions& options_;
  const std::function<Status(const MetadataPiece&)>& use_;
  MetadataSummary* const summary_;
  Survey survey_;
  uint32_t graveyard_ = 0;
  std::vector<std::optional<LaneList>> lanes_;
  std::map<uint32_t, KeyRanks> ranks_;  // by object
  Status status_;
};

}  // namespace

Status CollectMetadata(const PoolImage& image, const MetadataOptions& options,
                       const std::function<Status(const MetadataPiece& piece)>& use,
                       MetadataSummary* summary) {
  return NoThrow([&] { return Collector(image, options, use, summary).Run(); });
}

}  // namespace tuff
