// Scheduler: makes threads meet where a test wants them to.
//
//   Scheduler scheduler;                       // observes every step while it lives
//   Actor& a = scheduler.Add("A", [&] { store->Put(...); });
//   scheduler.RunTo(a, At("smo.5"));           // A runs up to the step, and parks in it
//   scheduler.RunOn(b);                        // until B has ended, or is blocked by A
//   scheduler.RunOn(a); scheduler.JoinAll();
//
// No test sleeps for a time to pass. Whether an actor is blocked is asked of the kernel: it sleeps,
// or it has spun without passing a step for long. To be wrong there is harmless: the actor
// goes on by itself, and only the interleaving is another one.
// Thread-safety: Add, RunTo, RunOn and JoinAll by the one thread that made the scheduler.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "pagemap/steps.h"

namespace tuff::test {

/// Where to park: at the nth passing of a step id; or, without an id, at the nth step of all.
struct At {
  At(std::string step_id, size_t nth_passing = 1) : id(std::move(step_id)), nth(nth_passing) {}
  explicit At(size_t nth_step) : nth(nth_step) {}
  std::string id;
  size_t nth;  // from 1
};

enum class Outcome { kParked, kFinished, kBlocked };
inline void PrintTo(Outcome outcome, std::ostream* out) {
  static constexpr const char* kNames[] = {"parked", "finished", "blocked"};
  *out << kNames[static_cast<int>(outcome)];
}

class Scheduler;

/// A thread under the scheduler's control; made parked before its first instruction.
class Actor {
 public:
  ~Actor();
  const std::string& name() const { return name_; }
  /// Ids of the steps passed. REQUIRES: the actor is parked or has ended.
  const std::vector<std::string>& trace() const { return trace_; }

 private:
  friend class Scheduler;
  enum class State { kParked, kRunning, kFinished };

  Actor(Scheduler& scheduler, std::string name, std::function<void()> body)
      : scheduler_(scheduler), name_(std::move(name)), body_(std::move(body)) {}
  void Pass(const Step& step);
  bool IsStop(const Step& step) const;
  void Park();
  void AwaitRun(std::unique_lock<std::mutex>& lock);

  Scheduler& scheduler_;
  const std::string name_;
  const std::function<void()> body_;
  State state_ = State::kParked;  // guarded by the scheduler's mutex
  bool awake_ = false;            // has seen that it may run; guarded by the same
  std::unique_ptr<At> stop_;      // set while parked; read by the actor
  size_t passed_stop_id_ = 0;     // passings of stop_->id; the actor's
  std::vector<std::string> trace_;
  std::atomic<uint64_t> steps_{0};
  std::atomic<int> tid_{0};
  std::thread thread_;
};

class Scheduler : public StepObserver {
 public:
  Scheduler();
  ~Scheduler() override;  // lets everybody run on, and joins

  Actor& Add(std::string name, std::function<void()> body);
  /// Lets a parked actor run until it has come to `stop`, has ended, or is blocked.
  Outcome RunTo(Actor& actor, const At& stop);
  /// For actors that sleep for reasons of their own (a grace period): how many looks in a row, some
  /// 50 us apart, an actor must be found asleep to be called blocked.
  void set_patience(int looks) { patience_ = looks; }
  /// Lets an actor run until it has ended or is blocked. It may be blocked now.
  Outcome RunOn(Actor& actor);
  /// The same for an actor that nobody can block: it may be slow or asleep, but must get there.
  /// kBlocked: it has not, for very long.
  Outcome MustRunTo(Actor& actor, const At& stop);
  Outcome MustFinish(Actor& actor);
  /// Lets all run, and waits for their ends. Ends the program if that does not come: a deadlock.
  void JoinAll();

  void OnPoint(const Step& step) override;
  bool OnFlush(const Step& step, const std::byte*, uint64_t, size_t) override;
  bool OnFence(const Step& step, const std::byte*) override;

 private:
  friend class Actor;
  Outcome Run(Actor& actor, std::unique_ptr<At> stop);
  Outcome MustRun(Actor& actor, const At* stop);
  static bool IsAsleep(const Actor& actor);
  [[noreturn]] void Deadlocked() const;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Actor>> actors_;
  int patience_ = 2;
};

}  // namespace tuff::test
