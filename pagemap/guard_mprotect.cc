// The mprotect backend, for tests: the whole mapping is read-only unless some thread has a window
// open. Coarse (another thread's stray store passes meanwhile) and slow.

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "pagemap/guard.h"

namespace tuff {
namespace {

class MprotectGuard final : public WriteGuard {
 public:
  MprotectGuard(std::byte* base, uint64_t bytes) : base_(base), bytes_(bytes) {
    Protect(PROT_READ);
  }
  Guard kind() const override { return Guard::kMprotect; }
  bool can_exempt() const override { return false; }

  void Open() override {
    std::lock_guard lock(mutex_);
    if (windows_++ == 0) Protect(PROT_READ | PROT_WRITE);
  }
  void Close() override {
    std::lock_guard lock(mutex_);
    if (--windows_ == 0) Protect(PROT_READ);
  }
  Status Exempt(uint64_t, uint64_t) override {
    return Status(Code::kNotSupported, "guard=mprotect keeps the memmap in DRAM");
  }

 private:
  void Protect(int protection) {
    if (mprotect(base_, bytes_, protection) == 0) return;
    std::perror("tuff: guard=mprotect");  // the test's machine is out of something; go no further
    std::abort();
  }

  std::byte* const base_;
  const uint64_t bytes_;
  std::mutex mutex_;
  int windows_ = 0;
};

}  // namespace

std::unique_ptr<WriteGuard> MakeMprotectGuard(std::byte* base, uint64_t bytes) {
  return std::make_unique<MprotectGuard>(base, bytes);
}

}  // namespace tuff
