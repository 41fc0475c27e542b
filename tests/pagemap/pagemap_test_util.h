// For tests of pagemap/: a pool of frames without the layers above.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "pagemap/page_map.h"
#include "tests/test_util.h"

namespace tuff::test {

/// Makes an empty pool file and mounts it as often as wanted.
class FramesFixture {
 public:
  explicit FramesFixture(const CreateOptions& options = SmallPool()) : options_(options) {
    EXPECT_OK(PageMap::Create(path(), options, [](PersistDomain&, uint64_t) { return Status(); }));
    Mount();
  }
  std::string path() const { return dir_.File("pool"); }
  PageMap& map() { return *map_; }
  const CreateOptions& options() const { return options_; }
  void Unmount() {
    EXPECT_OK(map_->Close());
    map_.reset();
  }
  void Mount() {
    auto map = PageMap::Open(path(), options_.open,
                             [](std::span<const std::byte>, uint64_t, uint64_t) { return false; });
    ASSERT_OK(map);
    map_ = std::move(*map);
  }

 private:
  TempDir dir_;
  CreateOptions options_;
  std::unique_ptr<PageMap> map_;
};

/// A medium of its own with a guard, mapped over a file of zeros.
class DomainFixture {
 public:
  explicit DomainFixture(Granularity granularity = Granularity::kCacheLine,
                         Guard guard = TestGuard(), uint64_t bytes = kPoolSizeMin,
                         bool read_only = false) {
    fd_ = open(dir_.File("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(ftruncate(fd_, static_cast<off_t>(bytes)), 0);
    auto medium = Medium::Map(fd_, dir_.File("file"), bytes, {read_only, granularity});
    EXPECT_OK(medium);
    auto made = WriteGuard::Make(guard, **medium);
    EXPECT_OK(made);
    domain_ = std::make_unique<PersistDomain>(std::move(*medium), std::move(*made));
  }
  ~DomainFixture() {
    domain_.reset();
    close(fd_);
  }
  PersistDomain& domain() { return *domain_; }

 private:
  TempDir dir_;
  int fd_ = -1;
  std::unique_ptr<PersistDomain> domain_;
};

}  // namespace tuff::test
