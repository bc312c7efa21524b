#include "server/scheduling/question_gate.h"

#include <utility>
#include <vector>

namespace tome::server {

std::shared_ptr<QuestionGate::Ticket> QuestionGate::Enter() {
  std::lock_guard lock(mutex_);
  // Slots that are free take some of those that wait.
  if (waiting_ + running_ >= max_waiting_ + max_running_) return nullptr;
  ++waiting_;
  observer_.OnWaitingQuestions(waiting_);
  return std::make_shared<Ticket>();
}

void QuestionGate::RequestSlot(const std::shared_ptr<Ticket>& ticket, std::function<void()> granted) {
  {
    std::lock_guard lock(mutex_);
    if (ticket->state != Ticket::State::kWaiting) return;
    ticket->state = Ticket::State::kQueued;
    ticket->granted = std::move(granted);
    queue_.push_back(ticket);
  }
  Advance();
}

void QuestionGate::Leave(const std::shared_ptr<Ticket>& ticket) {
  std::function<void()> dropped;
  {
    std::lock_guard lock(mutex_);
    switch (std::exchange(ticket->state, Ticket::State::kLeft)) {
      case Ticket::State::kLeft:
        return;
      case Ticket::State::kRunning:
        --running_;
        break;
      case Ticket::State::kQueued:
        std::erase(queue_, ticket);
        [[fallthrough]];
      case Ticket::State::kWaiting:
        --waiting_;
        break;
    }
    dropped.swap(ticket->granted);
    observer_.OnWaitingQuestions(waiting_);
    observer_.OnRunningQuestions(running_);
  }
  Advance();
}

void QuestionGate::Advance() {
  std::vector<std::function<void()>> granted;
  {
    std::lock_guard lock(mutex_);
    while (running_ < max_running_ && !queue_.empty()) {
      const std::shared_ptr<Ticket> ticket = std::move(queue_.front());
      queue_.pop_front();
      ticket->state = Ticket::State::kRunning;
      granted.push_back(std::exchange(ticket->granted, nullptr));
      --waiting_;
      ++running_;
    }
    if (granted.empty()) return;
    observer_.OnWaitingQuestions(waiting_);
    observer_.OnRunningQuestions(running_);
  }
  for (const auto& grant : granted) grant();
}

}  // namespace tome::server
