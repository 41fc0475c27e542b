// Status and Result<T>: how every tuff function reports failure.
//
// No exception crosses tuff's public interface (invariant I9). A Status is OK or carries a code and
// one line that says what failed, where, why, and what to do.
// Thread-safety: value types; a const object may be read by several threads.
#pragma once

#include <cassert>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tuff {

/// What kind of failure a Status reports. The numbers are permanent.
enum class Code : uint8_t {
  kOk = 0,
  kNotFound = 1,         ///< no such key, store or file
  kInvalidArgument = 2,  ///< the caller's mistake
  kLocked = 3,           ///< another process holds the pool
  kCorruption = 4,       ///< bytes of the pool are damaged, or it is not a pool
  kNoSpace = 5,          ///< the pool or its file system is full
  kPermission = 6,       ///< the operating system refused access
  kIo = 7,               ///< the medium or a system call failed
  kExists = 8,           ///< it is there already
  kTooLarge = 9,         ///< a key, value or name is over its limit
  kReadOnly = 10,        ///< opened read-only, or made read-only by a failed sync
  kBusy = 11,            ///< iterators, pins or snapshots are still alive
  kNotSupported = 12,    ///< a format version or feature this build does not know
  kNoMemory = 13,        ///< no memory beside the pool
  kConflict = 14,        ///< what was read has changed meanwhile: read again, try again
  kExpired = 15,         ///< the snapshot's versions had to be given up
};

/// The name of a code as it stands in messages, e.g. "damaged".
std::string_view CodeName(Code code);

/// OK, or a code with a message.
class [[nodiscard]] Status {
 public:
  Status() noexcept = default;
  /// Where there is no memory for the message, the code alone remains.
  Status(Code code, std::string message)
      : code_(code), message_(new (std::nothrow) std::string(std::move(message))) {
    assert(code != Code::kOk);
  }
  Status(const Status& other) : code_(other.code_) {
    if (other.message_) message_ = std::make_unique<std::string>(*other.message_);
  }
  Status& operator=(const Status& other) {
    if (this != &other) *this = Status(other);
    return *this;
  }
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;
  ~Status() = default;

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  bool IsNotFound() const { return code_ == Code::kNotFound; }
  bool IsCorruption() const { return code_ == Code::kCorruption; }

  /// The message without the code's name; empty when ok.
  std::string_view message() const { return message_ ? std::string_view(*message_) : ""; }

  /// "ok", or "<code name>: <message>".
  std::string ToString() const;

 private:
  Code code_ = Code::kOk;
  std::unique_ptr<std::string> message_;
};

/// A T, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }  // NOLINT

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  Status TakeStatus() { return std::move(status_); }

  /// REQUIRES: ok().
  T& value() & {
    assert(ok());
    return *value_;
  }
  const T& value() const& {
    assert(ok());
    return *value_;
  }
  T&& value() && {
    assert(ok());
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace tuff
