// The write guard's backends (I1). Where there are no protection keys, tests/vm has a machine that
// does.
#include "pagemap/guard.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "tests/pagemap/pagemap_test_util.h"

namespace tuff::test {
namespace {

void StrayStore(const std::byte* at) { *const_cast<volatile std::byte*>(at) = std::byte{1}; }

// A death test's child is forked, and would not have the mapping: undo that.
void KeepInChild(PersistDomain& domain) {
  ASSERT_EQ(madvise(const_cast<std::byte*>(domain.base()), domain.medium().bytes(), MADV_DOFORK),
            0);
}

TEST(GuardTest, MprotectStopsAStrayStoreAndLetsWindowsWrite) {
  DomainFixture fixture(Granularity::kCacheLine, Guard::kMprotect);
  PersistDomain& domain = fixture.domain();
  KeepInChild(domain);
  EXPECT_DEATH(StrayStore(domain.base() + 5000), "");  // ASan makes an exit of the signal
  {
    WriteWindow outer(domain);
    {
      WriteWindow inner(domain);
      inner.Store(5000, "x", 1);
    }
    outer.Store(5001, "y", 1);  // still open
  }
  EXPECT_EQ(domain.base()[5001], std::byte{'y'});
  EXPECT_DEATH(StrayStore(domain.base() + 5000), "");  // ASan makes an exit of the signal
}

TEST(GuardTest, PkeyStopsAStrayStore) {
  if (!HasProtectionKeys()) GTEST_SKIP() << "this machine has no memory protection keys";
  DomainFixture fixture(Granularity::kCacheLine, Guard::kPkey);
  PersistDomain& domain = fixture.domain();
  ASSERT_NE(domain.guard(), nullptr);
  KeepInChild(domain);
  EXPECT_DEATH(StrayStore(domain.base() + 5000), "");  // ASan makes an exit of the signal
  WriteWindow window(domain);
  window.Store(5000, "x", 1);
  EXPECT_EQ(domain.base()[5000], std::byte{'x'});
}

TEST(GuardTest, PkeyIsAnErrorWhereThereAreNoKeys) {
  if (HasProtectionKeys()) GTEST_SKIP() << "this machine has memory protection keys";
  DomainFixture fixture;
  EXPECT_CODE(WriteGuard::Make(Guard::kPkey, fixture.domain().medium()), Code::kNotSupported);
  auto automatic = WriteGuard::Make(Guard::kAuto, fixture.domain().medium());
  ASSERT_OK(automatic);
  EXPECT_EQ(*automatic, nullptr);
}

}  // namespace
}  // namespace tuff::test
