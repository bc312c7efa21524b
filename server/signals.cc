#include "server/signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <utility>

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

ExitOnStopSignal::ExitOnStopSignal(const StopSignals& signals, std::function<void()> before_exit)
    : arrived_(signalfd(-1, &signals.signals_, SFD_CLOEXEC)), over_(eventfd(0, EFD_CLOEXEC)) {
  if (arrived_.get() < 0 || over_.get() < 0) return;  // then a signal waits for the end of the work
  thread_ = std::thread([this, before_exit = std::move(before_exit)] {
    pollfd waited[2] = {{.fd = over_.get(), .events = POLLIN}, {.fd = arrived_.get(), .events = POLLIN}};
    while (poll(waited, 2, -1) < 0 && errno == EINTR) {
    }
    if (waited[0].revents != 0) return;
    before_exit();
    _exit(0);
  });
}

ExitOnStopSignal::~ExitOnStopSignal() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(over_.get(), &one, sizeof one);  // to a counter that is at zero
  thread_.join();
}

}  // namespace tome::server
