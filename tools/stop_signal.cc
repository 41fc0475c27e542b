#include "tools/stop_signal.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

namespace tuff::tools {
namespace {

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};

// A handler has nothing but globals.
std::atomic<int> g_signal{0};
std::atomic<int> g_write_fd{-1};
int g_read_fd = -1;
std::array<struct sigaction, kSignals.size()> g_before;

static_assert(std::atomic<int>::is_always_lock_free, "used in a signal handler");

void Handle(int signal_number) {
  const int saved_errno = errno;
  g_signal.store(signal_number);
  // The byte stays in the pipe; a full pipe is as readable as need be.
  [[maybe_unused]] const ssize_t ignored = write(g_write_fd.load(), "", 1);
  errno = saved_errno;
}

}  // namespace

StopSignal::StopSignal() {
  g_signal.store(0);
  int fds[2] = {-1, -1};
  // Without the pipe, a stop is still noticed between two reads.
  if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0) {
    g_read_fd = fds[0];
    g_write_fd.store(fds[1]);
  }
  struct sigaction action = {};
  action.sa_handler = Handle;
  // RESETHAND: the second signal does what it always did. No RESTART: reads and writes return.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &g_before[i]);
    if (g_before[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
  // A parent may have had them blocked; what was sent meanwhile comes now.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal_number : kSignals) sigaddset(&signals, signal_number);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

StopSignal::~StopSignal() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &g_before[i], nullptr);
  close(g_write_fd.exchange(-1));
  close(g_read_fd);
  g_read_fd = -1;
}

int StopSignal::signal_number() const { return g_signal.load(std::memory_order_relaxed); }

int StopSignal::fd() const { return g_read_fd; }

}  // namespace tuff::tools
