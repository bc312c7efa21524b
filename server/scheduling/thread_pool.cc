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
    if (finishing_ && running_ == 0) changed_.notify_all();
  }
}

void SerialQueue::Post(std::function<void()> job) {
  {
    std::lock_guard lock(state_->mutex);
    state_->jobs.push_back(std::move(job));
    if (std::exchange(state_->scheduled, true)) return;
  }
  state_->pool.Post([state = state_] { RunOne(state); });
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
