#include "tools/output.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace tuff::tools {
namespace {
constexpr size_t kBufferSize = 64u << 10;  // bytes
}  // namespace

void Output::Write(std::string_view bytes) {
  buffer_.append(bytes);
  Commit();
}

void Output::Commit() {
  // A failure is kept in error_, for the Flush at the end.
  if (buffer_.size() >= kBufferSize) static_cast<void>(Flush());
}

Status Output::Flush() {
  std::string_view rest = buffer_;
  while (!rest.empty() && error_ == 0) {
    const ssize_t written = write(STDOUT_FILENO, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {  // somebody made our terminal or pipe non-blocking
      pollfd fd = {STDOUT_FILENO, POLLOUT, 0};
      poll(&fd, 1, -1);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  buffer_.clear();
  if (error_ == 0) return {};
  return {Code::kIo, fmt::format("standard output: {}; what was written is incomplete",
                                 std::generic_category().message(error_))};
}

bool Output::broken_pipe() const { return error_ == EPIPE; }

}  // namespace tuff::tools
