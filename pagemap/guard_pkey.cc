// The protection-key backend. One key for all pools of the process, allocated once and never
// freed: a freed key may come back while old pages still carry it.

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "pagemap/guard.h"
#include "pagemap/pfn.h"

namespace tuff {
namespace {

int ProcessKey() {
  static const int key = pkey_alloc(0, PKEY_DISABLE_WRITE);
  return key;
}

uint32_t ReadPkru() {
  uint32_t eax = 0;
  uint32_t edx = 0;
  asm volatile(".byte 0x0f,0x01,0xee" : "=a"(eax), "=d"(edx) : "c"(0));  // rdpkru
  return eax;
}
void WritePkru(uint32_t pkru) {
  asm volatile(".byte 0x0f,0x01,0xef" : : "a"(pkru), "c"(0), "d"(0) : "memory");  // wrpkru
}

// The calling thread's windows, over all pools: they share the key.
thread_local int open_windows = 0;
thread_local bool admitted = false;

// A section whose memmap is exempt costs two mappings more; stay far from the kernel's limit.
constexpr uint64_t kMappingsPerExemption = 2;

uint64_t MappingsMax() {
  uint64_t max = 65530;
  if (FILE* file = std::fopen("/proc/sys/vm/max_map_count", "re"); file != nullptr) {
    if (std::fscanf(file, "%lu", &max) != 1) max = 65530;
    (void)std::fclose(file);
  }
  return max;
}

class PkeyGuard final : public WriteGuard {
 public:
  PkeyGuard(int key, std::byte* base, uint64_t sections)
      : key_(key),
        bits_(3u << (2 * key)),
        base_(base),
        can_exempt_(sections * kMappingsPerExemption < MappingsMax() / 2) {}

  Guard kind() const override { return Guard::kPkey; }
  bool can_exempt() const override { return can_exempt_; }

  void Open() override {
    if (open_windows++ == 0) WritePkru(ReadPkru() & ~bits_);
    admitted = true;
  }
  void Close() override {
    if (--open_windows == 0) WritePkru((ReadPkru() & ~bits_) | write_disabled());
  }
  void Admit() override {
    if (admitted) return;
    admitted = true;
    if (open_windows == 0) WritePkru((ReadPkru() & ~bits_) | write_disabled());
  }
  Status Exempt(uint64_t offset, uint64_t n) override {
    if (pkey_mprotect(base_ + offset, n, PROT_READ | PROT_WRITE, 0) == 0) return Status();
    return Status(Code::kIo, fmt::format("cannot take the memmap out of the guard: {}; use "
                                         "--guard=none or raise vm.max_map_count",
                                         std::strerror(errno)));
  }

 private:
  uint32_t write_disabled() const { return 2u << (2 * key_); }

  const int key_;
  const uint32_t bits_;
  std::byte* const base_;
  const bool can_exempt_;
};

}  // namespace

Result<std::unique_ptr<WriteGuard>> MakePkeyGuard(const Medium& medium, std::byte* base) {
  const int key = ProcessKey();
  if (key < 0) {
    return Status(Code::kNotSupported,
                  "guard=pkey: this machine has no memory protection keys; "
                  "use guard=auto or guard=none");
  }
  if (pkey_mprotect(base, medium.bytes(), PROT_READ | PROT_WRITE, key) != 0) {
    return Status(Code::kIo, fmt::format("guard=pkey: pkey_mprotect: {}", std::strerror(errno)));
  }
  std::unique_ptr<WriteGuard> guard =
      std::make_unique<PkeyGuard>(key, base, SectionsOf(medium.bytes() >> kFrameShift));
  guard->Admit();
  return guard;
}

}  // namespace tuff
