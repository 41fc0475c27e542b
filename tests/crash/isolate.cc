#include "tests/crash/isolate.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tuff::test {
namespace {

constexpr size_t kDoingBytes = 512;
constexpr unsigned kSecondsMax = 300;
char* doing = nullptr;  // shared with the parent; null in a process that is not isolated

bool WriteAll(int fd, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = write(fd, text.data() + at, text.size() - at);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) at += static_cast<size_t>(n);
  }
  return true;
}

std::string ReadAll(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
}

}  // namespace

void NowDoing(const std::string& what) {
  if (doing == nullptr) return;
  const size_t n = std::min(what.size(), kDoingBytes - 1);
  std::memcpy(doing, what.data(), n);
  doing[n] = '\0';
  alarm(kSecondsMax);  // what hangs dies of it
}

Isolated RunIsolated(const std::function<std::string()>& body) {
  Isolated result;
  int fds[2];
  void* const shared =
      mmap(nullptr, kDoingBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED || pipe(fds) != 0) {
    result.death = std::strerror(errno);
    return result;
  }
  (void)std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    close(fds[0]);
    doing = static_cast<char*>(shared);
    _exit(WriteAll(fds[1], body()) ? 0 : 1);
  }
  close(fds[1]);
  if (child > 0) result.output = ReadAll(fds[0]);
  close(fds[0]);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    result.death = std::strerror(errno);
  } else if (WIFSIGNALED(status)) {
    result.death =
        fmt::format("died of {} at {}", strsignal(WTERMSIG(status)), static_cast<char*>(shared));
  } else if (WEXITSTATUS(status) != 0) {
    result.death =
        fmt::format("exited with {} at {}", WEXITSTATUS(status), static_cast<char*>(shared));
  }
  munmap(shared, kDoingBytes);
  return result;
}

}  // namespace tuff::test
