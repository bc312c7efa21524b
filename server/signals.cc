#include "server/signals.h"

#include <ctime>

namespace tome::server {

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void StopSignals::Wait() const {
  int signal = 0;
  while (sigwait(&signals_, &signal) != 0) {
  }
}

bool StopSignals::Arrived() const {
  const timespec at_once = {};
  return sigtimedwait(&signals_, nullptr, &at_once) > 0;
}

}  // namespace tome::server
