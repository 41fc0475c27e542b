// Golden images: pools of every format version, as they were written then, opened now.
//
// An image is a list of {pfn, 4096 bytes} of the frames that are not zero. To write the images of
// the present version: TUFF_GOLDEN_WRITE=1 golden_test (with --gtest_filter for some of them).
// Never rewrite those of a stable version.
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>

#include "pagemap/steps.h"
#include "tests/engine/engine_test_util.h"

namespace tuff::test {
namespace {

const std::string kDirectory = SourceFile("tests/golden/");

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

void ExpectGolden(Pool& pool, const Contents& expected) {
  EXPECT_EQ(Problems(pool), "");
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
  EXPECT_EQ(found, expected);
}

// What the image with batches holds.
Contents ContentsWithBatches() {
  Contents contents;
  for (const std::string name : {"numbers", "other"}) {
    for (int i = 0; i < 20; i++) contents[name]["key" + std::to_string(i)] = Value(i, 20);
    for (int i = 0; i < 4; i++) contents[name]["batch" + std::to_string(i)] = Value(i, 100);
  }
  for (int i = 0; i < 5; i++) contents["numbers"]["group" + std::to_string(i)] = Value(i, 30);
  return contents;
}

// Of that, the keys that begin so; in one batch.
void WriteThose(Pool& pool, const std::string& prefix) {
  WriteBatch batch;
  for (const auto& [name, records] : ContentsWithBatches()) {
    auto store = pool.OpenOrCreateStore(name);
    ASSERT_OK(store);
    for (const auto& [key, value] : records) {
      if (!key.starts_with(prefix)) continue;
      ASSERT_OK(batch.Put(**store, key, value));
    }
  }
  ASSERT_OK(pool.Write(batch));
}

// A store with more leaves than are freed in one step.
void FillDoomed(Pool& pool) {
  auto doomed = pool.CreateStore("doomed");
  ASSERT_OK(doomed);
  auto loader = (*doomed)->NewBulkLoader();
  ASSERT_OK(loader);
  for (int i = 0; i < 12000; i++) {
    ASSERT_OK((*loader)->Add("key" + std::to_string(100000 + i), Value(i, 160)));
  }
  ASSERT_OK((*loader)->Finish());
  loader = Status(Code::kBusy, "finished");
  ASSERT_OK(pool.WaitForBackgroundWork());
}

// Without the frames that are free, if `map` is given.
void WriteImage(const std::string& pool_path, const std::string& image_path,
                PageMap* map = nullptr) {
  const std::string bytes = ReadWholeFile(pool_path);
  const std::string zero(kFrameSize, '\0');
  Pfn in_use_to = 0;
  std::ofstream out(image_path, std::ios::binary);
  for (uint64_t pfn = 0; pfn < bytes.size() / kFrameSize; pfn++) {
    if (IsReserved(pfn) && (pfn & (kSectionFrames - 1)) >= kBlockFrames) continue;  // memmap
    if (map != nullptr && !IsReserved(pfn)) {
      const uint64_t owner = map->memmap().OwnerWordAt(pfn);
      if (owner != 0) in_use_to = pfn + (1ull << UnpackOwner(owner).order);
      if (pfn >= in_use_to) continue;
    }
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

// Stops the worker after its first step, and calls `at_commit` when a batch over several leaves is
// committed and not yet in them.
class Stopper : public StepObserver {
 public:
  explicit Stopper(std::function<void()> at_commit) : at_commit_(std::move(at_commit)) {
    SetStepObserver(this);
  }
  ~Stopper() override { SetStepObserver(nullptr); }

  void OnPoint(const Step& step) override {
    if (std::strcmp(step.id, "change.13") == 0) {
      std::unique_lock lock(mutex_);
      stands_ = true;
      changed_.notify_all();
      changed_.wait(lock, [&] { return may_go_; });
    } else if (std::strcmp(step.id, "batch.6") == 0 && stands_) {
      at_commit_();
    }
  }
  void AwaitStop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stands_.load(); });
  }
  void Go() {
    std::lock_guard lock(mutex_);
    may_go_ = true;
    changed_.notify_all();
  }

 private:
  const std::function<void()> at_commit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> stands_{false};
  bool may_go_ = false;
};

void WriteImageWithBatches(const std::string& image_path) {
  TempDir dir;
  auto pool = Pool::Create(dir.File("pool"), SmallPool(kPoolSizeMin, Granularity::kPage));
  ASSERT_OK(pool);
  FillDoomed(**pool);
  WriteThose(**pool, "key");
  const auto rewritten = [&] {
    const Statistics statistics = (*pool)->GetStatistics();
    return statistics.consolidations + statistics.splits;
  };
  const uint64_t before = rewritten();
  WriteThose(**pool, "group");  // all in one leaf
  Stopper stopper([&] { WriteImage(dir.File("pool"), image_path, &PoolTestPeer::Map(**pool)); });
  ASSERT_OK((*pool)->DropStore("doomed"));
  stopper.AwaitStop();
  WriteThose(**pool, "batch");
  EXPECT_EQ(rewritten(), before) << "the log with the group is gone";
  stopper.Go();
  ASSERT_OK((*pool)->WaitForBackgroundWork());
}

class GoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(GoldenTest, OpensAndHoldsWhatItHeld) {
  if (EnvNumber("TUFF_GOLDEN_WRITE", 0) != 0) GTEST_SKIP() << "images are being written";
  const bool unclean = std::string_view(GetParam()).find("v1.image") == std::string_view::npos;
  const bool batches = std::string_view(GetParam()).find("batches") != std::string_view::npos;
  const Contents expected = batches ? ContentsWithBatches() : GoldenContents();
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
      EXPECT_EQ((*pool)->GetStatistics().batches_replayed, batches ? 1u : 0u);
      EXPECT_EQ(Check(**pool).buried, batches ? 1u : 0u);
      ExpectGolden(**pool, expected);
    }
    options.read_only = false;
    for (int mount = 0; mount < 2; mount++) {
      auto pool = Pool::Open(path, options);
      ASSERT_OK(pool);
      EXPECT_EQ((*pool)->GetInfo().format_version, 1u);
      EXPECT_EQ((*pool)->GetInfo().was_clean, !unclean || mount > 0);
      EXPECT_OK((*pool)->WaitForBackgroundWork());
      EXPECT_EQ(Check(**pool).buried, 0u);
      const Statistics statistics = (*pool)->GetStatistics();
      EXPECT_EQ(statistics.batches_replayed, batches && mount == 0 ? 1u : 0u);
      EXPECT_EQ(statistics.nodes_dismantled > 1, batches && mount == 0);
      ExpectGolden(**pool, expected);
      auto store = (*pool)->OpenStore("numbers");
      ASSERT_OK(store);
      EXPECT_OK((*store)->Put("new", "record"));
      EXPECT_OK((*store)->Delete("new"));
      EXPECT_OK((*pool)->Close());
    }
    options.read_only = true;
    auto pool = Pool::Open(path, options);
    ASSERT_OK(pool);
    ExpectGolden(**pool, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Images, GoldenTest,
                         testing::Values("v1.image", "v1-unclean.image", "v1-batches.image"));

TEST(GoldenWriter, WritesThePresentVersion) {
  if (EnvNumber("TUFF_GOLDEN_WRITE", 0) == 0) {
    // Not a skip: what would be written is still checked.
    TempDir dir;
    auto pool = Pool::Create(dir.File("pool"), SmallPool());
    ASSERT_OK(pool);
    FillGolden(**pool);
    ExpectGolden(**pool, GoldenContents());
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

TEST(GoldenWriter, WritesThePresentVersionWithBatches) {
  const bool write = EnvNumber("TUFF_GOLDEN_WRITE", 0) != 0;
  TempDir dir;
  const std::string image = write ? kDirectory + "v1-batches.image" : dir.File("image");
  WriteImageWithBatches(image);
  ASSERT_FALSE(HasFailure());
  // Half of it: neither all of the doomed tree nor none.
  ReadImage(image, dir.File("pool"));
  auto pool = Pool::Open(dir.File("pool"), SmallPool().open);
  ASSERT_OK(pool);
  ASSERT_OK((*pool)->WaitForBackgroundWork());
  ExpectGolden(**pool, ContentsWithBatches());
  const Statistics statistics = (*pool)->GetStatistics();
  EXPECT_EQ(statistics.batches_replayed, 1u);
  EXPECT_GT(statistics.nodes_dismantled, 1u);
  EXPECT_LT(statistics.nodes_dismantled, 100u);
}

}  // namespace
}  // namespace tuff::test
