// What a shutdown waits for.
#ifndef TOME_SERVER_SCHEDULING_ACTIVITY_H_
#define TOME_SERVER_SCHEDULING_ACTIVITY_H_

#include <condition_variable>
#include <memory>
#include <mutex>

#include "absl/time/time.h"

namespace tome::server {

// Counts work that a shutdown waits for. Thread-safe.
class Activity {
 public:
  // Holds the count up while it lives. The activity must outlive it.
  using Token = std::shared_ptr<void>;

  Token Begin() {
    std::lock_guard lock(mutex_);
    ++count_;
    return Token(this, [](Activity* activity) { activity->End(); });
  }

  // True once nothing is left, false after `timeout`.
  bool Wait(absl::Duration timeout) {
    std::unique_lock lock(mutex_);
    const auto ended = [this] { return count_ == 0; };
    if (timeout == absl::InfiniteDuration()) {
      changed_.wait(lock, ended);
      return true;
    }
    return changed_.wait_for(lock, absl::ToChronoNanoseconds(timeout), ended);
  }

 private:
  void End() {
    std::lock_guard lock(mutex_);
    if (--count_ == 0) changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;  // guarded by mutex_
};

}  // namespace tome::server

#endif  // TOME_SERVER_SCHEDULING_ACTIVITY_H_
