#include "engine/consolidator.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <utility>

#include "engine/no_throw.h"

namespace tuff {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// While there is work the thread looks for it so often, which spares writers the call that would
// wake it; it goes to sleep after so many looks in vain.
constexpr microseconds kPause(50);
constexpr int kLooksInVain = 40;
// If the thread was kept waiting so long for a processor since its last look, none is idle. Then
// writers do all of it themselves for a while: to wait for a latch whose holder waits for a
// processor costs more than rewriting.
constexpr nanoseconds kKeptWaiting = microseconds(500);
constexpr milliseconds kAwayMin(1);
constexpr milliseconds kAwayMax(128);

// How long the calling thread has waited for a processor so far (proc(5), schedstat).
class WaitingTime {
 public:
  WaitingTime() : fd_(open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}
  ~WaitingTime() {
    if (fd_ >= 0) close(fd_);
  }
  WaitingTime(const WaitingTime&) = delete;
  WaitingTime& operator=(const WaitingTime&) = delete;
  /// Nothing where the kernel does not tell.
  std::optional<nanoseconds> Read() const {
    char text[128];
    const ssize_t n = fd_ < 0 ? -1 : pread(fd_, text, sizeof text - 1, 0);
    if (n <= 0) return std::nullopt;
    text[n] = '\0';
    long long ran = 0;
    long long waited = 0;
    if (std::sscanf(text, "%lld %lld", &ran, &waited) != 2) return std::nullopt;
    return nanoseconds(waited);
  }

 private:
  const int fd_;
};

}  // namespace

void Consolidator::Take(const Note& note) {
  if (away_.load(std::memory_order_relaxed)) return;
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || stop_ || away_ || count_ == kNotes) return;
  if (!worker_.joinable()) {
    try {
      worker_ = std::thread([this] { Run(); });
    } catch (const std::exception&) {
      away_ = true;  // for good
      return;
    }
  }
  notes_[(first_ + count_) % kNotes] = note;
  count_++;
  if (!asleep_) return;
  asleep_ = false;
  lock.unlock();
  changed_.notify_all();
}

void Consolidator::AwaitIdle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stop_ || (count_ == 0 && !busy_); });
}

void Consolidator::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  if (worker_.joinable()) worker_.join();
}

// After some time in which no processor was idle.
void Consolidator::StayAway(std::unique_lock<std::mutex>* lock) {
  away_ = true;
  count_ = 0;
  changed_.notify_all();
  changed_.wait_for(*lock, away_for_, [&] { return stop_; });
  away_for_ = std::min(milliseconds(2 * away_for_), kAwayMax);
  away_ = false;
}

void Consolidator::Run() {
  (void)pthread_setname_np(pthread_self(), "tuff-consolid");
  // Does not interrupt a writer that runs where this thread wakes up.
  const sched_param no_priority{};
  (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &no_priority);
  const WaitingTime waiting_time;
  auto waited = waiting_time.Read();
  std::unique_lock lock(mutex_);
  if (!waited) {
    away_ = true;  // for good
    count_ = 0;
    changed_.notify_all();
    return;
  }
  int in_vain = 0;
  while (!stop_) {
    if (count_ == 0 && in_vain < kLooksInVain) {
      in_vain++;
      lock.unlock();
      std::this_thread::sleep_for(kPause);
      const auto before = std::exchange(waited, waiting_time.Read());
      lock.lock();
      if (!before || !waited || *waited - *before > kKeptWaiting) {
        StayAway(&lock);
      } else {
        away_for_ = std::max(away_for_ - kAwayMin, kAwayMin);
      }
      continue;
    }
    if (count_ == 0) {
      asleep_ = true;
      changed_.wait(lock, [&] { return count_ > 0 || stop_; });
    }
    in_vain = 0;
    if (stop_) break;
    const Note note = notes_[first_];
    first_ = (first_ + 1) % kNotes;
    count_--;
    busy_ = true;
    lock.unlock();
    {
      std::lock_guard step(step_mutex_);
      // What fails here fails again, and is told, when a put does it.
      (void)NoThrow([&] {
        return note.tree->ConsolidateIfFull(note.leaf, note.number, note.key_bytes,
                                            note.record_bytes);
      });
    }
    lock.lock();
    busy_ = false;
    if (count_ == 0) changed_.notify_all();
  }
}

}  // namespace tuff
