#include "engine/inspect/decode.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "engine/catalogue.h"
#include "pagemap/lane_format.h"
#include "pagemap/lanes.h"

namespace tuff::inspect {
namespace {

template <size_t n>
std::string NameOf(const std::array<const char*, n>& names, uint64_t number) {
  return number < n ? names[number] : "unknown";
}

// The names of the bits that are set, with commas between.
template <size_t n>
std::string BitsText(const std::array<const char*, n>& names, uint64_t bits) {
  std::string text;
  for (size_t i = 0; i < n; i++) {
    if ((bits >> i & 1) != 0) text += (text.empty() ? "" : ", ") + std::string(names[i]);
  }
  if (n < 64 && bits >> n != 0) text += (text.empty() ? "" : ", ") + std::string("unknown bits");
  return text;
}

std::string StateText(uint64_t bits) {
  constexpr std::array kNames{"clean", "crashed since scrub", "ever forced", "graveyard in use"};
  return BitsText(kNames, bits);
}
std::string MountFlagsText(uint64_t bits) {
  constexpr std::array kNames{"allow_nomtime", "sync_on_suspend"};
  return BitsText(kNames, bits);
}
std::string IncompatText(uint64_t bits) { return BitsText(std::array{"batches"}, bits); }
std::string NodeFlagsText(uint64_t bits) { return BitsText(std::array{"no high fence"}, bits); }
std::string NodeKindName(uint64_t kind) {
  return NameOf(std::array{"unknown", "leaf", "inner node"}, kind);
}
std::string MemmapName(uint64_t place) { return NameOf(std::array{"pool", "dram"}, place); }
std::string DeciderName(uint64_t decider) {
  return NameOf(std::array{"unknown", "word", "record", "redo"}, decider);
}
std::string OrderText(uint64_t order) {
  return order <= kOrderMax ? Count(1ull << order, "frame") : "impossible";
}
std::string UnitsText(uint64_t units) { return fmt::format("byte {}", 8 * units); }

// What the number in a field stands for, in words.
struct Meaning {
  const char* table;  // null: any
  const char* field;
  std::string (*text)(uint64_t);
};
constexpr Meaning kMeanings[] = {
    {"Superblock", "memmap_place", MemmapName}, {"Superblock", "feature_incompat", IncompatText},
    {"Superblock", "state", StateText},         {"Superblock", "mount_flags", MountFlagsText},
    {"OwnerWord", "kind", FrameKindName},       {"OwnerWord", "order", OrderText},
    {"NodeHeader", "kind", NodeKindName},       {"NodeHeader", "order", OrderText},
    {"NodeHeader", "flags", NodeFlagsText},     {"NodeHeader", "base_end", UnitsText},
    {"LaneEntry", "decider", DeciderName},      {"LaneEntry", "place", PlaceText},
    {"Anchor", "root", ChildWordText},          {"Anchor", "kind", ObjectKindName},
    {"CatalogueEntry", "kind", ObjectKindName}, {"GraveyardEntry", "kind", ObjectKindName},
};

std::string MeaningOf(const FormatTable& table, const Field& field, uint64_t number) {
  for (const Meaning& meaning : kMeanings) {
    if (std::strcmp(meaning.table, table.name) == 0 && std::strcmp(meaning.field, field.name) == 0)
      return meaning.text(number);
  }
  return "";
}

bool AllZero(const std::byte* at, size_t n) {
  return std::all_of(at, at + n, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

void AddFields(const FormatTable& table, const void* structure, Object* to) {
  for (const Field& field : table.fields) {
    const auto* at = static_cast<const std::byte*>(structure) + field.offset;
    const std::string_view name = field.name;
    if (name.starts_with("reserved") && AllZero(at, field.size)) continue;
    const bool is_number = field.show == FieldShow::kDecimal || field.show == FieldShow::kHex;
    if (field.size > 8 || !is_number) {
      to->Text(name, AllZero(at, field.size) ? "0" : ShowField(field, at));
      continue;
    }
    uint64_t number = 0;
    std::memcpy(&number, at, field.size);
    if (name.ends_with("_ns")) {
      to->Time(name, number);
    } else if (field.show == FieldShow::kHex) {
      to->Hex(name, number, MeaningOf(table, field, number));
    } else {
      to->Number(name, number, MeaningOf(table, field, number));
    }
  }
}

std::string FrameKindName(uint64_t kind) {
  return NameOf(std::array{"free", "metadata", "tree node", "extent", "cached block", "batch log",
                           "raw", "quarantined"},
                kind);
}

std::string ObjectKindName(uint64_t kind) {
  return NameOf(
      std::array{"unknown", "catalogue", "store", "volume", "raw", "graveyard", "tree being built"},
      kind);
}

std::string ChildWordText(uint64_t word) {
  if (word == 0) return "none";
  return fmt::format("pfn {}, tag {:#x}", ChildPfn(word), word >> kPfnBits);
}

std::string PlaceText(uint64_t offset) {
  if (offset == 0) return "";
  return fmt::format("pfn {}, byte {}", offset >> kFrameShift, offset & (kFrameSize - 1));
}

std::string OwnerText(Pfn pfn, uint64_t word) {
  if (word == 0) return "free";
  if (!OwnerIsValid(pfn, word)) return "damaged";
  const OwnerWord owner = UnpackOwner(word);
  return fmt::format("{} of object {}, {}", FrameKindName(owner.kind), owner.object_id,
                     OrderText(owner.order));
}

Pfn HeadOfRun(const PoolImage& image, Pfn pfn) {
  if (!image.Holds(pfn, 0) || image.OwnerWordAt(pfn) != 0) return pfn;
  for (unsigned order = 1; order <= kOrderMax; order++) {
    const Pfn head = pfn & ~((1ull << order) - 1);
    if (head == pfn || !image.Holds(head, 0)) continue;
    const uint64_t word = image.OwnerWordAt(head);
    if (word == 0) continue;
    const bool reaches = OwnerIsValid(head, word) && head + (1ull << UnpackOwner(word).order) > pfn;
    return reaches ? head : pfn;
  }
  return pfn;
}

std::string TableName(Pfn pfn) {
  if (!IsReserved(pfn)) return "";
  const uint64_t section = SectionOf(pfn);
  const Pfn table = FrameTablePfn(section);
  if (pfn == kSuperblockPfn) return "superblock";
  if (pfn == kMirrorPfn) return "mirror of the superblock";
  if (pfn == kCatalogueAnchorPfn) return "anchor of the catalogue";
  if (pfn >= kLanesPfn && pfn < kLanesPfn + kLanes) return fmt::format("lane {}", pfn - kLanesPfn);
  if (pfn >= table && pfn < table + kFrameTableFrames) {
    const Pfn first = SectionStart(section) + (pfn - table) * (kFrameSize / 8);
    return fmt::format("frame table of section {}: owner words of pfns {} to {}", section, first,
                       first + kFrameSize / 8 - 1);
  }
  if (pfn >= MemmapPfn(section) && pfn < MemmapPfn(section) + kMemmapFrames) {
    constexpr uint64_t kPerFrame = kFrameSize / kDescriptorSize;
    const Pfn first = SectionStart(section) + (pfn - MemmapPfn(section)) * kPerFrame;
    return fmt::format("memmap of section {}: descriptors of pfns {} to {}", section, first,
                       first + kPerFrame - 1);
  }
  return "reserved";
}

std::string Count(uint64_t n, std::string_view thing) {
  return fmt::format("{} {}{}", n, thing, n == 1 ? "" : "s");
}

Status CheckAnchor(const PoolImage& image, Pfn pfn, uint32_t object_id) {
  Anchor anchor;
  std::memcpy(&anchor, image.base() + OffsetOf(pfn), sizeof anchor);
  if (anchor.checksum != AnchorChecksum(anchor, image.hash_seed(), pfn)) {
    return Status(Code::kCorruption, fmt::format("pfn {}: anchor has a wrong checksum", pfn));
  }
  if (anchor.object_id != object_id) {
    return Status(Code::kCorruption, fmt::format("pfn {}: anchor is of object {}, not {}", pfn,
                                                 anchor.object_id, object_id));
  }
  return Status();
}

LaneReading ReadLane(const PoolImage& image, unsigned lane) {
  return Lanes::Read(image.base(), lane, image.hash_seed(), image.frames(), RecordIsThere);
}

bool AtRest(const PoolImage& image) {
  return !image.in_use() && (image.superblock().state & kStateClean) != 0;
}

void AddNotes(const PoolImage& image, Report* report) {
  const Superblock& superblock = image.superblock();
  if (image.guessed()) {
    report->notes.push_back(
        "both superblocks are damaged: size and hash seed were found out from the frames");
  }
  if (image.truncated()) {
    report->notes.push_back(fmt::format("the file is truncated: {} of {} frames are there",
                                        image.frames(), superblock.frames));
  }
  if (image.in_use()) {
    report->notes.push_back(fmt::format(
        "in use by process {}: a moment's view, which may look damaged where it changes",
        superblock.writer_pid));
  } else if (!image.guessed() && (superblock.state & kStateClean) == 0) {
    unsigned lanes = 0;
    for (unsigned lane = 0; lane < kLanes; lane++) {
      lanes += Load64(image.base() + OffsetOf(kLanesPfn + lane)) != 0 ? 1 : 0;
    }
    report->notes.push_back(
        lanes == 0
            ? "not closed cleanly: no lane holds a change, the next open has nothing to undo"
            : fmt::format("not closed cleanly: {} {} that the next open finishes or undoes",
                          Count(lanes, "lane"), lanes == 1 ? "holds a change" : "hold changes"));
  }
}

}  // namespace tuff::inspect
