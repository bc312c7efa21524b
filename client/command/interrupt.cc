#include "client/command/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>

namespace tome::command {

InterruptHandler::InterruptHandler(client::Cancellation* cancellation) {
  sigset_t handled;
  sigemptyset(&handled);
  sigaddset(&handled, SIGINT);
  sigaddset(&handled, SIGTERM);
  signals_ = signalfd(-1, &handled, SFD_CLOEXEC);
  stop_ = eventfd(0, EFD_CLOEXEC);
  // Without descriptors the signals keep ending the process, if less politely.
  if (signals_ < 0 || stop_ < 0) return;
  pthread_sigmask(SIG_BLOCK, &handled, nullptr);
  thread_ = std::thread([this, cancellation] { Run(cancellation); });
}

InterruptHandler::~InterruptHandler() {
  if (thread_.joinable()) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(stop_, &one, sizeof one);
    thread_.join();
  }
  if (signals_ >= 0) close(signals_);
  if (stop_ >= 0) close(stop_);
}

void InterruptHandler::Run(client::Cancellation* cancellation) {
  while (true) {
    pollfd waited[2] = {{signals_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (poll(waited, 2, -1) < 0 && errno != EINTR) return;
    if (waited[1].revents != 0) return;
    signalfd_siginfo information = {};
    if (waited[0].revents == 0 || read(signals_, &information, sizeof information) != sizeof information) continue;
    if (signal_ != 0) _exit(128 + static_cast<int>(information.ssi_signo));
    signal_ = static_cast<int>(information.ssi_signo);
    cancellation->Cancel();
  }
}

}  // namespace tome::command
