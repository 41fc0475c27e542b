// Holds a thread at a step while a test does something else.
//
// Thread-safety: made and ended by one thread, which it never holds.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <thread>

#include "pagemap/steps.h"

namespace tuff::test {

// Stops the first thread but its own that comes to a step, there or when it comes there again.
class Holder : public StepObserver {
 public:
  explicit Holder(std::string_view step, int turn = 1) : step_(step), turn_(turn) {
    SetStepObserver(this);
  }
  ~Holder() override { SetStepObserver(nullptr); }
  void OnPoint(const Step& step) override {
    if (step.id != step_ || std::this_thread::get_id() == own_ || ++turns_ != turn_) return;
    held_ = true;
    while (!let_go_) std::this_thread::yield();
  }
  bool OnFlush(const Step&, const std::byte*, uint64_t, size_t) override { return true; }
  bool OnFence(const Step&, const std::byte*) override { return true; }
  bool held() const { return held_; }
  void LetGo() { let_go_ = true; }

 private:
  const std::string_view step_;
  const int turn_;
  const std::thread::id own_ = std::this_thread::get_id();
  std::atomic<int> turns_{0};
  std::atomic<bool> held_{false};
  std::atomic<bool> let_go_{false};
};

}  // namespace tuff::test
