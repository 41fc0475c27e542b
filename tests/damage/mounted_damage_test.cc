// Damage done while the pool is open, to nodes that have been verified long ago: each byte of a
// plain leaf, of a compound one, and of inner nodes of both levels.
//
// What must be: no crash, no hang, no wrong or invented value; a scan says so or is whole; what is
// written then is there, and nothing else is lost for good. What may be: a get that does not find a
// key of the leaf whose header, fingerprints or slots are damaged, since only what it finds has a
// checksum to look at; it is counted and printed. Whoever scans, rewrites or checks the leaf meets
// the damage.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "tests/crash/image_file.h"
#include "tests/crash/isolate.h"
#include "tests/damage/layout.h"
#include "tests/damage/rich_pool.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

constexpr unsigned kSecondsMax = kSanitized ? 120 : 30;

// An open pool, and the door through which its bytes are damaged.
class Victim {
 public:
  Victim(const SparseImage& image, const Layout& layout)
      : image_(image), layout_(layout), file_(dir_.File("pool"), image.bytes()), watch_(file_) {
    const int fd = open(file_.path().c_str(), O_RDWR | O_CLOEXEC);
    void* const at = mmap(nullptr, image.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) std::abort();
    bytes_ = static_cast<char*>(at);
  }
  ~Victim() { munmap(bytes_, image_.bytes()); }

  // As the image, with everything looked at once.
  void Open() {
    file_.Load(image_);
    auto pool = Pool::Open(file_.path(), SmallPool().open);
    if (!pool.ok()) return Fail(pool.status().ToString());
    pool_ = std::move(*pool);
    std::string value;
    for (const LeafStates& leaf : layout_.leaves) {
      if (leaf.keys.empty()) continue;
      Status s = StoreOf(leaf).Get(leaf.keys[0], &value);
      if (!s.ok() && !s.IsNotFound()) Fail(s.ToString());
    }
  }
  void Close() {
    (void)pool_->Close();
    pool_.reset();
  }

  Store& StoreOf(const LeafStates& leaf) { return **pool_->OpenStore(leaf.store); }
  void Flip(uint64_t at, unsigned mask) { bytes_[at] = static_cast<char>(bytes_[at] ^ mask); }
  void Restore(uint64_t at) {
    const SparseImage::Line line = image_.LineAt(at & ~63ull);
    bytes_[at] = static_cast<char>(line[at % 64]);
  }

  // Gets all of the leaf's keys. `hidden`: counts those that are not found though they are there.
  void Get(const LeafStates& leaf, uint64_t* hidden) {
    Store& store = StoreOf(leaf);
    std::string value;
    for (size_t k = 0; k < leaf.keys.size(); k++) {
      const auto& wanted = leaf.states.back()[k];
      Status s = store.Get(leaf.keys[k], &value);
      if (s.ok() && wanted != value) Fail("get finds a wrong value of " + leaf.keys[k]);
      if (s.IsNotFound() && wanted) ++*hidden;
      if (!s.ok() && !s.IsNotFound()) CheckError(s);
    }
  }

  // Scans from the leaf's first key to its last.
  void Scan(const LeafStates& leaf, bool forward) {
    const auto it = StoreOf(leaf).NewIterator();
    size_t k = forward ? 0 : leaf.keys.size() - 1;
    const auto& now = leaf.states.back();
    forward ? it->Seek(leaf.keys[k]) : it->SeekForPrev(leaf.keys[k]);
    for (; k < leaf.keys.size(); forward ? k++ : k--) {
      if (!now[k]) continue;
      if (!it->Valid()) {
        if (it->status().ok()) Fail("a scan leaves out " + leaf.keys[k]);
        if (!it->status().ok()) CheckError(it->status());
        return;
      }
      if (it->key() != leaf.keys[k] || it->value() != *now[k]) {
        return Fail("a scan finds something else at " + leaf.keys[k]);
      }
      forward ? it->Next() : it->Prev();
    }
  }

  // So many puts that the leaf is rewritten; what is acknowledged must be there.
  void Write(const LeafStates& leaf) {
    Store& store = StoreOf(leaf);
    std::map<std::string, std::string> put;
    for (int i = 0; i < 60; i++) {
      const std::string key =
          fmt::format("{}+{}", leaf.keys[static_cast<size_t>(i) % leaf.keys.size()], i);
      Status s = store.Put(key, std::string(80, 'p'));
      if (s.ok()) put[key] = std::string(80, 'p');
      if (!s.ok()) CheckError(s);
    }
    std::string value;
    for (const auto& [key, wanted] : put) {
      Status s = store.Get(key, &value);
      if (s.ok() ? value != wanted : s.IsNotFound()) Fail("what was put is not there: " + key);
    }
  }

  void Fail(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }
  bool failed() const { return !wrong_.empty(); }
  const std::string& wrong() const { return wrong_; }

 private:
  void CheckError(const Status& s) {
    if (s.code() != Code::kCorruption || !Contains(s, "pfn ")) Fail(s.ToString());
  }

  const SparseImage& image_;
  const Layout& layout_;
  TempDir dir_;
  ImageFile file_;
  ImageFile::Watch watch_;
  char* bytes_ = nullptr;
  std::unique_ptr<Pool> pool_;
  std::string wrong_;
};

struct Suffering {
  const Target* target;
  const LeafStates* leaf;  // whose keys are looked at
};

// Nodes of all shapes; of those under an inner node, one leaf.
std::vector<Suffering> Sufferers(const Layout& layout) {
  std::vector<Suffering> found;
  std::map<std::string, int> seen;
  for (const Target& target : layout.targets) {
    if (target.alone || target.scope.empty() || target.scope[0] >= layout.leaves.size()) continue;
    if (target.name.starts_with("anchor")) continue;
    const LeafStates& leaf = layout.leaves[target.scope[0]];
    const bool inner = target.scope.size() > 1;
    if (leaf.keys.empty() || seen[leaf.store + (inner ? "/inner" : "")]++ >= (inner ? 2 : 1))
      continue;
    found.push_back({&target, &leaf});
  }
  return found;
}

std::string Body(const SparseImage& image, const Layout& layout, const Suffering& who,
                 uint64_t stride, uint64_t write_stride) {
  Victim victim(image, layout);
  Random random(3);
  std::map<std::string, uint64_t> hidden;
  uint64_t flips = 0;
  const auto each = [&](uint64_t every, const auto& use) {
    for (const Region& region : who.target->regions) {
      if (region.kind == Kind::kOwnerWord) continue;
      const bool bulk = region.to - region.from > 400;
      for (uint64_t at = region.from; at < region.to && !victim.failed(); at++) {
        if (every > 1 && random.Below(bulk ? 8 * every : every) != 0) continue;
        const unsigned mask = random.OneIn(2) ? 0xff : 1u << random.Below(8);
        alarm(kSecondsMax);
        NowDoing(fmt::format("{} + {} ({}) ^ {:#x}", who.target->name, at - region.from,
                             KindName(region.kind), mask));
        use(at, mask, KindName(region.kind));
        if (victim.failed())
          return fmt::format("{} + {} ({}) ^ {:#x}: {}", who.target->name, at - region.from,
                             KindName(region.kind), mask, victim.wrong());
      }
    }
    return std::string();
  };
  victim.Open();
  std::string wrong = each(stride, [&](uint64_t at, unsigned mask, const char* kind) {
    victim.Flip(at, mask);
    victim.Get(*who.leaf, &hidden[kind]);
    victim.Scan(*who.leaf, true);
    victim.Scan(*who.leaf, false);
    victim.Restore(at);
    flips++;
  });
  victim.Close();
  if (wrong.empty()) {
    wrong = each(write_stride, [&](uint64_t at, unsigned mask, const char*) {
      victim.Open();
      victim.Flip(at, mask);
      victim.Write(*who.leaf);
      victim.Restore(at);
      uint64_t none = 0;
      victim.Get(*who.leaf, &none);
      if (none > 0) victim.Fail("a record is lost for good");
      victim.Close();
    });
  }
  for (const auto& [kind, n] : hidden) {
    if (n == 0) continue;
    std::fprintf(stderr, "%s: %lu flips in all; keys not found after those in the %s: %lu\n",
                 who.target->name.c_str(), flips, kind.c_str(), n);
    if (kind != "leaf header" && kind != "leaf tables") wrong += " a get overlooks a key: " + kind;
  }
  return wrong;
}

TEST(MountedDamage, IsNeverAWrongValueAndNeverALoss) {
  ASSERT_FALSE(TheRichPool().stores.empty());
  const SparseImage& image = TheRichPool().clean;
  const Layout layout = ReadLayout(image, image, TheRichPool().stores);
  const std::vector<Suffering> sufferers = Sufferers(layout);
  ASSERT_GT(sufferers.size(), 5u);
  const bool thorough = EnvNumber("TUFF_DAMAGE_THOROUGH", 0) != 0;
  const uint64_t stride = thorough ? 1 : kSanitized ? 24 : 2;
  for (const Suffering& who : sufferers) {
    const Isolated run = RunIsolated([&] {
      return Body(image, layout, who, stride, thorough ? 1 : kSanitized ? 200 : 24);
    });
    EXPECT_EQ(run.death + run.output, "");
  }
}

}  // namespace
}  // namespace tuff::test
