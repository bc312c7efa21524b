// Turns Ctrl-C into a cancellation.
#ifndef TOME_CLIENT_COMMAND_INTERRUPT_H_
#define TOME_CLIENT_COMMAND_INTERRUPT_H_

#include <atomic>
#include <thread>

#include "client/cancellation.h"

namespace tome::command {

// While it lives, the first SIGINT or SIGTERM cancels, and a second one ends the process at once. Make it before any
// other thread, because threads inherit which signals they leave to it.
class InterruptHandler {
 public:
  explicit InterruptHandler(client::Cancellation* cancellation);
  ~InterruptHandler();

  // The signal that came, 0 for none.
  int signal() const { return signal_; }

 private:
  void Run(client::Cancellation* cancellation);

  int signals_ = -1;  // a signalfd
  int stop_ = -1;     // an eventfd that the destructor makes readable
  std::atomic<int> signal_ = 0;
  std::thread thread_;
};

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_INTERRUPT_H_
