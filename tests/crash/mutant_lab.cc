#include "tests/crash/mutant_lab.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "engine/node.h"
#include "pagemap/superblock_format.h"
#include "tests/crash/isolate.h"
#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {

void Must(const Status& status) { Require(status.ok(), status.ToString()); }

Lab::Lab(std::string directory, int records, Granularity granularity)
    : directory_(std::move(directory)), granularity_(granularity), path_(directory_ + "/pool") {
  mallopt(M_PERTURB, 0x5a);  // no memory is zero by chance
  pool_ = Must(Pool::Create(path_, SmallPool(kPoolSizeMin, granularity)));
  store_ = Must(pool_->OpenOrCreateStore("store"));
  for (int i = 0; i < records; i++) Put(Key(i), Value(i));
}

std::string Lab::Key(int i) { return fmt::format("key{:05}", i); }

Status Lab::Get(const std::string& key, std::string* value) {
  std::string ignored;
  return store_->Get(key, value != nullptr ? value : &ignored);
}

std::string Lab::Read(const std::string& key, const Snapshot* snapshot) {
  std::string value;
  const Status s = store_->Get(key, &value, snapshot);
  if (s.IsNotFound()) return "";
  Must(s);
  return value;
}

void Lab::RequireAll(int records) {
  for (int i = 0; i < records; i++) {
    Require(Read(Key(i)) == Value(i), Key(i) + " has another value");
  }
}

void Lab::Close() {
  Must(pool_->Close());
  pool_.reset();
}

Status Lab::Open() {
  OpenOptions options;
  options.force_granularity = granularity_;
  options.background_consolidation = false;
  options.guard = Guard::kNone;
  auto opened = Pool::Open(path_, options);
  if (!opened.ok()) return opened.TakeStatus();
  pool_ = std::move(*opened);
  auto store = pool_->OpenStore("store");
  if (!store.ok()) return store.TakeStatus();
  store_ = *store;
  return Status();
}

void Lab::Reopen() {
  if (pool_ != nullptr) Close();
  Must(Open());
}

std::string Lab::Copy() {
  std::string to = fmt::format("{}/copy{}", directory_, copies_++);
  std::filesystem::copy_file(path_, to);
  return to;
}

void Lab::UseFile(const std::string& path) {
  if (pool_ != nullptr) {
    (void)pool_->Close();
    pool_.reset();
  }
  path_ = path;
}

void Lab::Kill() { UseFile(Copy()); }

ObjectInfo Lab::Object() { return Must(PoolTestPeer::GetCatalogue(*pool_).Find("store")); }

Pfn Lab::Anchor() { return Object().anchor; }

Pfn Lab::Root() {
  const uint64_t place = OffsetOf(Anchor()) + offsetof(struct Anchor, root);
  return ChildPfn(Load64(map().base() + place));
}

Pfn Lab::LeafOf(const std::string& key) {
  const ObjectInfo object = Object();
  Tree tree(map(), object.id, object.anchor);
  LeafSnapshot leaf;
  Must(tree.PinLeaf(key, SeekTo::kAt, &leaf));
  tree.Unpin(leaf.node.pfn());
  return leaf.node.pfn();
}

void Lab::RewriteLeafOf(const std::string& key) {
  const std::string value = Read(key);
  for (const Pfn before = LeafOf(key); LeafOf(key) == before;) Put(key, value);
}

std::vector<Pfn> Lab::TakeAll() {
  std::vector<Pfn> taken;
  while (const Pfn next = map().allocator().Allocate(0, AllocFor::kGrowth)) taken.push_back(next);
  return taken;
}

void Lab::GiveBack(const std::vector<Pfn>& taken) {
  for (const Pfn each : taken) map().allocator().Free(each, 0);
}

bool Lab::IsHandedOut(Pfn pfn) {
  const std::vector<Pfn> taken = TakeAll();
  GiveBack(taken);
  return std::find(taken.begin(), taken.end(), pfn) != taken.end();
}

size_t Lab::CountHandedOut() {
  map().limbo().Reclaim();
  const std::vector<Pfn> taken = TakeAll();
  GiveBack(taken);
  return taken.size();
}

void Lab::RequireSound() {
  const std::string problems = Problems(*pool_);
  Require(problems.empty(), problems);
}

void Lab::RequireNothingLeaked() {
  Must(pool_->WaitForBackgroundWork());
  const size_t before = CountHandedOut();
  Reopen();
  const size_t after = CountHandedOut();
  Require(before == after, fmt::format("{} frames can be had, {} after a mount", before, after));
}

uint64_t Lab::hash_seed() const { return ReadStruct<Superblock>(path_, 0).hash_seed; }

void Lab::Flip(uint64_t offset) { FlipByte(path_, offset); }

void Lab::EditNode(Pfn pfn, const std::function<void(std::byte*)>& edit, bool sealed) {
  constexpr size_t kRead = 2 * kNodeBytesMax;
  std::string text = ReadAt(path_, OffsetOf(pfn), kRead);
  const std::string before = text;
  auto* const node = reinterpret_cast<std::byte*>(text.data());
  edit(node);
  NodeHeader header;
  std::memcpy(&header, node, sizeof header);
  const size_t end = size_t{header.base_end} * 8;
  if (sealed) header.checksum = NodeChecksum(node, end, hash_seed(), pfn);
  std::memcpy(node, &header, sizeof header);
  WriteAt(path_, OffsetOf(pfn), text);
}

void Lab::WriteEntry(unsigned lane, LaneEntry entry, std::string_view behind) const {
  std::string bytes(reinterpret_cast<const char*>(&entry), sizeof entry);
  bytes += behind;
  constexpr size_t kFrom = offsetof(LaneEntry, decider);
  entry.checksum = Checksum64(bytes.data() + kFrom, bytes.size() - kFrom,
                              hash_seed() ^ Mix64(entry.state + lane));
  std::memcpy(bytes.data(), &entry, sizeof entry);
  WriteAt(path_, OffsetOf(kLanesPfn + lane), bytes);
}

void Lab::RequireRefused(const Status& status, Code code) {
  Require(status.code() == code, "not refused: " + status.ToString());
}

namespace {

// A mutant may run for ever, or wait for ever.
void LimitTime() {
  const itimerval limit{{0, 0}, {1, 0}};
  (void)setitimer(ITIMER_PROF, &limit, nullptr);
  (void)alarm(4);
}

struct Ending {
  std::string wrong;  // empty: well
  bool reached = false;
};

Ending Play(const Killer& killer, bool mutant) {
  const TempDir dir;
  const Isolated isolated = RunIsolated([&]() -> std::string {
    NowDoing(killer.id);
    if (mutant) {
      LimitTime();
      SetMutant(killer.id);
    }
    std::string wrong;
    try {
      killer.scene(dir.path());
    } catch (const Wrong& problem) {
      wrong = problem.what;
    }
    return (MutantHits() > 0 ? "+" : "-") + wrong;
  });
  if (!isolated.death.empty()) return {isolated.death, true};
  return {isolated.output.substr(1), isolated.output[0] == '+'};
}

}  // namespace

void ExpectKilled(const Killer& killer) {
  const Ending well = Play(killer, false);
  ASSERT_EQ(well.wrong, "") << killer.id << ": wrong with nothing left out";
  if (kSanitized) GTEST_SKIP() << "what a mutant does wrong is not for a sanitizer to judge";
  const Ending badly = Play(killer, true);
  ASSERT_TRUE(badly.reached) << "the scene never came to " << killer.id;
  ASSERT_NE(badly.wrong, "") << killer.id << " was left out, and all went well";
  const std::string line = badly.wrong.substr(0, badly.wrong.find('\n'));
  fmt::print("without {}: {}\n", killer.id, line);
  (void)std::fflush(stdout);
  NoteKilled(killer.id, " a scene: " + line);
}

std::string NameOfKiller(const ::testing::TestParamInfo<Killer>& info) {
  std::string name = fmt::format("without_{}", info.param.id);
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

}  // namespace tuff::test
