// Operators new of a test program some of whose allocations are to fail. One source of the program
// includes this and defines RefusesAllocation; the operators are the whole program's then.
//
// Thread-safety: that of RefusesAllocation.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace tuff::test {

/// Asked once before each allocation: whether it fails.
bool RefusesAllocation();

inline void* Allocate(size_t bytes, size_t alignment = 1) noexcept {
  if (RefusesAllocation()) return nullptr;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes == 0 ? 1 : bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

inline void* AllocateOrThrow(size_t bytes, size_t alignment = 1) {
  void* const at = Allocate(bytes, alignment);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}

}  // namespace tuff::test

void* operator new(size_t n) { return tuff::test::AllocateOrThrow(n); }
void* operator new[](size_t n) { return tuff::test::AllocateOrThrow(n); }
void* operator new(size_t n, std::align_val_t at) {
  return tuff::test::AllocateOrThrow(n, static_cast<size_t>(at));
}
void* operator new(size_t n, const std::nothrow_t&) noexcept { return tuff::test::Allocate(n); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return tuff::test::Allocate(n); }
void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, size_t) noexcept { std::free(at); }
void operator delete[](void* at, size_t) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, size_t, std::align_val_t) noexcept { std::free(at); }
