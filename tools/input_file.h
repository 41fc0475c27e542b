// InputFile: a file, or standard input, as a ByteSource whose reads can be interrupted.
// Ownership: owns the descriptor it opened; borrows the StopSignal.
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tools/line_reader.h"
#include "tools/stop_signal.h"

namespace tuff::tools {

class InputFile : public ByteSource {
 public:
  /// "-" is standard input. Errors: NotFound, Permission, InvalidArgument (a directory), Io.
  static Result<std::unique_ptr<InputFile>> Open(const std::string& path);
  ~InputFile() override;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// From now on a stop ends Read with an error, whatever it waits for; stopped() tells it apart.
  void StopOn(const StopSignal* stop) { stop_ = stop; }

  /// Errors: Io and its kin, without the file's name.
  Result<size_t> Read(char* buffer, size_t size) override;

  bool stopped() const { return stopped_; }
  /// As it stands in messages.
  const std::string& name() const { return name_; }
  /// Bytes between where reading began and the end; unknown for pipes and terminals.
  std::optional<uint64_t> size_bytes() const { return size_bytes_; }
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  InputFile(int fd, bool owned, std::string name)
      : fd_(fd), owned_(owned), name_(std::move(name)) {}
  Status Prepare();
  Status Wait();

  const int fd_;
  const bool owned_;
  const std::string name_;
  const StopSignal* stop_ = nullptr;
  std::optional<uint64_t> size_bytes_;
  uint64_t bytes_read_ = 0;
  bool stopped_ = false;
};

/// An errno as a Status: "WHAT: <the system's words>".
Status SystemError(int error, const std::string& what);

}  // namespace tuff::tools
