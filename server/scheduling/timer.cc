#include "server/scheduling/timer.h"

#include <utility>

namespace tome::server {

Timer::Timer() : thread_([this] { Run(); }) {}

void Timer::Post(absl::Duration delay, std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    if (!finishing_) {
      jobs_.emplace(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(delay), std::move(job));
      changed_.notify_one();
      return;
    }
  }
  job();
}

void Timer::Finish() {
  {
    std::lock_guard lock(mutex_);
    finishing_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Timer::Run() {
  std::unique_lock lock(mutex_);
  while (!jobs_.empty() || !finishing_) {
    if (jobs_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto next = jobs_.begin();
    if (!finishing_ && next->first > std::chrono::steady_clock::now()) {
      changed_.wait_until(lock, Time(next->first));
      continue;
    }
    std::function<void()> job = std::move(next->second);
    jobs_.erase(next);
    lock.unlock();
    job();
    job = nullptr;  // what it holds may take time to go
    lock.lock();
  }
}

}  // namespace tome::server
