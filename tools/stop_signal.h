// StopSignal: while one lives, Ctrl-C (SIGINT), SIGTERM and SIGHUP do not kill the program but ask
// it to stop, so that it can close its pool cleanly and say how far it got. A second signal kills.
//
// A signal that was ignored when the program started (nohup, a shell's background job) stays so;
// one that was blocked is not any more.
// Thread-safety: at most one at a time; its functions may be called from any thread.
#pragma once

namespace tuff::tools {

class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool requested() const { return signal_number() != 0; }

  /// The signal that asked, or 0.
  int signal_number() const;

  /// Readable from the moment a stop is requested: to be polled beside what is waited for, which
  /// a mere EINTR cannot do without a race (and the signal may land on another thread).
  int fd() const;
};

}  // namespace tuff::tools
