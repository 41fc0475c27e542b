// History: who did what to which key and when; and a check that it could have been a map.
//
// Each operation has an interval on one global clock. Keys are independent registers (a history is
// linearizable if every key's part is: locality, Herlihy and Wing 1990), so each key is searched on
// its own by the algorithm of Wing and Gong with Lowe's memo of (done operations, value).
// Thread-safety: Clock and a Log of each thread's own; the rest after the threads have ended.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tuff::test {

struct Op {
  enum class Kind : uint8_t {
    kPut,     // `value` was written
    kDelete,  // OK: the key was there
    kMiss,    // a delete, or a get, that said NotFound
    kGet,     // `value` was read
  };
  Kind kind = Kind::kPut;
  std::string key;
  std::string value;
  uint64_t invoked = 0;
  uint64_t returned = 0;
  std::string who;
  std::string ToString() const;
};

/// One global order of invocations and responses.
class Clock {
 public:
  uint64_t Now() { return now_.fetch_add(1, std::memory_order_seq_cst); }

 private:
  std::atomic<uint64_t> now_{1};
};

using History = std::vector<Op>;

/// nullopt if linearizable, every key starting as absent; else the key and its operations.
std::optional<std::string> FindViolation(const History& history);

/// The same for operations on one key.
bool IsLinearizable(std::vector<Op> ops);

}  // namespace tuff::test
