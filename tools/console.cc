#include "tools/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

#include "tools/escape.h"

namespace tuff::tools {
namespace {

/// In one write, so that lines of several processes do not mix. Where to complain that standard
/// error cannot be written is not known, so a failure is passed over.
void WriteToStderr(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

bool IsTerminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

}  // namespace

Console::Console(std::string_view verb)
    : prefix_(verb.empty() ? "tuff: " : fmt::format("tuff {}: ", verb)),
      can_redraw_(IsTerminal()) {}

void Console::Line(std::string_view text) {
  std::string line = prefix_;
  // Backslashes are let through: what a message quotes is in escapes already.
  while (true) {
    const size_t backslash = text.find('\\');
    AppendEscaped(text.substr(0, backslash), &line);
    if (backslash == std::string_view::npos) break;
    line.push_back('\\');
    text.remove_prefix(backslash + 1);
  }
  line.push_back('\n');
  std::lock_guard lock(mutex_);
  ClearStatusLocked();
  WriteToStderr(line);
}

LogCallback Console::Log() {
  return [this](LogLevel level, std::string_view line) {
    if (level == LogLevel::kInfo) return;
    Line(fmt::format("{}: {}", level == LogLevel::kWarning ? "warning" : "error", line));
  };
}

size_t Console::Width() const {
  winsize size = {};
  constexpr size_t kUsual = 80;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

void Console::ShowStatus(std::string_view text) {
  if (!can_redraw_) return;
  std::lock_guard lock(mutex_);
  status_shown_ = true;
  // Carriage return, text, erase to the end of the line. The last column stays free: writing
  // there makes some terminals wrap.
  WriteToStderr(fmt::format("\r{}\x1b[K", text.substr(0, Width() - 1)));
}

void Console::ClearStatus() {
  std::lock_guard lock(mutex_);
  ClearStatusLocked();
}

void Console::ClearStatusLocked() {
  if (!status_shown_) return;
  status_shown_ = false;
  WriteToStderr("\r\x1b[K");
}

}  // namespace tuff::tools
