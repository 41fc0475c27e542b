// What goes wrong when a check of the pool's own tables is left out: superblocks, lanes, lists of
// stores, owner words.
#include <fmt/format.h>

#include <cstring>

#include "engine/object_format.h"
#include "pagemap/superblock_format.h"
#include "tests/crash/mutant_lab.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

// A pool whose superblocks have been changed, with right checksums, is refused.
void RefuseSuperblocks(const std::string& directory, Code code,
                       const std::function<void(Superblock&)>& edit) {
  Lab lab(directory);
  lab.Close();
  EditSuperblocks(lab.path(), edit);
  Lab::RequireRefused(lab.Open(), code);
}

// With one byte of both changed.
void RefuseFlipped(const std::string& directory, uint64_t byte) {
  Lab lab(directory);
  lab.Close();
  lab.Flip(byte);
  lab.Flip(OffsetOf(kMirrorPfn) + byte);
  Lab::RequireRefused(lab.Open());
}

LiveStatus StatusOf(Lab& lab, uint64_t nonce_change, bool sealed) {
  const Snapshot* const snapshot = Must(lab.pool().GetSnapshot());
  auto status = ReadStruct<LiveStatus>(lab.path(), kLiveStatusOffset);
  status.snapshots = 77;
  status.mount_nonce += nonce_change;
  constexpr size_t kFrom = offsetof(LiveStatus, mount_nonce);
  const auto* const bytes = reinterpret_cast<const std::byte*>(&status);
  if (sealed) status.checksum = Checksum64(bytes + kFrom, sizeof status - kFrom, 0);
  WriteStruct(lab.path(), kLiveStatusOffset, status);
  const LiveStatus seen = Must(PageMap::Peek(lab.path())).status;
  lab.pool().ReleaseSnapshot(snapshot);
  return seen;
}

// A killed pool with records, and an entry for one of its lanes.
struct Crashed {
  explicit Crashed(const std::string& directory) : lab(directory, kRecords) {
    leaf = lab.LeafOf(Lab::Key(3));
    anchor = lab.Anchor();
    root = Load64(lab.map().base() + OffsetOf(anchor) + offsetof(Anchor, root));
    run = {leaf, PackOwner(leaf, FrameKind::kTreeNode, 0, lab.object_id())};
    free = lab.map().frames() - 1;
    auto pinned = lab.store().GetPinned(Lab::Key(3));
    Must(pinned.status());
    const auto* const value = reinterpret_cast<const std::byte*>(pinned->view().data());
    record = (static_cast<uint64_t>(value - lab.map().base()) + 7) / 8 * 8;
    pinned = Status(Code::kNotFound, "");
    lab.Kill();
    // One that finds the root word as it was, and would undo.
    entry.state = 7;
    entry.decider = static_cast<uint16_t>(LaneDecider::kWord);
    entry.place = OffsetOf(anchor) + offsetof(Anchor, root);
    entry.old_value = root;
    entry.new_value = root + 1;
    redo.state = 7;
    redo.decider = static_cast<uint16_t>(LaneDecider::kRedo);
  }

  static std::string Runs(size_t n, const LaneRun& run) {
    std::string text;
    for (size_t i = 0; i < n; i++) text.append(reinterpret_cast<const char*>(&run), sizeof run);
    return text;
  }
  // A list of one store of 16 bytes.
  static std::string StoreTo(uint64_t place, uint64_t bytes = 16) {
    const RedoStore head{place, bytes};
    std::string text(reinterpret_cast<const char*>(&head), sizeof head);
    return text.append(16, '!');
  }
  // A chunk in a free frame.
  void WriteChunk(const std::string& payload, uint64_t bytes, bool sealed) const {
    RedoChunk chunk{0, 0, bytes};
    const auto* const head = reinterpret_cast<const std::byte*>(&chunk) + sizeof(uint64_t);
    const uint64_t of_head =
        Checksum64(head, 2 * sizeof(uint64_t), lab.hash_seed() ^ Mix64(redo.state ^ Mix64(0)));
    chunk.checksum = Checksum64(payload.data(), payload.size(), of_head) + (sealed ? 0 : 1);
    WriteStruct(lab.path(), OffsetOf(free), chunk);
    WriteAt(lab.path(), OffsetOf(free) + sizeof chunk, payload);
  }
  // The entry was torn: nothing of it has happened.
  void RequireDropped() {
    Must(lab.Open());
    lab.RequireSound();
    lab.RequireAll(kRecords);
  }
  void RequireRefused() { Lab::RequireRefused(lab.Open()); }

  static constexpr int kRecords = 60;
  Lab lab;
  LaneEntry entry{};
  LaneEntry redo{};
  LaneRun run{};
  Pfn leaf = 0;
  Pfn anchor = 0;
  Pfn free = 0;
  uint64_t root = 0;
  uint64_t record = 0;  // the place of a word of a record
};

using Dir = const std::string&;

const Killer kSuperblocks[] = {
    {"super.magic", [](Dir dir) { RefuseFlipped(dir, offsetof(Superblock, magic)); }},
    {"super.checksum", [](Dir dir) { RefuseFlipped(dir, offsetof(Superblock, uuid)); }},
    {"super.version",
     [](Dir dir) {
       RefuseSuperblocks(dir, Code::kNotSupported, [](Superblock& sb) { sb.format_version = 2; });
     }},
    {"super.later",
     [](Dir dir) {
       Lab lab(dir);
       lab.Close();
       for (const Pfn pfn : {kSuperblockPfn, kMirrorPfn}) {
         auto sb = ReadStruct<Superblock>(lab.path(), OffsetOf(pfn));
         sb.format_version = 2;
         sb.checksum++;
         WriteStruct(lab.path(), OffsetOf(pfn), sb);
       }
       Lab::RequireRefused(lab.Open(), Code::kNotSupported);
     }},
    {"super.incompat",
     [](Dir dir) {
       RefuseSuperblocks(dir, Code::kNotSupported,
                         [](Superblock& sb) { sb.feature_incompat |= 1u << 20; });
     }},
    {"super.rocompat",
     [](Dir dir) {
       RefuseSuperblocks(dir, Code::kNotSupported,
                         [](Superblock& sb) { sb.feature_ro_compat |= 1u << 20; });
     }},
    {"super.frames",
     [](Dir dir) {
       RefuseSuperblocks(dir, Code::kCorruption, [](Superblock& sb) { sb.frames -= 1; });
     }},
    {"super.truncated",
     [](Dir dir) {
       Lab lab(dir);
       lab.Close();
       EditSuperblocks(lab.path(), [](Superblock& sb) { sb.frames += kBlockFrames; });
       const Status s = lab.Open();
       Lab::RequireRefused(s);
       Require(Contains(s, "truncated"), "it does not say why: " + s.ToString());
     }},
    {"super.fields",
     [](Dir dir) {
       RefuseSuperblocks(dir, Code::kCorruption, [](Superblock& sb) { sb.number_limit = 0; });
     }},
    {"super.newest",
     [](Dir dir) {
       Lab lab(dir);
       lab.Close();
       const std::string old = ReadAt(lab.path(), OffsetOf(kMirrorPfn), sizeof(Superblock));
       lab.Reopen();
       const Superblock while_open = ReadStruct<Superblock>(lab.path(), 0);
       lab.Close();
       WriteStruct(lab.path(), OffsetOf(kMirrorPfn), while_open);  // whole, but not clean
       Must(lab.Open());
       Require(lab.pool().GetInfo().was_clean, "an older superblock counts");
     }},
    {"mount.size",
     [](Dir dir) {
       Lab lab(dir);
       lab.Close();
       Require(truncate(lab.path().c_str(), 4 * kFrameSize) == 0, "truncate");
       const Status s = lab.Open();
       Lab::RequireRefused(s);
       Require(Contains(s, "not a tuff pool"), "it does not say why: " + s.ToString());
     }},
    {"status.checksum",
     [](Dir dir) {
       Lab lab(dir);
       Require(StatusOf(lab, 0, false).snapshots == 0, "a torn status is shown");
     }},
    {"status.mount",
     [](Dir dir) {
       Lab lab(dir);
       Require(StatusOf(lab, 1, true).snapshots == 0, "another mount's status is shown");
     }},
    {"memmap.owner",
     [](Dir dir) {
       Lab lab(dir, 60);
       const size_t free = lab.CountHandedOut();
       const Pfn damaged = kBlockFrames - 12;  // in the block of the pool's first nodes
       lab.Close();
       const OwnerWord word{static_cast<uint8_t>(FrameKind::kTreeNode), 9, 0, 1, 16};
       WriteStruct(lab.path(), OwnerWordOffset(damaged), word);
       lab.Reopen();
       const size_t now = lab.CountHandedOut();
       Require(now == free - 1, fmt::format("{} frames, then {}", free, now));
     }},
};

const Killer kLaneKillers[] = {
    {"lane.runs",
     [](Dir dir) {
       Crashed c(dir);
       c.entry.new_runs = 300;  // on into the next lane's frame
       c.lab.WriteEntry(5, c.entry, Crashed::Runs(300, c.run));
       c.RequireDropped();
     }},
    {"lane.inline",
     [](Dir dir) {
       Crashed c(dir);
       c.redo.new_value = 1ull << 45;
       c.lab.WriteEntry(5, c.redo, Crashed::StoreTo(c.record));
       c.RequireDropped();
     }},
    {"lane.checksum",
     [](Dir dir) {
       Crashed c(dir);
       c.entry.new_runs = 1;
       c.lab.WriteEntry(5, c.entry, Crashed::Runs(1, c.run));
       c.lab.Flip(OffsetOf(kLanesPfn + 5) + offsetof(LaneEntry, object_id));
       c.RequireDropped();
     }},
    {"lane.redo",
     [](Dir dir) {
       Crashed c(dir);
       c.redo.new_runs = 1;
       c.lab.WriteEntry(5, c.redo, Crashed::Runs(1, c.run));
       c.RequireRefused();
     }},
    {"lane.run",
     [](Dir dir) {
       Crashed c(dir);
       c.entry.new_runs = 1;
       c.run.pfn++;
       c.lab.WriteEntry(5, c.entry, Crashed::Runs(1, c.run));
       c.RequireRefused();
     }},
    {"lane.place",
     [](Dir dir) {
       Crashed c(dir);
       c.entry.place = 1ull << 60;
       c.lab.WriteEntry(5, c.entry, "");
       c.RequireRefused();
     }},
    {"lane.word",
     [](Dir dir) {
       Crashed c(dir);
       c.entry.old_value += 2;
       c.lab.WriteEntry(5, c.entry, "");
       c.RequireRefused();
     }},
    {"lane.record",
     [](Dir dir) {
       Crashed c(dir);
       c.entry.decider = static_cast<uint16_t>(LaneDecider::kRecord);
       c.entry.place = OffsetOf(c.free);
       c.entry.record_bytes = 64;
       c.entry.new_runs = 1;
       c.run = {c.free - 1, PackOwner(c.free - 1, FrameKind::kMetadata, 0, 99)};
       c.lab.WriteEntry(5, c.entry, Crashed::Runs(1, c.run));
       c.RequireDropped();
     }},
    {"lane.empty",
     [](Dir dir) {
       Lab lab(dir);
       lab.Close();
       WriteAt(lab.path(), OffsetOf(kLanesPfn + 9), "garbage!");
       Lab::RequireRefused(lab.Open());
     }},
    {"redo.store",
     [](Dir dir) {
       Crashed c(dir);
       const std::string list = Crashed::StoreTo(OffsetOf(2 * kBlockFrames), 8u << 20);
       c.redo.new_value = list.size();
       c.lab.WriteEntry(5, c.redo, list);
       c.RequireRefused();
     }},
    {"redo.target",
     [](Dir dir) {
       Crashed c(dir);
       const std::string list = Crashed::StoreTo(OwnerWordOffset(c.leaf));
       c.redo.new_value = list.size();
       c.lab.WriteEntry(5, c.redo, list);
       c.RequireRefused();
     }},
    {"redo.place",
     [](Dir dir) {
       Crashed c(dir);
       c.redo.new_value = 32;
       c.redo.place = 1ull << 60;
       c.lab.WriteEntry(5, c.redo, "");
       c.RequireDropped();
     }},
    {"redo.bytes",
     [](Dir dir) {
       Crashed c(dir);
       c.redo.new_value = 32;
       c.redo.place = OffsetOf(c.free);
       c.WriteChunk(Crashed::StoreTo(c.record), 1ull << 45, true);
       c.lab.WriteEntry(5, c.redo, "");
       c.RequireDropped();
     }},
    {"redo.checksum",
     [](Dir dir) {
       Crashed c(dir);
       c.redo.new_value = 32;
       c.redo.place = OffsetOf(c.free);
       c.WriteChunk(Crashed::StoreTo(c.record), 32, false);
       c.lab.WriteEntry(5, c.redo, "");
       c.RequireDropped();
     }},
    {"redo.whole",
     [](Dir dir) {
       Crashed c(dir);
       c.redo.new_value = 64;
       c.redo.place = OffsetOf(c.free);
       c.WriteChunk(Crashed::StoreTo(c.record), 32, true);
       c.lab.WriteEntry(5, c.redo, "");
       c.RequireDropped();
     }},
};

class SuperblockMutant : public ::testing::TestWithParam<Killer> {};
TEST_P(SuperblockMutant, IsKilled) { ExpectKilled(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, SuperblockMutant, ::testing::ValuesIn(kSuperblocks), NameOfKiller);

class LaneMutant : public ::testing::TestWithParam<Killer> {};
TEST_P(LaneMutant, IsKilled) { ExpectKilled(GetParam()); }
INSTANTIATE_TEST_SUITE_P(All, LaneMutant, ::testing::ValuesIn(kLaneKillers), NameOfKiller);

[[maybe_unused]] const bool listed = ListKillers(kSuperblocks) && ListKillers(kLaneKillers);

}  // namespace
}  // namespace tuff::test
