// SIGTERM and SIGINT as something to wait for.
#ifndef TOME_SERVER_SIGNALS_H_
#define TOME_SERVER_SIGNALS_H_

#include <csignal>
#include <functional>
#include <thread>

#include "engine/files/file_descriptor.h"

namespace tome::server {

// Blocks both signals in the calling thread and in all that it starts from now on, so that they wait to be fetched
// here. Make it before any thread is started. SIGPIPE is ignored: a vanished client is an error of its call.
class StopSignals {
 public:
  StopSignals();

  // Waits for the next signal.
  void Wait() const;

  // Whether a signal has arrived since the last one was fetched. Fetches it.
  bool Arrived() const;

 private:
  friend class ExitOnStopSignal;
  sigset_t signals_;
};

// While it lives, a signal ends the program at once, with exit code 0: for work that cannot be interrupted and leaves
// nothing that a crash may not leave. A signal that arrives later waits to be fetched from `signals`.
class ExitOnStopSignal {
 public:
  // `before_exit` is called on a thread of its own; nothing else is tidied up.
  ExitOnStopSignal(const StopSignals& signals, std::function<void()> before_exit);
  ~ExitOnStopSignal();

 private:
  FileDescriptor arrived_;  // readable while a signal waits to be fetched
  FileDescriptor over_;     // readable once this is destroyed
  std::thread thread_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SIGNALS_H_
