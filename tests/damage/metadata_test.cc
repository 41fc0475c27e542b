// What is sent of a pool to somebody: nothing that users have written, and all of the damage.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <regex>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include "engine/repair/dump_stream.h"
#include "engine/repair/key_ranks.h"
#include "tests/crash/image_file.h"
#include "tests/crash/isolate.h"
#include "tests/damage/damage.h"
#include "tests/damage/rich_pool.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

std::string DumpOf(const std::string& path, const DumpOptions& options = {}) {
  std::string stream;
  auto summary = DumpMetadata(path, options, [&](std::string_view bytes) {
    stream += bytes;
    return Status();
  });
  EXPECT_OK(summary.status());
  return stream;
}

Status Restore(const std::string& stream, const std::string& path) {
  size_t at = 0;
  MetadataReader reader([&](char* to, size_t n) -> Result<size_t> {
    n = std::min(n, stream.size() - at);
    std::memcpy(to, stream.data() + at, n);
    at += n;
    return n;
  });
  if (Status s = reader.ReadHeader(); !s.ok()) return s;
  const FileDescriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  EXPECT_EQ(ftruncate(file.get(), static_cast<off_t>(reader.pool_bytes())), 0);
  for (;;) {
    MetadataReader::Piece piece;
    auto more = reader.Next(&piece);
    if (!more.ok()) return more.TakeStatus();
    if (!*more) return Status();
    EXPECT_EQ(pwrite(file.get(), piece.bytes.data(), piece.bytes.size(),
                     static_cast<off_t>(piece.offset)),
              static_cast<ssize_t>(piece.bytes.size()));
  }
}

// What the check says of a pool, and where; or why it cannot be opened.
struct Diagnosis {
  std::string refused;
  std::map<std::string, std::string> pfns;  // and the first problem there
  CheckReport report;
};

Diagnosis Diagnose(const std::string& path) {
  Diagnosis diagnosis;
  OpenOptions options = SmallPool().open;
  options.read_only = true;
  auto pool = Pool::Open(path, options);
  if (!pool.ok()) {
    diagnosis.refused = CodeName(pool.status().code());
    return diagnosis;
  }
  diagnosis.report = Check(**pool);
  const std::regex number("(pfn|lane) [0-9]+");
  for (const std::string& problem : diagnosis.report.problems) {
    std::smatch match;
    std::string where = std::regex_search(problem, match, number) ? match.str() : problem;
    // What a damaged word leads to beyond the pool may be text.
    const bool beyond = where.starts_with("pfn ") &&
                        std::stoull(where.substr(4)) >= PoolTestPeer::Map(**pool).frames();
    if (beyond) where = "nowhere";
    diagnosis.pfns.emplace(where, problem);
  }
  return diagnosis;
}

std::string Compare(const Diagnosis& before, const Diagnosis& after) {
  if (before.refused != after.refused) {
    return fmt::format("'{}' became '{}'\n", before.refused, after.refused);
  }
  std::string differences;
  for (const auto& [report, other, what] :
       {std::tuple(&before, &after, "gone"), std::tuple(&after, &before, "new")}) {
    for (const auto& [pfn, problem] : report->pfns) {
      if (!other->pfns.contains(pfn)) differences += fmt::format("{}: {}\n", what, problem);
    }
  }
  if (!differences.empty()) return differences;
  if (before.pfns.empty() && before.report.records != after.report.records) {
    return fmt::format("{} records became {}\n", before.report.records, after.report.records);
  }
  return "";
}

// The parts of the contents that are long enough not to be there by chance.
std::string LeakOf(const Contents& contents, const std::string& stream, bool keys) {
  constexpr size_t kPart = 10;
  std::unordered_set<std::string_view> parts;
  for (size_t i = 0; i + kPart <= stream.size(); i++) parts.insert({stream.data() + i, kPart});
  std::unordered_set<std::string_view> shown;  // values have parts of keys in them
  for (const auto& [key, value] : contents) {
    for (size_t i = 0; i + kPart <= key.size() && !keys; i++) shown.insert({key.data() + i, kPart});
  }
  for (const auto& [key, value] : contents) {
    const size_t slash = key.find('/');
    const std::string user = slash == key.npos ? key : key.substr(slash + 1);
    for (const std::string& text : {value, keys ? user : std::string()}) {
      for (size_t i = 0; i + kPart <= text.size(); i += kPart) {
        const std::string part = text.substr(i, kPart);
        if (!shown.contains(part) && parts.contains(part)) return key + ": " + part + "\n";
      }
    }
  }
  return "";
}

class MetadataTest : public testing::TestWithParam<bool> {};

TEST_P(MetadataTest, OfARichPool) {
  const RichPool& rich = TheRichPool();
  ASSERT_FALSE(rich.stores.empty());
  for (const SparseImage* image : {&rich.clean, &rich.unclean}) {
    const Isolated run = RunIsolated([&]() -> std::string {
      TempDir dir;
      if (!image->WriteTo(dir.File("old"))) return "cannot write";
      const std::string stream = DumpOf(dir.File("old"), {.hide_keys = GetParam()});
      if (Status s = Restore(stream, dir.File("new")); !s.ok()) return s.ToString();
      const std::string leak = LeakOf(rich.contents, stream, GetParam());
      return leak + Compare(Diagnose(dir.File("old")), Diagnose(dir.File("new")));
    });
    EXPECT_EQ(run.death + run.output, "");
  }
}

TEST_P(MetadataTest, TheDamageStays) {
  const RichPool& rich = TheRichPool();
  ASSERT_FALSE(rich.stores.empty());
  Thoroughness how;
  how.stride = EnvNumber("TUFF_DAMAGE_STRIDE", kSanitized ? 600 : 120);
  how.stride_bulk = 16;
  how.stride_leaves = 12;
  for (const bool clean : {true, false}) {
    const SparseImage& image = clean ? rich.clean : rich.unclean;
    const Layout layout = ReadLayout(image, clean ? image : rich.recovered, rich.stores);
    const std::vector<Damage> damages = AllDamages(image, layout, rich.earlier, how);
    const auto sets = Combine(damages, layout, 20);
    const Isolated run = RunIsolated([&] {
      TempDir dir;
      ImageFile file(dir.File("old"), image.bytes());
      std::string wrong;
      int leak_turn = 0;
      for (const auto& set : sets) {
        std::string text;
        for (const uint32_t i : set) text += damages[i].ToString(layout) + "; ";
        NowDoing(text);
        file.Load(Apply(image, damages, set));
        const std::string stream = DumpOf(file.path(), {.hide_keys = GetParam()});
        Status s = Restore(stream, dir.File("new"));
        std::string problem = s.ok() ? "" : s.ToString();
        problem += Compare(Diagnose(file.path()), Diagnose(dir.File("new")));
        if (leak_turn++ % 8 == 0) {
          problem += LeakOf(clean ? rich.contents : rich.contents_recovered, stream, GetParam());
        }
        if (!problem.empty()) wrong += problem + "\n  with " + text + "\n";
        if (wrong.size() > 6000) break;
      }
      return wrong;
    });
    EXPECT_EQ(run.death + run.output, "") << sets.size() << " images";
  }
}

INSTANTIATE_TEST_SUITE_P(Keys, MetadataTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Hidden" : "Shown"; });

TEST(KeyRanksTest, LengthsAndOrderStay) {
  KeyRanks ranks;
  for (const char* const key : {"bob", "ada", "adele", "ad", "b", "bob"}) ranks.Add(key);
  ranks.Number();
  const auto bytes = [](std::initializer_list<char> text) { return std::string(text); };
  EXPECT_EQ(ranks.Of("ad"), bytes({0, 0}));
  EXPECT_EQ(ranks.Of("ada"), bytes({0, 0, 0}));
  EXPECT_EQ(ranks.Of("adele"), bytes({0, 0, 1, 0, 0}));
  EXPECT_EQ(ranks.Of("b"), bytes({1}));
  EXPECT_EQ(ranks.Of("bob"), bytes({1, 0, 0}));
  EXPECT_EQ(ranks.Of("none"), bytes({0, 0, 0, 0}));
  Random random(3);
  KeyRanks many;
  std::set<std::string> keys;
  for (int i = 0; i < 3000; i++) {
    std::string key(1 + random.Below(4), '\0');
    for (char& c : key) c = static_cast<char>(random.Below(i % 2 == 0 ? 256 : 3));
    keys.insert(key);
    many.Add(key);
  }
  many.Number();
  std::string last;
  for (const std::string& key : keys) {
    EXPECT_EQ(many.Of(key).size(), key.size());
    EXPECT_LT(last, many.Of(key));
    last = many.Of(key);
  }
}

TEST(MetadataStreamTest, WhatIsDamagedIsRefused) {
  TempDir dir;
  {
    auto pool = Pool::Create(dir.File("old"), SmallPool());
    ASSERT_OK(pool);
    auto store = (*pool)->CreateStore("users");
    ASSERT_OK(store);
    for (int i = 0; i < 100; i++) EXPECT_OK((*store)->Put(fmt::format("key{}", i), "value"));
    EXPECT_OK((*pool)->Close());
  }
  const std::string stream = DumpOf(dir.File("old"));
  EXPECT_OK(Restore(stream, dir.File("new")));
  for (size_t n = 0; n < stream.size(); n += 97) {
    EXPECT_CODE(Restore(stream.substr(0, n), dir.File("new")), Code::kCorruption);
    std::string flipped = stream;
    flipped[n] = static_cast<char>(flipped[n] ^ 4);
    EXPECT_CODE(Restore(flipped, dir.File("new")), Code::kCorruption);
  }
  EXPECT_CODE(Restore(stream + "x", dir.File("new")), Code::kCorruption);
}

}  // namespace
}  // namespace tuff::test
