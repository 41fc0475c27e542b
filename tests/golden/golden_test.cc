// Golden images: pools of every format version, as they were written then, opened now.
//
// An image is a list of {pfn, 4096 bytes} of the frames that are not zero. To write the images of
// the present version: TUFF_GOLDEN_WRITE=1 golden_test. Never rewrite those of a stable version.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>

#include "engine/check.h"
#include "engine/pool_impl.h"
#include "tests/test_util.h"

namespace tuff::test {
namespace {

const std::string kDirectory = TUFF_SOURCE_DIR "/tests/golden/";

using Contents = std::map<std::string, std::map<std::string, std::string>>;

std::string Value(int i, size_t n) {
  std::string value = "value " + std::to_string(i) + " ";
  while (value.size() < n) value += value;
  return value.substr(0, n);
}

// What the images hold.
Contents GoldenContents() {
  Contents contents;
  for (int i = 0; i < 300; i++) {
    if (i % 7 == 3) continue;  // deleted
    contents["numbers"]["key" + std::to_string(i)] = Value(i % 5 == 0 ? i + 1000 : i, 20);
  }
  for (int i = 0; i < 12; i++) {
    contents["renamed"][std::string(static_cast<size_t>(1 + i * 60), 'k') + std::to_string(i)] =
        Value(i, static_cast<size_t>(i) * 350);
  }
  contents["empty"];
  return contents;
}

void FillGolden(Pool& pool) {
  auto numbers = pool.CreateStore("numbers");
  ASSERT_OK(numbers);
  for (int i = 0; i < 300; i++) {
    ASSERT_OK((*numbers)->Put("key" + std::to_string(i * 7919 % 300), Value(i * 7919 % 300, 20)));
  }
  for (int i = 0; i < 300; i++) {
    const std::string key = "key" + std::to_string(i);
    if (i % 7 == 3) {
      ASSERT_OK((*numbers)->Delete(key));
    } else if (i % 5 == 0) {
      ASSERT_OK((*numbers)->Put(key, Value(i + 1000, 20)));
    }
  }
  auto large = pool.CreateStore("large");
  ASSERT_OK(large);
  const Contents contents = GoldenContents();
  for (const auto& [key, value] : contents.at("renamed")) ASSERT_OK((*large)->Put(key, value));
  ASSERT_OK(pool.CreateStore("empty"));
  ASSERT_OK(pool.RenameStore("large", "renamed"));
}

void ExpectGolden(Pool& pool) {
  const CheckReport report = CheckPool(PoolTestPeer::Map(pool), PoolTestPeer::GetCatalogue(pool));
  EXPECT_TRUE(report.problems.empty()) << report.ToString();
  Contents found;
  auto stores = pool.ListStores();
  ASSERT_OK(stores);
  for (const StoreInfo& info : *stores) {
    auto store = pool.OpenStore(info.name);
    ASSERT_OK(store);
    auto& records = found[info.name];
    auto it = (*store)->NewIterator();
    for (it->SeekToFirst(); it->Valid(); it->Next()) records.emplace(it->key(), it->value());
    EXPECT_OK(it->status());
  }
  EXPECT_EQ(found, GoldenContents());
}

void WriteImage(const std::string& pool_path, const std::string& image_path) {
  const std::string bytes = ReadWholeFile(pool_path);
  const std::string zero(kFrameSize, '\0');
  std::ofstream out(image_path, std::ios::binary);
  for (uint64_t pfn = 0; pfn < bytes.size() / kFrameSize; pfn++) {
    if (IsReserved(pfn) && (pfn & (kSectionFrames - 1)) >= kBlockFrames) continue;  // memmap
    const std::string_view frame(bytes.data() + OffsetOf(pfn), kFrameSize);
    if (frame == zero) continue;
    out.write(reinterpret_cast<const char*>(&pfn), sizeof pfn);
    out.write(frame.data(), static_cast<std::streamsize>(frame.size()));
  }
  ASSERT_TRUE(out.good()) << image_path;
}

void ReadImage(const std::string& image_path, const std::string& pool_path) {
  std::ifstream in(image_path, std::ios::binary);
  ASSERT_TRUE(in.is_open()) << image_path;
  std::ofstream out(pool_path, std::ios::binary);
  uint64_t pfn = 0;
  std::string frame(kFrameSize, '\0');
  while (in.read(reinterpret_cast<char*>(&pfn), sizeof pfn)) {
    ASSERT_TRUE(in.read(frame.data(), static_cast<std::streamsize>(frame.size())));
    out.seekp(static_cast<std::streamoff>(OffsetOf(pfn)));
    out.write(frame.data(), static_cast<std::streamsize>(frame.size()));
  }
  out.close();
  std::filesystem::resize_file(pool_path, kPoolSizeMin);
}

class GoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(GoldenTest, OpensAndHoldsWhatItHeld) {
  if (EnvNumber("TUFF_GOLDEN_WRITE", 0) != 0) GTEST_SKIP() << "images are being written";
  const bool unclean = std::string_view(GetParam()).find("unclean") != std::string_view::npos;
  for (const Granularity granularity : {Granularity::kPage, Granularity::kCacheLine}) {
    TempDir dir;
    const std::string path = dir.File("pool");
    ReadImage(kDirectory + GetParam(), path);
    ASSERT_FALSE(HasFailure());
    OpenOptions options = SmallPool(kPoolSizeMin, granularity).open;
    options.read_only = true;
    {
      auto pool = Pool::Open(path, options);
      ASSERT_OK(pool);
      EXPECT_EQ((*pool)->GetInfo().recovered_in_memory, unclean);
      ExpectGolden(**pool);
    }
    options.read_only = false;
    for (int mount = 0; mount < 2; mount++) {
      auto pool = Pool::Open(path, options);
      ASSERT_OK(pool);
      EXPECT_EQ((*pool)->GetInfo().format_version, 1u);
      EXPECT_EQ((*pool)->GetInfo().was_clean, !unclean || mount > 0);
      ExpectGolden(**pool);
      auto store = (*pool)->OpenStore("numbers");
      ASSERT_OK(store);
      EXPECT_OK((*store)->Put("new", "record"));
      EXPECT_OK((*store)->Delete("new"));
      EXPECT_OK((*pool)->Close());
    }
    options.read_only = true;
    auto pool = Pool::Open(path, options);
    ASSERT_OK(pool);
    ExpectGolden(**pool);
  }
}

INSTANTIATE_TEST_SUITE_P(Images, GoldenTest, testing::Values("v1.image", "v1-unclean.image"));

TEST(GoldenWriter, WritesThePresentVersion) {
  if (EnvNumber("TUFF_GOLDEN_WRITE", 0) == 0) {
    // Not a skip: what would be written is still checked.
    TempDir dir;
    auto pool = Pool::Create(dir.File("pool"), SmallPool());
    ASSERT_OK(pool);
    FillGolden(**pool);
    ExpectGolden(**pool);
    return;
  }
  TempDir dir;
  auto pool = Pool::Create(dir.File("pool"), SmallPool(kPoolSizeMin, Granularity::kPage));
  ASSERT_OK(pool);
  FillGolden(**pool);
  WriteImage(dir.File("pool"), kDirectory + "v1-unclean.image");
  ASSERT_OK((*pool)->Close());
  WriteImage(dir.File("pool"), kDirectory + "v1.image");
}

}  // namespace
}  // namespace tuff::test
