// Medium and WriteWindow.
#include "pagemap/window.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "tests/pagemap/pagemap_test_util.h"

namespace tuff::test {
namespace {

uint64_t Sum(PersistDomain& domain, Counter counter) { return domain.counters().Sum(counter); }

TEST(MediumTest, KnowsWhatIsForced) {
  DomainFixture page(Granularity::kPage);
  EXPECT_TRUE(page.domain().medium().power_safe());
  DomainFixture line(Granularity::kCacheLine);
  EXPECT_EQ(line.domain().medium().granularity(), Granularity::kCacheLine);
  EXPECT_EQ(line.domain().medium().medium_granularity(), Granularity::kPage);
  EXPECT_FALSE(line.domain().medium().power_safe());
}

TEST(MediumTest, NamesTheFileInErrors) {
  TempDir dir;
  const int fd = open(dir.File("short").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(ftruncate(fd, 4096), 0);
  const auto medium = Medium::Map(fd, dir.File("short"), 1 << 20, {});
  EXPECT_CODE(medium, Code::kCorruption);
  EXPECT_NE(medium.status().message().find("short"), std::string_view::npos);
  close(fd);
}

class WindowTest : public testing::TestWithParam<Granularity> {};

TEST_P(WindowTest, StoresWhatItIsGiven) {
  DomainFixture fixture(GetParam());
  PersistDomain& domain = fixture.domain();
  std::string text(5000, 't');
  {
    WriteWindow window(domain);
    window.Store(100, "hello", 5);
    window.Store64(200, 0x0123456789abcdef);
    window.StoreUnread64(208, 0xfedcba9876543210);
    TUFF_COPY("test.copy", window, 8192, text.data(), text.size());
    window.Zero(8200, 8);
    TUFF_FLUSH("test.flush", window, 0, 256);
    EXPECT_OK(TUFF_FENCE("test.fence", window));
  }
  EXPECT_EQ(std::memcmp(domain.base() + 100, "hello", 5), 0);
  EXPECT_EQ(Load64(domain.base() + 200), 0x0123456789abcdefu);
  EXPECT_EQ(Load64(domain.base() + 208), 0xfedcba9876543210u);
  EXPECT_EQ(Load64(domain.base() + 8200), 0u);
  EXPECT_EQ(std::memcmp(domain.base() + 8208, text.data(), 4000), 0);
  EXPECT_EQ(Sum(domain, Counter::kFences), 1u);
  EXPECT_EQ(Sum(domain, Counter::kFlushes), 2u);
  const bool page = GetParam() == Granularity::kPage;
  EXPECT_EQ(Sum(domain, Counter::kFlushedBytes), page ? 8192u + 4096u : 5056u + 256u);
  EXPECT_EQ(Sum(domain, Counter::kSyncs), page ? 1u : 0u);
}

INSTANTIATE_TEST_SUITE_P(Granularities, WindowTest,
                         testing::Values(Granularity::kByte, Granularity::kCacheLine,
                                         Granularity::kPage));

TEST(WindowTest, UnderPageOneFenceIsOneSyncHoweverManyPages) {
  DomainFixture fixture(Granularity::kPage);
  WriteWindow window(fixture.domain());
  for (uint64_t i = 0; i < 20; i++) {
    window.Store(i * 64 * 1024, "x", 1);
    TUFF_FLUSH("test.many", window, i * 64 * 1024, 1);
  }
  EXPECT_OK(TUFF_FENCE("test.many_fence", window));
  EXPECT_EQ(Sum(fixture.domain(), Counter::kSyncs), 1u);
  EXPECT_OK(TUFF_FENCE("test.nothing", window));  // nothing gathered: nothing to sync
  EXPECT_EQ(Sum(fixture.domain(), Counter::kSyncs), 1u);
}

// I9: so it is after a store that could not be made.
TEST(WindowTest, UnderPageTheFenceTellsOfAFailedStore) {
  DomainFixture fixture(Granularity::kPage);
  PersistDomain& domain = fixture.domain();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  Status fenced;
  {
    WriteWindow window(domain);
    window.Store(64, "text", 4);
    TUFF_FLUSH("test.failed_store", window, 64, 4);
    fenced = TUFF_FENCE("test.failed_store_fence", window);
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  (void)std::signal(SIGXFSZ, handler);
  EXPECT_CODE(fenced, Code::kNoSpace);
  EXPECT_CODE(domain.CheckWritable(), Code::kReadOnly);
  EXPECT_EQ(Load64(domain.base() + 64), 0u);
}

// I9: after a failed sync the pool is read-only.
TEST(WindowTest, FailureMakesTheDomainReadOnly) {
  DomainFixture fixture;
  EXPECT_OK(fixture.domain().CheckWritable());
  fixture.domain().MarkFailed();
  EXPECT_CODE(fixture.domain().CheckWritable(), Code::kReadOnly);
  DomainFixture read_only(Granularity::kPage, Guard::kNone, kPoolSizeMin, true);
  EXPECT_CODE(read_only.domain().CheckWritable(), Code::kReadOnly);
}

class Mutant : public StepObserver {
 public:
  bool OnFlush(const Step&, const std::byte*, uint64_t, size_t) override { return false; }
  bool OnFence(const Step&, const std::byte*) override { return false; }
  void OnStore(const std::byte*, uint64_t offset, std::span<const std::byte> bytes) override {
    stored.emplace_back(offset, bytes.size());
  }
  std::vector<std::pair<uint64_t, size_t>> stored;
};

TEST(WindowTest, ObserverSeesStoresAndMayLeaveStepsOut) {
  DomainFixture fixture;
  Mutant mutant;
  SetStepObserver(&mutant);
  {
    WriteWindow window(fixture.domain());
    window.Store(16, "abc", 3);
    window.Store64(64, 5);
    TUFF_FLUSH("test.left_out", window, 16, 3);
    EXPECT_OK(TUFF_FENCE("test.left_out_fence", window));
  }
  SetStepObserver(nullptr);
  EXPECT_EQ(mutant.stored, (std::vector<std::pair<uint64_t, size_t>>{{16, 3}, {64, 8}}));
  EXPECT_EQ(Sum(fixture.domain(), Counter::kFlushes), 0u);
  EXPECT_EQ(Sum(fixture.domain(), Counter::kFences), 0u);
}

class OverlayTest : public testing::TestWithParam<Granularity> {};

TEST_P(OverlayTest, StoresStayInMemory) {
  DomainFixture fixture(GetParam(), Guard::kNone, kPoolSizeMin, true);
  PersistDomain& domain = fixture.domain();
  const std::string path = domain.medium().path();
  const std::string before = ReadWholeFile(path);
  Mutant observer;
  SetStepObserver(&observer);
  domain.BeginOverlay();
  {
    WriteWindow window(domain);
    window.Store(kFrameSize - 2, "text", 4);  // in two pages
    window.Store64(64, 7);
    window.Store64(64, 8);  // a page is copied once
    TUFF_COPY("test.overlay_copy", window, 5 * kFrameSize, "copied", 6);
    window.Zero(kFrameSize + 1, 1);
    TUFF_FLUSH("test.overlay_flush", window, 0, 128);
    EXPECT_OK(TUFF_FENCE("test.overlay_fence", window));
  }
  EXPECT_CODE(domain.CheckWritable(), Code::kReadOnly);
  EXPECT_OK(domain.EndOverlay());
  SetStepObserver(nullptr);
  EXPECT_CODE(domain.CheckWritable(), Code::kReadOnly);
  EXPECT_EQ(std::memcmp(domain.base() + kFrameSize - 2, "tex\0", 4), 0);
  EXPECT_EQ(Load64(domain.base() + 64), 8u);
  EXPECT_EQ(std::memcmp(domain.base() + 5 * kFrameSize, "copied", 7), 0);
  EXPECT_TRUE(observer.stored.empty());
  EXPECT_EQ(Sum(domain, Counter::kFlushes) + Sum(domain, Counter::kFences), 0u);
  EXPECT_TRUE(ReadWholeFile(path) == before);
}

INSTANTIATE_TEST_SUITE_P(Granularities, OverlayTest,
                         testing::Values(Granularity::kCacheLine, Granularity::kPage));

TEST(OverlayMemoryTest, WithoutMemoryTheFenceTells) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer needs all the memory";
  DomainFixture fixture(Granularity::kPage, Guard::kNone, kPoolSizeMin, true);
  PersistDomain& domain = fixture.domain();
  domain.BeginOverlay();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &none), 0);
  Status fenced;
  {
    WriteWindow window(domain);
    window.Store64(64, 7);
    fenced = TUFF_FENCE("test.no_memory", window);
  }
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_CODE(fenced, Code::kNoMemory);
  EXPECT_CODE(domain.EndOverlay(), Code::kNoMemory);
  EXPECT_EQ(Load64(domain.base() + 64), 0u);
}

// Once recovery is over, a store past the window faults in the copies as in the rest.
TEST(OverlayDeathTest, CopiesAreSealed) {
  // A forked child has no mapping of the pool, so the child starts afresh.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  DomainFixture fixture(Granularity::kPage, Guard::kNone, kPoolSizeMin, true);
  PersistDomain& domain = fixture.domain();
  domain.BeginOverlay();
  WriteWindow(domain).Store64(64, 7);
  ASSERT_OK(domain.EndOverlay());
  EXPECT_DEATH(*const_cast<volatile std::byte*>(domain.base() + 64) = std::byte{1}, "");
}

}  // namespace
}  // namespace tuff::test
