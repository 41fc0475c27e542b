#include "tests/crash/recording.h"

#include <mutex>
#include <set>
#include <thread>

#include "tests/crash/turns.h"

namespace tuff::test {
namespace {

constexpr int MarkBegin(size_t operation) { return static_cast<int>(2 * operation); }
constexpr int MarkReturn(size_t operation) { return static_cast<int>(2 * operation + 1); }

// Which operations have returned, and which are under way.
class Progress {
 public:
  explicit Progress(const Recording& recording) : recording_(recording), sure_(recording.start) {}

  void Apply(int mark) {
    const auto operation = static_cast<size_t>(mark / 2);
    legal_.clear();
    if (mark == MarkBegin(operation)) {
      under_way_.insert(operation);
      return;
    }
    under_way_.erase(operation);
    any_has_returned_ = true;
    if (recording_.reader == operation) sure_ = {recording_.read};
    for (Contents& contents : sure_) recording_.operations[operation].effect(&contents);
  }

  /// What may be there now: any of the operations under way may have happened.
  const std::vector<Contents>& Legal() const {
    if (!legal_.empty()) return legal_;
    legal_ = sure_;
    for (const size_t operation : under_way_) {
      for (size_t i = 0, n = legal_.size(); i < n; i++) {
        Contents contents = legal_[i];
        recording_.operations[operation].effect(&contents);
        if (contents != legal_[i]) legal_.push_back(std::move(contents));
      }
    }
    return legal_;
  }

  bool MayBeNoPool() const {
    for (const size_t operation : under_way_) {
      if (recording_.operations[operation].makes_pool) return true;
    }
    return !any_has_returned_ && under_way_.empty() && !recording_.operations.empty() &&
           recording_.operations[0].makes_pool;
  }

 private:
  const Recording& recording_;
  std::vector<Contents> sure_;  // without the operations under way
  std::set<size_t> under_way_;
  bool any_has_returned_ = false;
  mutable std::vector<Contents> legal_;  // what Legal found, until something changes
};

}  // namespace

Recording Record(Session& session, const std::vector<Operations>& threads,
                 std::vector<Contents> start, const RecordOptions& options) {
  Recording recording;
  recording.start = std::move(start);
  Recorder recorder;
  if (!options.leave_out.empty()) recorder.LeaveOut(options.leave_out);
  Turns turns(recorder, options.interleave_seed);
  const bool in_turns = options.interleave_seed != 0;
  std::mutex mutex;  // guards recording.failure
  const auto run = [&](unsigned number, size_t first, const Operations& operations) {
    if (in_turns) turns.Join(number);
    for (size_t i = 0; i < operations.size(); i++) {
      recorder.Mark(MarkBegin(first + i));
      Status s = operations[i].run(session);
      if (!s.ok()) {
        std::lock_guard lock(mutex);
        if (recording.failure.ok()) {
          recording.failure = Status(s.code(), operations[i].name + ": " + s.ToString());
        }
        break;
      }
      recorder.Mark(MarkReturn(first + i));
    }
    if (in_turns) turns.Leave();
  };
  SetStepObserver(in_turns ? static_cast<StepObserver*>(&turns) : &recorder);
  std::vector<std::thread> running;
  for (size_t i = 1; i < threads.size(); i++) {
    size_t first = 0;
    for (size_t k = 0; k < i; k++) first += threads[k].size();
    running.emplace_back(run, static_cast<unsigned>(i), first, threads[i]);
  }
  run(0, 0, threads[0]);
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
      moment.legal = [&]() -> const std::vector<Contents>& { return progress.Legal(); };
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
