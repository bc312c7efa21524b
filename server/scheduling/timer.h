// Jobs that run at a later time.
#ifndef TOME_SERVER_SCHEDULING_TIMER_H_
#define TOME_SERVER_SCHEDULING_TIMER_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

namespace tome::server {

// Has a thread of its own, on which jobs run one at a time; they must be quick and must not throw. Thread-safe.
class Timer {
 public:
  Timer();
  ~Timer() { Finish(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Runs `job` after `delay` (by the machine's steady clock), those of the same time in order. After Finish has begun
  // it runs without delay, before Post returns.
  void Post(absl::Duration delay, std::function<void()> job);

  // Runs all jobs that wait, without their delay, and ends the thread. Waits. Not to be called from a job.
  void Finish();

 private:
  using Time = std::chrono::steady_clock::time_point;

  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Time, std::function<void()>> jobs_;  // guarded by mutex_
  bool finishing_ = false;                           // guarded by mutex_
  std::thread thread_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SCHEDULING_TIMER_H_
