// For tests that change a pool's file behind the library's back, or run a part of it elsewhere.
#pragma once

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "pagemap/checksum.h"
#include "pagemap/pfn.h"
#include "pagemap/superblock_format.h"
#include "tests/test_util.h"

namespace tuff::test {

inline std::string ReadAt(const std::string& path, uint64_t offset, size_t n) {
  std::string bytes(n, '\0');
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(pread(fd, bytes.data(), n, static_cast<off_t>(offset)), static_cast<ssize_t>(n));
  close(fd);
  return bytes;
}

inline void WriteAt(const std::string& path, uint64_t offset, std::string_view bytes) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
            static_cast<ssize_t>(bytes.size()));
  close(fd);
}

template <typename T>
T ReadStruct(const std::string& path, uint64_t offset) {
  T value;
  std::memcpy(&value, ReadAt(path, offset, sizeof value).data(), sizeof value);
  return value;
}
template <typename T>
void WriteStruct(const std::string& path, uint64_t offset, const T& value) {
  WriteAt(path, offset, {reinterpret_cast<const char*>(&value), sizeof value});
}

inline void FlipByte(const std::string& path, uint64_t offset, uint8_t mask = 0x10) {
  std::string byte = ReadAt(path, offset, 1);
  byte[0] = static_cast<char>(byte[0] ^ mask);
  WriteAt(path, offset, byte);
}

inline uint64_t SuperblockChecksumOf(const Superblock& sb) {
  constexpr size_t kFrom = offsetof(Superblock, sequence);
  return Checksum64(reinterpret_cast<const char*>(&sb) + kFrom, sizeof sb - kFrom, 0);
}

/// Changes both superblocks; their checksums are right afterwards.
inline void EditSuperblocks(const std::string& path, const std::function<void(Superblock&)>& edit) {
  for (Pfn pfn : {kSuperblockPfn, kMirrorPfn}) {
    auto sb = ReadStruct<Superblock>(path, OffsetOf(pfn));
    edit(sb);
    sb.checksum = SuperblockChecksumOf(sb);
    WriteStruct(path, OffsetOf(pfn), sb);
  }
}

/// Runs `body` in a forked process, which ends without closing anything; returns its exit status
/// (1 if an expectation in it failed), or -1 if it died.
inline int RunInChild(const std::function<void()>& body) {
  const pid_t pid = fork();
  if (pid == 0) {
    body();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

/// A tmpfs of `bytes` bytes, unmounted at the end; not mounted() where that is not permitted.
class SmallTmpfs {
 public:
  explicit SmallTmpfs(uint64_t bytes) {
    const std::string options = "size=" + std::to_string(bytes);
    mounted_ = mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallTmpfs() {
    if (mounted_) umount2(dir_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  std::string File(const std::string& name) const { return dir_.File(name); }
  const std::string& path() const { return dir_.path(); }

 private:
  TempDir dir_;
  bool mounted_ = false;
};

/// Collects what a pool logs.
struct LogLines {
  std::vector<std::pair<LogLevel, std::string>> lines;
  LogCallback Callback() {
    return [this](LogLevel level, std::string_view line) { lines.emplace_back(level, line); };
  }
  size_t Count(LogLevel level, std::string_view part) const {
    size_t n = 0;
    for (const auto& [at, line] : lines) {
      n += at == level && line.find(part) != line.npos ? 1 : 0;
    }
    return n;
  }
};

inline OpenOptions ReadOnly() {
  OpenOptions options;
  options.read_only = true;
  return options;
}

inline bool Contains(const Status& status, std::string_view part) {
  return status.message().find(part) != std::string_view::npos;
}

}  // namespace tuff::test
