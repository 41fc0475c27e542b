// Console: what tuff says on standard error. Whole lines, each beginning "tuff VERB: ", and, on a
// terminal, one status line below them that is redrawn in place.
// Thread-safety: every function may be called from any thread (the library logs from any).
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "tuff/options.h"

namespace tuff::tools {

class Console {
 public:
  /// `verb` may be empty.
  explicit Console(std::string_view verb);
  ~Console() { ClearStatus(); }
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  /// One line; control characters in it are escaped, so that it stays one.
  void Line(std::string_view text);

  /// For OpenOptions::log: warnings and errors are shown, the rest is not. Borrows this object.
  LogCallback Log();

  /// Whether standard error is a terminal on which a line can be redrawn.
  bool can_redraw() const { return can_redraw_; }
  /// Columns of the terminal.
  size_t Width() const;
  /// Shows `text` in place of the status line, cut to the width; nothing if !can_redraw().
  void ShowStatus(std::string_view text);
  void ClearStatus();

 private:
  void ClearStatusLocked();

  const std::string prefix_;
  const bool can_redraw_;
  std::mutex mutex_;  // standard error and what follows
  bool status_shown_ = false;
};

}  // namespace tuff::tools
