// How many questions are answered side by side, and how many may wait.
#ifndef TOME_SERVER_SCHEDULING_QUESTION_GATE_H_
#define TOME_SERVER_SCHEDULING_QUESTION_GATE_H_

#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "server/telemetry/observer.h"

namespace tome::server {

// Thread-safe.
class QuestionGate {
 public:
  class Ticket {
   private:
    friend class QuestionGate;
    enum class State { kWaiting, kQueued, kRunning, kLeft };
    State state = State::kWaiting;
    std::function<void()> granted;
  };

  // `observer` outlives it.
  QuestionGate(int max_running, int max_waiting, Observer& observer)
      : max_running_(max_running), max_waiting_(max_waiting), observer_(observer) {}

  // A place for a question that waits; nullptr when there are too many.
  std::shared_ptr<Ticket> Enter();
  // Calls `granted`, now or later and not with a lock held, when the question may run; in the order of the calls.
  void RequestSlot(const std::shared_ptr<Ticket>& ticket, std::function<void()> granted);
  // Gives the place back, in any state, any number of times. `granted` may still be running.
  void Leave(const std::shared_ptr<Ticket>& ticket);

 private:
  // Grants what can be granted.
  void Advance();

  const int max_running_;
  const int max_waiting_;
  Observer& observer_;
  std::mutex mutex_;  // guards all that follows, and the tickets
  int waiting_ = 0;
  int running_ = 0;
  std::deque<std::shared_ptr<Ticket>> queue_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SCHEDULING_QUESTION_GATE_H_
