#include "tests/concurrency/history.h"

#include <algorithm>
#include <map>
#include <set>

namespace tuff::test {
namespace {

constexpr int kAbsent = -1;

// An operation with its value as a number.
struct Step {
  Op::Kind kind;
  int value;
};

// What the register holds after `step`; nullopt if the step cannot happen in this state.
std::optional<int> Apply(const Step& step, int state) {
  switch (step.kind) {
    case Op::Kind::kPut:
      return step.value;
    case Op::Kind::kDelete:
      return state != kAbsent ? std::optional(kAbsent) : std::nullopt;
    case Op::Kind::kMiss:
      return state == kAbsent ? std::optional(state) : std::nullopt;
    case Op::Kind::kGet:
      return state == step.value ? std::optional(state) : std::nullopt;
  }
  return std::nullopt;
}

// An invocation or a response, in a doubly linked list in order of time.
struct Event {
  uint64_t time = 0;
  size_t op = 0;
  Event* match = nullptr;  // of an invocation: its response; nullptr marks a response
  Event* previous = nullptr;
  Event* next = nullptr;
};

class Search {
 public:
  explicit Search(const std::vector<Op>& ops) : done_(ops.size()), events_(2 * ops.size()) {
    std::map<std::string, int> values;
    for (const Op& op : ops) {
      const int next = static_cast<int>(values.size());
      steps_.push_back({op.kind, values.emplace(op.value, next).first->second});
    }
    std::vector<Event*> order;
    for (size_t i = 0; i < ops.size(); i++) {
      Event& invocation = events_[2 * i];
      Event& response = events_[2 * i + 1];
      invocation = {ops[i].invoked, i, &response, nullptr, nullptr};
      response = {ops[i].returned, i, nullptr, nullptr, nullptr};
      order.push_back(&invocation);
      order.push_back(&response);
    }
    std::sort(order.begin(), order.end(), [](Event* a, Event* b) { return a->time < b->time; });
    Event* last = &head_;
    for (Event* event : order) {
      last->next = event;
      event->previous = last;
      last = event;
    }
  }

  bool Run() {
    int state = kAbsent;
    Event* at = head_.next;
    while (head_.next != nullptr) {
      if (at->match != nullptr) {
        const auto next = Apply(steps_[at->op], state);
        if (next) {
          done_[at->op] = true;
          if (seen_.emplace(done_, *next).second) {
            path_.push_back({at, state});
            state = *next;
            Lift(at);
            at = head_.next;
            continue;
          }
          done_[at->op] = false;
        }
        at = at->next;
        continue;
      }
      // A response of an operation that is not done yet: what was chosen before was wrong.
      if (path_.empty()) return false;
      Event* const last = path_.back().first;
      state = path_.back().second;
      path_.pop_back();
      done_[last->op] = false;
      Unlift(last);
      at = last->next;
    }
    return true;
  }

 private:
  static void Unlink(Event* event) {
    event->previous->next = event->next;
    if (event->next != nullptr) event->next->previous = event->previous;
  }
  static void Link(Event* event) {
    event->previous->next = event;
    if (event->next != nullptr) event->next->previous = event;
  }
  static void Lift(Event* invocation) {
    Unlink(invocation);
    Unlink(invocation->match);
  }
  static void Unlift(Event* invocation) {
    Link(invocation->match);
    Link(invocation);
  }

  std::vector<Step> steps_;
  std::vector<bool> done_;
  std::vector<Event> events_;
  Event head_;
  std::vector<std::pair<Event*, int>> path_;
  std::set<std::pair<std::vector<bool>, int>> seen_;
};

}  // namespace

std::string Op::ToString() const {
  static constexpr const char* kNames[] = {"put", "delete", "miss", "get"};
  return "[" + std::to_string(invoked) + ", " + std::to_string(returned) + "] " + who + " " +
         kNames[static_cast<size_t>(kind)] + " " + key + " " + value.substr(0, 24);
}

bool IsLinearizable(std::vector<Op> ops) { return Search(ops).Run(); }

std::optional<std::string> FindViolation(const History& history) {
  std::map<std::string, std::vector<Op>> by_key;
  for (const Op& op : history) by_key[op.key].push_back(op);
  for (auto& [key, ops] : by_key) {
    if (IsLinearizable(ops)) continue;
    std::sort(ops.begin(), ops.end(),
              [](const Op& a, const Op& b) { return a.invoked < b.invoked; });
    std::string text = "not linearizable: key '" + key + "'\n";
    for (const Op& op : ops) text += "  " + op.ToString() + "\n";
    return text;
  }
  return std::nullopt;
}

}  // namespace tuff::test
