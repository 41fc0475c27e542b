#include "tests/concurrency/scheduler.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tuff::test {
namespace {

thread_local Actor* this_actor = nullptr;

// Looks this long apart; an actor that sleeps at some looks in a row and has passed no step in
// between is blocked, and so is one that spins through many.
constexpr std::chrono::microseconds kLookEvery{50};
constexpr int kSpinningLooks = 1000;
constexpr std::chrono::seconds kDeadlockAfter{30};

}  // namespace

Actor::~Actor() {
  if (thread_.joinable()) thread_.join();
}

bool Actor::IsStop(const Step& step) const {
  if (stop_ == nullptr) return false;
  if (stop_->id.empty()) return trace_.size() == stop_->nth;
  return stop_->id == step.id && passed_stop_id_ == stop_->nth;
}

void Actor::Pass(const Step& step) {
  trace_.emplace_back(step.id);
  steps_.fetch_add(1, std::memory_order_relaxed);
  if (stop_ != nullptr && stop_->id == step.id) passed_stop_id_++;
  if (IsStop(step)) Park();
}

void Actor::Park() {
  std::unique_lock lock(scheduler_.mutex_);
  state_ = State::kParked;
  scheduler_.changed_.notify_all();
  AwaitRun(lock);
}

void Actor::AwaitRun(std::unique_lock<std::mutex>& lock) {
  scheduler_.changed_.wait(lock, [&] { return state_ == State::kRunning; });
  awake_ = true;
}

Scheduler::Scheduler() { SetStepObserver(this); }

Scheduler::~Scheduler() {
  JoinAll();
  SetStepObserver(nullptr);
}

Actor& Scheduler::Add(std::string name, std::function<void()> body) {
  actors_.push_back(std::unique_ptr<Actor>(new Actor(*this, std::move(name), std::move(body))));
  Actor& actor = *actors_.back();
  actor.thread_ = std::thread([this, &actor] {
    actor.tid_ = static_cast<int>(syscall(SYS_gettid));
    {
      std::unique_lock lock(mutex_);
      actor.AwaitRun(lock);
    }
    this_actor = &actor;
    actor.body_();
    this_actor = nullptr;
    std::lock_guard lock(mutex_);
    actor.state_ = Actor::State::kFinished;
    changed_.notify_all();
  });
  return actor;
}

// "pid (comm) S ...": comm may hold anything, so look behind the last parenthesis.
bool Scheduler::IsAsleep(const Actor& actor) {
  const std::string path = "/proc/self/task/" + std::to_string(actor.tid_.load()) + "/stat";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[256];
  const ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return false;
  text[n] = '\0';
  const char* const end = std::strrchr(text, ')');
  return end != nullptr && end[1] == ' ' && end[2] == 'S';
}

Outcome Scheduler::Run(Actor& actor, std::unique_ptr<At> stop) {
  std::unique_lock lock(mutex_);
  if (actor.state_ == Actor::State::kFinished) return Outcome::kFinished;
  if (actor.state_ == Actor::State::kParked) {
    actor.stop_ = std::move(stop);
    actor.passed_stop_id_ = 0;
    actor.state_ = Actor::State::kRunning;
    actor.awake_ = false;
    changed_.notify_all();
  }
  uint64_t seen = actor.steps_;
  int asleep = 0;
  for (int still = 0; still < kSpinningLooks && asleep < patience_;) {
    changed_.wait_for(lock, kLookEvery, [&] { return actor.state_ != Actor::State::kRunning; });
    if (actor.state_ == Actor::State::kFinished) return Outcome::kFinished;
    if (actor.state_ == Actor::State::kParked) return Outcome::kParked;
    // The mutex is free while we look: the actor may be asleep because of us.
    lock.unlock();
    const bool sleeps = IsAsleep(actor);
    lock.lock();
    if (!actor.awake_) continue;
    const uint64_t now = actor.steps_;
    still = now == seen ? still + 1 : 0;
    asleep = sleeps && now == seen ? asleep + 1 : 0;
    seen = now;
  }
  if (actor.state_ == Actor::State::kFinished) return Outcome::kFinished;
  return actor.state_ == Actor::State::kParked ? Outcome::kParked : Outcome::kBlocked;
}

Outcome Scheduler::RunTo(Actor& actor, const At& stop) {
  return Run(actor, std::make_unique<At>(stop));
}

Outcome Scheduler::MustRun(Actor& actor, const At* stop) {
  const auto deadline = std::chrono::steady_clock::now() + kDeadlockAfter;
  Outcome outcome = Outcome::kBlocked;
  while (outcome == Outcome::kBlocked && std::chrono::steady_clock::now() < deadline) {
    outcome = Run(actor, stop != nullptr ? std::make_unique<At>(*stop) : nullptr);
  }
  return outcome;
}

Outcome Scheduler::MustRunTo(Actor& actor, const At& stop) { return MustRun(actor, &stop); }

Outcome Scheduler::MustFinish(Actor& actor) { return MustRun(actor, nullptr); }

Outcome Scheduler::RunOn(Actor& actor) { return Run(actor, nullptr); }

void Scheduler::JoinAll() {
  std::unique_lock lock(mutex_);
  for (;;) {  // a blocked actor may yet come to its stop
    bool all = true;
    for (auto& actor : actors_) {
      if (actor->state_ == Actor::State::kParked) {
        actor->stop_ = nullptr;
        actor->state_ = Actor::State::kRunning;
        changed_.notify_all();
      }
      all &= actor->state_ == Actor::State::kFinished;
    }
    if (all) break;
    if (changed_.wait_for(lock, kDeadlockAfter) == std::cv_status::timeout) Deadlocked();
  }
  lock.unlock();
  for (auto& actor : actors_) {
    if (actor->thread_.joinable()) actor->thread_.join();
  }
}

void Scheduler::Deadlocked() const {
  for (const auto& actor : actors_) {
    if (actor->state_ == Actor::State::kFinished) continue;
    const char* const last = actor->trace_.empty() ? "nothing" : actor->trace_.back().c_str();
    std::fprintf(stderr, "deadlock: %s has not ended; it has passed %zu steps, the last was %s\n",
                 actor->name().c_str(), actor->trace_.size(), last);
  }
  std::abort();
}

void Scheduler::OnPoint(const Step& step) {
  if (this_actor != nullptr) this_actor->Pass(step);
}

bool Scheduler::OnFlush(const Step& step, const std::byte*, uint64_t, size_t) {
  if (this_actor != nullptr) this_actor->Pass(step);
  return true;
}

bool Scheduler::OnFence(const Step& step, const std::byte*) {
  if (this_actor != nullptr) this_actor->Pass(step);
  return true;
}

}  // namespace tuff::test
