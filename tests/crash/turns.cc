#include "tests/crash/turns.h"

#include <chrono>
#include <iterator>
#include <optional>

namespace tuff::test {
namespace {

constexpr std::chrono::microseconds kPatience{500};
constexpr uint64_t kChangesOneIn = 3;

thread_local std::optional<unsigned> this_member;

}  // namespace

void Turns::Join(unsigned number) {
  std::lock_guard lock(mutex_);
  this_member = number;
  members_.insert(number);
}

void Turns::Leave() {
  std::lock_guard lock(mutex_);
  members_.erase(*this_member);
  if (turn_ == *this_member) HandOn();
  this_member.reset();
  changed_.notify_all();
}

void Turns::HandOn() {
  if (members_.empty()) return;
  turn_ = *std::next(members_.begin(), static_cast<ptrdiff_t>(random_.Below(members_.size())));
}

void Turns::AwaitTurn(std::unique_lock<std::mutex>* lock, unsigned number) {
  changed_.wait_for(*lock, kPatience, [&] { return turn_ == number; });
  turn_ = number;
}

void Turns::Pass() {
  if (!this_member) return;
  std::unique_lock lock(mutex_);
  if (turn_ != *this_member) AwaitTurn(&lock, *this_member);
  if (!random_.OneIn(kChangesOneIn)) return;
  HandOn();
  if (turn_ == *this_member) return;
  changed_.notify_all();
  AwaitTurn(&lock, *this_member);
}

void Turns::OnPoint(const Step& step) {
  Pass();
  observer_.OnPoint(step);
}

void Turns::OnStore(const std::byte* base, uint64_t offset, std::span<const std::byte> bytes) {
  observer_.OnStore(base, offset, bytes);
}

bool Turns::OnFlush(const Step& step, const std::byte* base, uint64_t offset, size_t n) {
  Pass();
  return observer_.OnFlush(step, base, offset, n);
}

bool Turns::OnFence(const Step& step, const std::byte* base) {
  Pass();
  return observer_.OnFence(step, base);
}

}  // namespace tuff::test
