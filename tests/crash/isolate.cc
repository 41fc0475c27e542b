#include "tests/crash/isolate.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <list>
#include <thread>
#include <utility>
#include <vector>

#include "tests/test_util.h"

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

// Of this process, without the one that waits for grace periods: a fork leaves that behind in good
// order (pagemap/rcu.cc).
size_t CountThreads() {
  if (kThreadSanitized) return 1;  // its own thread is one that may be there
  size_t count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::ifstream comm(task.path() / "comm");
    std::getline(comm, name);
    if (name != "tuff-rcu") count++;
  }
  return count;
}

// A body that runs.
class Running {
 public:
  Running(size_t number, const std::function<std::string(size_t)>& body) : number_(number) {
    if (const size_t threads = CountThreads(); threads != 1) {
      result_.death = fmt::format("not run: there are {} threads, and a fork takes one", threads);
      return;
    }
    int fds[2];
    void* const shared =
        mmap(nullptr, kDoingBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || pipe2(fds, O_CLOEXEC) != 0) {
      result_.death = std::strerror(errno);
      return;
    }
    shared_ = static_cast<char*>(shared);
    (void)std::fflush(nullptr);
    child_ = fork();
    if (child_ == 0) {
      close(fds[0]);
      doing = shared_;
      _exit(WriteAll(fds[1], body(number)) ? 0 : 1);
    }
    if (child_ < 0) result_.death = std::strerror(errno);
    close(fds[1]);
    fd_ = fds[0];
  }

  size_t number() const { return number_; }
  int fd() const { return fd_; }

  // Reads what is there; false: that was all.
  bool Read() {
    std::array<char, 4096> buffer;
    const ssize_t n = read(fd_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) return true;
    if (n > 0) result_.output.append(buffer.data(), static_cast<size_t>(n));
    return n > 0;
  }

  Isolated End() {
    int status = 0;
    if (child_ > 0) {
      if (waitpid(child_, &status, 0) != child_) {
        result_.death = std::strerror(errno);
      } else if (WIFSIGNALED(status)) {
        result_.death = fmt::format("died of {} at {}", strsignal(WTERMSIG(status)), shared_);
      } else if (WEXITSTATUS(status) != 0) {
        result_.death = fmt::format("exited with {} at {}", WEXITSTATUS(status), shared_);
      }
    }
    if (fd_ >= 0) close(fd_);
    if (shared_ != nullptr) munmap(shared_, kDoingBytes);
    return std::move(result_);
  }

 private:
  size_t number_;
  Isolated result_;
  char* shared_ = nullptr;
  pid_t child_ = -1;
  int fd_ = -1;
};

// What any of them has written is read; returns one that has ended.
std::list<Running>::iterator WaitForOne(std::list<Running>* running) {
  for (;;) {
    std::vector<pollfd> polled;
    for (const Running& one : *running) {
      if (one.fd() < 0) return running->begin();
      polled.push_back({one.fd(), POLLIN, 0});
    }
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    auto one = running->begin();
    for (const pollfd& ready : polled) {
      if (ready.revents != 0 && !one->Read()) return one;
      ++one;
    }
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

void RunManyIsolated(size_t n, const std::function<std::string(size_t)>& body,
                     const std::function<void(size_t, Isolated)>& ended) {
  const size_t at_once = std::max(1u, std::thread::hardware_concurrency());
  std::list<Running> running;
  for (size_t next = 0; next < n || !running.empty();) {
    if (next < n && running.size() < at_once) {
      running.emplace_back(next++, body);
      continue;
    }
    const auto one = WaitForOne(&running);
    ended(one->number(), one->End());
    running.erase(one);
  }
}

Isolated RunIsolated(const std::function<std::string()>& body) {
  Isolated result;
  RunManyIsolated(
      1, [&](size_t) { return body(); },
      [&](size_t, Isolated isolated) { result = std::move(isolated); });
  return result;
}

}  // namespace tuff::test
