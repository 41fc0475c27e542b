// Fuzzes salvage and fsck with the pools of pool_fuzz: a salvage makes a sound pool; a check writes
// nothing, one repair makes a pool sound, and it can be taken back. Inputs: pool_edits.h.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "engine/repair/fsck.h"
#include "engine/repair/patch.h"
#include "engine/repair/salvage.h"
#include "tests/crash/image_file.h"
#include "tests/engine/engine_test_util.h"
#include "tests/fuzz/list_input.h"
#include "tests/fuzz/pool_edits.h"

namespace tuff::test {
namespace {

constexpr unsigned kSecondsMax = kSanitized ? 120 : 30;  // of one input

// Outlive all inputs.
struct Place {
  TempDir dir;
  ImageFile file{dir.File("pool"), kPoolSizeMin};
  std::string undo = dir.File("undo");
  std::string salvaged = dir.File("salvaged");
};

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "FOUND: %s\n", what.c_str());
  std::abort();
}

std::string TextOf(const FsckReport& report) {
  std::string text;
  for (const Problem& problem : report.problems) {
    text += fmt::format("\n  {} {}{}", static_cast<unsigned>(problem.code), problem.text,
                        problem.repaired ? "" : " (left)");
  }
  return text;
}

auto Open(const std::string& path, FsckMode mode) {
  tuff::PoolImage::Options how;
  how.padded = true;
  how.for_repair = mode != FsckMode::kCheck;
  return tuff::PoolImage::Open(path, how);
}

// Nothing: the image is refused.
std::optional<FsckReport> Fsck(const std::string& path, FsckMode mode, const std::string& undo) {
  auto image = Open(path, mode);
  if (!image.ok()) {
    const Code code = image.status().code();
    if (code == Code::kNotSupported) return std::nullopt;
    if (code == Code::kCorruption && mode == FsckMode::kCheck) return std::nullopt;
    Die("opening: " + image.status().ToString());
  }
  FsckOptions options;
  options.mode = mode;
  auto report = RunFsck(**image, options);
  const bool used_up = mode != FsckMode::kCheck && report.status().code() == Code::kNoSpace;
  if (used_up) return std::nullopt;
  if (!report.ok()) Die("fsck: " + report.status().ToString());
  if (report->mode != FsckMode::kCheck) {
    if (auto pages = CommitRepair(**image, undo); !pages.ok()) {
      Die("writing the repair: " + pages.status().ToString());
    }
  }
  return std::move(*report);
}

// What it makes of a damaged pool is sound.
void SalvageImage(const Place& place, const SparseImage& image) {
  unlink(place.salvaged.c_str());
  SalvageOptions options;
  options.sparse = true;
  options.open = SmallPool().open;
  const auto report = SalvagePool(place.file.path(), place.salvaged, options);
  if (!place.file.Holds(image, false)) Die("a salvage has written into the old pool");
  if (!report.ok()) {
    const Code code = report.status().code();
    if (code != Code::kCorruption && code != Code::kNotSupported) {
      Die("salvage: " + report.status().ToString());
    }
    return;
  }
  auto pool = Pool::Open(place.salvaged, SmallPool().open);
  if (!pool.ok()) Die("opening what was salvaged: " + pool.status().ToString());
  if (const std::string text = Problems(**pool); !text.empty()) {
    Die("of what was salvaged, CheckPool says: " + text);
  }
  if (Status s = (*pool)->Close(); !s.ok()) Die("closing: " + s.ToString());
}

// What a check refuses, a repair does, too.
void RefuseImage(const Place& place, const SparseImage& image) {
  if (Open(place.file.path(), FsckMode::kRepair).ok()) Die("-y takes what -n refuses");
  if (!place.file.Holds(image, false)) Die("a repair that is refused has written");
}

// False: a check refuses it.
bool RepairImage(const Place& place, const SparseImage& image) {
  const std::string& path = place.file.path();
  const auto check = Fsck(path, FsckMode::kCheck, "");
  if (!place.file.Holds(image, false)) Die("a check has written");
  if (!check) return false;
  unlink(place.undo.c_str());
  const auto repair = Fsck(path, FsckMode::kRepair, place.undo);
  if (!repair) return true;  // it has features that can only be read, or no numbers for new nodes
  if (check->sound() && !repair->sound()) Die("-y finds what -n has not:" + TextOf(*repair));
  if (repair->unrepaired > 0) Die("left unrepaired:" + TextOf(*repair));
  const auto again = Fsck(path, FsckMode::kCheck, "");
  if (!again || !again->sound()) {
    Die("the second pass finds" + (again ? TextOf(*again) : " no pool") +
        "\n after the first has found" + TextOf(*repair));
  }
  auto pool = Pool::Open(path, SmallPool().open);
  if (!pool.ok()) Die("opening what was repaired: " + pool.status().ToString() + TextOf(*repair));
  if (const std::string text = Problems(**pool); !text.empty()) {
    Die("of what was repaired, CheckPool says: " + text + "\n fsck had said" + TextOf(*repair));
  }
  if (Status s = (*pool)->Close(); !s.ok()) Die("closing: " + s.ToString());
  return true;
}

void RevertImage(Place& place, const SparseImage& image) {
  place.file.Load(image);
  unlink(place.undo.c_str());
  if (!Fsck(place.file.path(), FsckMode::kRepair, place.undo)) return;
  if (access(place.undo.c_str(), F_OK) == 0) {
    auto pages = RevertRepair(place.file.path(), place.undo);
    if (!pages.ok()) Die("reverting: " + pages.status().ToString());
  }
  if (!place.file.Holds(image, true)) Die("the undo file does not restore the file");
}

void RunInput(std::span<const uint8_t> bytes) {
  static Place place;
  const auto input = ListInput<PoolInput, Edit>::Read(bytes, kEditsMax);
  const PoolBase& base = PoolBases()[input.head.base % PoolBases().size()];
  const SparseImage image = ApplyEdits(base, input.entries);
  place.file.Load(image);
  const ImageFile::Watch watch(place.file);
  alarm(kSecondsMax);
  SalvageImage(place, image);
  if (RepairImage(place, image)) {
    RevertImage(place, image);
  } else {
    RefuseImage(place, image);
  }
  alarm(0);
}

}  // namespace
}  // namespace tuff::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tuff::test::RunInput({data, size});
  return 0;
}
