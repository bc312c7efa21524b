#include "server/scheduling/thread_pool.h"

#include <algorithm>
#include <utility>

namespace tome::server {

ThreadPool::ThreadPool(int num_threads) {
  for (int i = 0; i < std::max(1, num_threads); ++i) threads_.emplace_back([this] { Run(); });
}

bool ThreadPool::Post(std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    if (ended_) return false;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void ThreadPool::WaitUntilIdle() {
  std::unique_lock lock(mutex_);
  if (jobs_.empty() && running_ == 0) return;
  // Others may post without end, so the moment counts and not what is true when this thread has its turn.
  changed_.wait(lock, [this, before = idle_moments_] { return idle_moments_ != before; });
}

void ThreadPool::Finish() {
  {
    std::lock_guard lock(mutex_);
    finishing_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ThreadPool::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    // A running job may post another, so a thread leaves only when none runs.
    changed_.wait(lock, [this] { return !jobs_.empty() || (finishing_ && running_ == 0); });
    if (jobs_.empty()) {
      ended_ = true;
      changed_.notify_all();
      return;
    }
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    ++running_;
    lock.unlock();
    job();
    job = nullptr;  // what it holds is freed without the lock
    lock.lock();
    --running_;
    if (running_ > 0 || !jobs_.empty()) continue;
    ++idle_moments_;
    changed_.notify_all();
  }
}

bool SerialQueue::Post(std::function<void()> job) {
  {
    std::lock_guard lock(state_->mutex);
    state_->jobs.push_back(std::move(job));
    if (std::exchange(state_->scheduled, true)) return true;
  }
  if (state_->pool.Post([state = state_] { RunOne(state); })) return true;
  std::deque<std::function<void()>> dropped;  // without the lock
  std::lock_guard lock(state_->mutex);
  state_->scheduled = false;
  dropped.swap(state_->jobs);
  return false;
}

void SerialQueue::RunOne(const std::shared_ptr<State>& state) {
  std::function<void()> job;
  {
    std::lock_guard lock(state->mutex);
    job = std::move(state->jobs.front());
    state->jobs.pop_front();
  }
  job();
  job = nullptr;
  {
    std::lock_guard lock(state->mutex);
    if (state->jobs.empty()) {
      state->scheduled = false;
      return;
    }
  }
  state->pool.Post([state] { RunOne(state); });
}

}  // namespace tome::server
