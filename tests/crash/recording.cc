#include "tests/crash/recording.h"

#include <mutex>
#include <set>
#include <thread>

namespace tuff::test {
namespace {

constexpr int MarkBegin(size_t operation) { return static_cast<int>(2 * operation); }
constexpr int MarkReturn(size_t operation) { return static_cast<int>(2 * operation + 1); }

// Which operations have returned, and which are under way.
class Progress {
 public:
  explicit Progress(const Recording& recording) : recording_(recording) {}

  void Apply(int mark) {
    const auto operation = static_cast<size_t>(mark / 2);
    if (mark == MarkBegin(operation)) {
      under_way_.insert(operation);
      return;
    }
    under_way_.erase(operation);
    returned_.push_back(operation);
  }

  /// What may be there now: any of the operations under way may have happened.
  std::vector<Contents> Legal() const {
    std::vector<Contents> legal =
        HasRead() ? std::vector<Contents>{recording_.read} : recording_.start;
    for (const size_t operation : returned_) {
      for (Contents& contents : legal) recording_.operations[operation].effect(&contents);
    }
    for (const size_t operation : under_way_) {
      const std::vector<Contents> without = legal;
      for (Contents contents : without) {
        recording_.operations[operation].effect(&contents);
        legal.push_back(std::move(contents));
      }
    }
    return legal;
  }

  bool MayBeNoPool() const {
    for (const size_t operation : under_way_) {
      if (recording_.operations[operation].makes_pool) return true;
    }
    return returned_.empty() && under_way_.empty() && !recording_.operations.empty() &&
           recording_.operations[0].makes_pool;
  }

 private:
  bool HasRead() const {
    for (const size_t operation : returned_) {
      if (recording_.reader == operation) return true;
    }
    return false;
  }

  const Recording& recording_;
  std::vector<size_t> returned_;
  std::set<size_t> under_way_;
};

}  // namespace

Recording Record(Session& session, const std::vector<Operations>& threads,
                 std::vector<Contents> start, const std::string& leave_out) {
  Recording recording;
  recording.start = std::move(start);
  Recorder recorder;
  if (!leave_out.empty()) recorder.LeaveOut(leave_out);
  std::mutex mutex;  // guards recording.failure
  const auto run = [&](size_t first, const Operations& operations) {
    for (size_t i = 0; i < operations.size(); i++) {
      recorder.Mark(MarkBegin(first + i));
      Status s = operations[i].run(session);
      if (!s.ok()) {
        std::lock_guard lock(mutex);
        if (recording.failure.ok()) {
          recording.failure = Status(s.code(), operations[i].name + ": " + s.ToString());
        }
        return;
      }
      recorder.Mark(MarkReturn(first + i));
    }
  };
  SetStepObserver(&recorder);
  std::vector<std::thread> running;
  for (size_t i = 1; i < threads.size(); i++) {
    size_t first = 0;
    for (size_t k = 0; k < i; k++) first += threads[k].size();
    running.emplace_back(run, first, threads[i]);
  }
  run(0, threads[0]);
  for (std::thread& thread : running) thread.join();
  if (session.pool != nullptr) {  // nobody stores while the observer goes
    Status s = session.pool->WaitForBackgroundWork();
    if (recording.failure.ok()) recording.failure = std::move(s);
  }
  SetStepObserver(nullptr);
  for (const Operations& operations : threads) {
    recording.operations.insert(recording.operations.end(), operations.begin(), operations.end());
  }
  recording.events = recorder.Take();
  recording.left_out = recorder.left_out();
  return recording;
}

void ForEachMoment(const Recording& recording, MemoryModel model,
                   const std::function<bool(const Moment&)>& visit) {
  Progress progress(recording);
  std::optional<uint64_t> last_version;
  for (size_t i = 0; i < recording.events.size(); i++) {
    const PersistEvent& event = recording.events[i];
    const bool is_return = event.kind == PersistEvent::Kind::kMark && event.mark % 2 == 1;
    if (event.kind == PersistEvent::Kind::kMark) progress.Apply(event.mark);
    if (is_return || event.kind == PersistEvent::Kind::kFence ||
        event.kind == PersistEvent::Kind::kPoint) {
      Moment moment;
      moment.event = i;
      moment.id = event.step == nullptr ? nullptr : event.step->id;
      moment.model = &model;
      moment.legal = progress.Legal();
      moment.may_be_no_pool = progress.MayBeNoPool();
      // A return makes less legal; the beginning of an operation makes more so.
      moment.is_new = is_return || last_version != model.version();
      last_version = model.version();
      if (!visit(moment)) return;
    }
    model.Apply(event);
  }
}

}  // namespace tuff::test
