// Sections: who has their frames, and what is free.
#include <fmt/format.h>

#include <bitset>
#include <map>
#include <memory>

#include "engine/inspect/decode.h"
#include "engine/inspect/inspect.h"
#include "engine/inspect/walk.h"

namespace tuff::inspect {
namespace {

constexpr size_t kDamagedShown = 20;

struct Use {
  uint64_t runs = 0;
  uint64_t frames = 0;
};

// What the owner words of a section tell, read as a mount reads them: a word inside a run does not
// count, a damaged one keeps its frame from being used.
struct Usage {
  std::bitset<kSectionFrames> taken;  // reserved frames as well
  std::map<uint64_t, Use> by_kind;
  std::map<uint32_t, Use> by_object;
  uint64_t used = 0;  // frames
  uint64_t reserved = 0;
  std::vector<std::pair<Pfn, std::string>> damaged;
};

std::unique_ptr<Usage> ReadUsage(const PoolImage& image, uint64_t section) {
  auto usage = std::make_unique<Usage>();
  const Pfn start = SectionStart(section);
  const uint64_t frames = std::min(kSectionFrames, image.frames() - start);
  for (uint64_t i = 0; i < frames; i++) {
    if (!IsReserved(start + i)) continue;
    usage->taken.set(i);
    usage->reserved++;
  }
  Pfn head = 0;
  Pfn run_end = 0;
  image.ForEachOwnerWord(section, [&](Pfn pfn, uint64_t word) {
    if (IsReserved(pfn)) {
      usage->damaged.emplace_back(pfn, "a reserved frame has an owner word");
      return;
    }
    if (pfn < run_end) {
      usage->damaged.emplace_back(pfn, fmt::format("owner word inside the run at {}", head));
      return;
    }
    uint64_t run = 1;
    if (OwnerIsValid(pfn, word)) {
      const OwnerWord owner = UnpackOwner(word);
      run = std::min<uint64_t>(1ull << owner.order, start + frames - pfn);
      for (Use* use : {&usage->by_kind[owner.kind], &usage->by_object[owner.object_id]}) {
        use->runs++;
        use->frames += run;
      }
    } else {
      usage->damaged.emplace_back(pfn, fmt::format("damaged owner word {:#x}", word));
    }
    head = pfn;
    run_end = pfn + run;
    for (uint64_t i = 0; i < run; i++) {
      usage->used += usage->taken.test(pfn - start + i) ? 0 : 1;
      usage->taken.set(pfn - start + i);
    }
  });
  return usage;
}

using ByOrder = std::array<uint64_t, kOrderMax + 1>;

// Free runs as a buddy allocator would have them: each as large as its alignment allows.
void CountFree(const std::bitset<kSectionFrames>& taken, uint64_t frames, ByOrder* free) {
  for (uint64_t i = 0; i < frames;) {
    unsigned order = 0;
    uint64_t clear = 0;  // frames from i on that are known to be free
    if (!taken.test(i)) {
      for (clear = 1; order < kOrderMax; order++) {
        const uint64_t next = 2ull << order;
        if (i % next != 0 || i + next > frames) break;
        while (clear < next && !taken.test(i + clear)) clear++;
        if (clear < next) break;
      }
      (*free)[order]++;
    }
    i += clear == 0 ? 1 : 1ull << order;
  }
}

std::string Percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? ""
                    : fmt::format("{:.1f} %",
                                  100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

}  // namespace

Result<Report> Section(const PoolImage& image, uint64_t section) {
  const uint64_t sections = SectionsOf(image.frames());
  if (section >= sections) {
    return Status(Code::kNotFound, fmt::format("{}: no section {}; there are 0 to {}", image.path(),
                                               section, sections - 1));
  }
  Report report;
  AddNotes(image, &report);
  const Pfn start = SectionStart(section);
  const uint64_t frames = std::min(kSectionFrames, image.frames() - start);
  const std::unique_ptr<Usage> usage = ReadUsage(image, section);
  Object& body = report.body;
  body.Number("section", section);
  body.Number("first_pfn", start);
  body.Number("last_pfn", start + frames - 1);
  body.Number("frame_table_pfn", FrameTablePfn(section),
              fmt::format("to {}", FrameTablePfn(section) + kFrameTableFrames - 1));
  body.Number("memmap_pfn", MemmapPfn(section),
              fmt::format("to {}", MemmapPfn(section) + kMemmapFrames - 1));
  const uint64_t usable = frames - usage->reserved;
  body.Number("frames", frames);
  body.Number("reserved", usage->reserved);
  body.Number("used", usage->used, Percent(usage->used, usable));
  body.Number("free", usable - usage->used, Percent(usable - usage->used, usable));
  body.Table("kinds");
  for (const auto& [kind, use] : usage->by_kind) {
    Object& row = body.Row("kinds");
    row.Number("kind", kind, FrameKindName(kind));
    row.Number("runs", use.runs);
    row.Number("frames", use.frames);
  }
  std::map<uint32_t, std::string> names;
  for (const TreeRef& tree : ListTrees(image, &report.notes)) {
    names[tree.object.id] = tree.object.name;
  }
  body.Table("objects");
  for (const auto& [id, use] : usage->by_object) {
    Object& row = body.Row("objects");
    row.Number("object_id", id);
    row.Number("runs", use.runs);
    row.Number("frames", use.frames);
    row.Bytes("name", names.contains(id) ? names[id] : "");
  }
  for (size_t i = 0; i < usage->damaged.size(); i++) {
    if (i == kDamagedShown) {
      report.damage.push_back(fmt::format("and {} more", usage->damaged.size() - kDamagedShown));
      break;
    }
    const auto& [pfn, what] = usage->damaged[i];
    report.damage.push_back(fmt::format("pfn {}: {}", pfn, what));
  }
  return report;
}

namespace {

void AddFree(const ByOrder& free, Object* row) {
  for (unsigned order = 0; order <= kOrderMax; order++) {
    row->Number(fmt::format("order_{}", order), free[order]);
  }
}

}  // namespace

Report BuddyInfo(const PoolImage& image) {
  Report report;
  AddNotes(image, &report);
  report.body.Table("sections");
  ByOrder total{};
  uint64_t first_same = 0;  // of the sections that the last row is of
  ByOrder last{};
  const uint64_t sections = SectionsOf(image.frames());
  const auto add_row = [&](uint64_t end) {
    Object& row = report.body.Row("sections");
    row.Number("section", first_same);
    row.Number("to", end - 1);
    AddFree(last, &row);
  };
  ByOrder unused{};  // a section without any owner
  for (uint64_t section = 0; section < sections; section++) {
    const uint64_t frames = std::min(kSectionFrames, image.frames() - SectionStart(section));
    bool any = false;
    image.ForEachOwnerWord(section, [&](Pfn, uint64_t) { any = true; });
    ByOrder free{};
    const bool plain = section > 0 && frames == kSectionFrames && !any;
    if (plain && unused[kOrderMax] != 0) {
      free = unused;
    } else {
      CountFree(ReadUsage(image, section)->taken, frames, &free);
      if (plain) unused = free;
    }
    for (unsigned order = 0; order <= kOrderMax; order++) total[order] += free[order];
    if (section > 0 && free != last) {
      add_row(section);
      first_same = section;
    }
    last = free;
  }
  if (sections > 0) add_row(sections);
  Object& all = report.body.Child("total");
  AddFree(total, &all);
  uint64_t frames = 0;
  for (unsigned order = 0; order <= kOrderMax; order++) frames += total[order] << order;
  report.body.Number("free_frames", frames, fmt::format("{} bytes", OffsetOf(frames)));
  return report;
}

}  // namespace tuff::inspect
