// SIGTERM and SIGINT as something to wait for.
#ifndef TOME_SERVER_SIGNALS_H_
#define TOME_SERVER_SIGNALS_H_

#include <csignal>

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
  sigset_t signals_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SIGNALS_H_
