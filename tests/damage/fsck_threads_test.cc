// The check by several threads finds what one finds, in the same order.
#include "engine/repair/fsck.h"

#include <fmt/format.h>

#include <atomic>

#include "tests/engine/engine_test_util.h"
#include "tests/engine/pool_bytes.h"

namespace tuff::test {
namespace {

std::vector<std::string> Check(const std::string& path, unsigned threads, FsckReport* report) {
  auto image = PoolImage::Open(path, {});
  EXPECT_OK(image.status());
  FsckOptions options;
  options.threads = threads;
  std::atomic<uint64_t> last{0};
  options.progress = [&](uint64_t nodes) {
    last = nodes;
    return true;
  };
  auto found = RunFsck(**image, options);
  EXPECT_OK(found.status());
  EXPECT_GT(last, 0u);
  std::vector<std::string> texts;
  for (const Problem& problem : found->problems) texts.push_back(problem.text);
  *report = std::move(*found);
  return texts;
}

TEST(FsckThreads, FindTheSame) {
  PoolFixture fixture;
  std::vector<Pfn> leaves;
  for (int i = 0; i < 4000; i++) {
    ASSERT_OK(fixture.store().Put(fmt::format("key{:06}", i * 7919 % 4000), "value"));
  }
  fixture.Close();
  {
    auto image = PoolImage::Open(fixture.path(), {});
    ASSERT_OK(image.status());
    (*image)->ForEachOwnerWord(0, [&](Pfn pfn, uint64_t word) {
      const bool node = UnpackOwner(word).kind == static_cast<uint8_t>(FrameKind::kTreeNode);
      if (node && (*image)->NodeAt(pfn, 0).is_leaf()) leaves.push_back(pfn);
    });
  }
  ASSERT_GT(leaves.size(), 40u);
  for (size_t i = 5; i < leaves.size(); i += 9) FlipByte(fixture.path(), OffsetOf(leaves[i]) + 70);
  FsckReport one;
  const auto expected = Check(fixture.path(), 1, &one);
  EXPECT_GT(expected.size(), 3u);
  for (const unsigned threads : {2u, 5u}) {
    FsckReport more;
    EXPECT_EQ(Check(fixture.path(), threads, &more), expected);
    EXPECT_EQ(more.nodes, one.nodes);
    EXPECT_EQ(more.records, one.records);
    EXPECT_EQ(more.frames_in_use, one.frames_in_use);
  }
}

}  // namespace
}  // namespace tuff::test
