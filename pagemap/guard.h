// WriteGuard: keeps stray stores off the persistent bytes. A WriteWindow opens it.
//
// Backends, one file each: memory protection keys (guard_pkey.cc), mprotect for tests
// (guard_mprotect.cc). No guard is a null pointer.
// A guard against stray stores, not against an attacker: system calls and other mappings pass it.
// Thread-safety: Open, Close and Admit may be called from any thread; Open and Close nest.
#pragma once

#include <cstdint>
#include <memory>

#include "pagemap/medium.h"

namespace tuff {

class WriteGuard {
 public:
  virtual ~WriteGuard() = default;
  virtual Guard kind() const = 0;
  /// Lets the calling thread write.
  virtual void Open() = 0;
  virtual void Close() = 0;
  /// Lets a thread that is older than the guard read. Cheap after the first call.
  virtual void Admit() {}
  /// Takes a range that is not persistent (a section's memmap) out of the guard.
  virtual Status Exempt(uint64_t offset, uint64_t n) = 0;
  /// False if Exempt cannot work, so that the memmap has to live elsewhere.
  virtual bool can_exempt() const = 0;

  /// The guard `kind` over `medium`; null for kNone, and for kAuto without protection keys.
  static Result<std::unique_ptr<WriteGuard>> Make(Guard kind, const Medium& medium);

 protected:
  static std::byte* MappedBase(const Medium& medium) { return medium.mutable_base(); }
};

Result<std::unique_ptr<WriteGuard>> MakePkeyGuard(const Medium& medium, std::byte* base);
std::unique_ptr<WriteGuard> MakeMprotectGuard(std::byte* base, uint64_t bytes);

}  // namespace tuff
