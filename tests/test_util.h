// What most tests need: scratch directories, pools in them, random numbers, checks of Status.
//
// Scratch lies in $TMPDIR if set, else in /dev/shm, else in /tmp, and is removed.
// Thread-safety: none; every thread takes its own Random.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "tuff/tuff.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TUFF_TEST_SANITIZED 1
#if defined(__SANITIZE_THREAD__)
#define TUFF_TEST_THREAD_SANITIZED 1
#endif
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TUFF_TEST_THREAD_SANITIZED 1
#endif
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TUFF_TEST_SANITIZED 1
#endif
#endif

// For a Status, or a Result<T>: shows the message when it fails.
#define EXPECT_OK(expression) EXPECT_EQ(::tuff::test::Show(expression), "ok")
#define ASSERT_OK(expression) ASSERT_EQ(::tuff::test::Show(expression), "ok")
// The code of a Status or Result<T>.
#define EXPECT_CODE(expression, wanted)                                    \
  do {                                                                     \
    const ::tuff::Status code_status = ::tuff::test::AsStatus(expression); \
    EXPECT_EQ(code_status.code(), wanted) << code_status.ToString();       \
  } while (0)

namespace tuff::test {

#ifdef TUFF_TEST_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#ifdef TUFF_TEST_THREAD_SANITIZED
inline constexpr bool kThreadSanitized = true;
#else
inline constexpr bool kThreadSanitized = false;
#endif

inline Status AsStatus(const Status& status) { return status; }
template <typename T>
Status AsStatus(const Result<T>& result) {
  return result.status();
}
template <typename S>
std::string Show(const S& status) {
  return AsStatus(status).ToString();
}

/// Where scratch directories are made.
inline std::string ScratchRoot() {
  if (const char* from_env = std::getenv("TMPDIR"); from_env != nullptr && *from_env != '\0') {
    return from_env;
  }
  return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

/// A new empty directory, removed with all that is in it.
class TempDir {
 public:
  explicit TempDir(const std::string& root = ScratchRoot()) : path_(root + "/tuff-test-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) {
      std::perror(path_.c_str());
      std::abort();
    }
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  /// 0 to n - 1.
  uint64_t Below(uint64_t n) { return Next() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  std::string Bytes(size_t n) {
    std::string text(n, '\0');
    for (char& c : text) c = static_cast<char>(Next());
    return text;
  }

 private:
  uint64_t state_;
};

/// A number from the environment, or `otherwise`.
inline uint64_t EnvNumber(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 0) : otherwise;
}

/// The guard of the pools that tests open: what the environment variable TUFF_TEST_GUARD names, so
/// that a whole program can be run under one guard, else `otherwise`.
inline Guard TestGuard(Guard otherwise = Guard::kNone) {
  const char* const name = std::getenv("TUFF_TEST_GUARD");
  if (name == nullptr || *name == '\0') return otherwise;
  for (const Guard guard : {Guard::kAuto, Guard::kPkey, Guard::kMprotect, Guard::kNone}) {
    if (GuardName(guard) == name) return guard;
  }
  std::fprintf(stderr, "TUFF_TEST_GUARD=%s: no such guard\n", name);
  std::abort();
}

/// Whether guard=pkey works here.
inline bool HasProtectionKeys() {
  const int key = pkey_alloc(0, 0);
  if (key < 0) return false;
  (void)pkey_free(key);
  return true;
}

/// Default options, but for the guard.
inline OpenOptions Writable() {
  OpenOptions options;
  options.guard = TestGuard(options.guard);
  return options;
}

/// Options for a small sparse pool: quick to make. Granularity is forced, so that tests are the
/// same on every medium, and nothing happens in the background.
inline CreateOptions SmallPool(uint64_t size_bytes = kPoolSizeMin,
                               Granularity granularity = Granularity::kCacheLine,
                               Guard guard = TestGuard()) {
  CreateOptions options;
  options.size_bytes = size_bytes;
  options.sparse = true;
  options.open.force_granularity = granularity;
  options.open.background_consolidation = false;
  options.open.guard = guard;
  return options;
}

// A file of the source tree, by its path there. In one place, and with no chain of +: g++ 12 warns
// of such a chain (array-bounds, falsely) if the tree's own path happens to have 16 characters.
inline std::string SourceFile(std::string_view name) {
  std::string path = TUFF_SOURCE_DIR "/";
  path += name;
  return path;
}

inline std::string ReadWholeFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes;
  std::string piece(1 << 20, '\0');
  do {  // piece by piece: by an iterator, each byte takes several calls
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    bytes.append(piece, 0, static_cast<size_t>(in.gcount()));
  } while (in);
  return bytes;
}

}  // namespace tuff::test
