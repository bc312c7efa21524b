// Threads for disk work, tokenization and callbacks, and queues on them that run one job at a time.
#ifndef TOME_SERVER_SCHEDULING_THREAD_POOL_H_
#define TOME_SERVER_SCHEDULING_THREAD_POOL_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace tome::server {

// Thread-safe. Jobs must not throw.
class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);
  ~ThreadPool() { Finish(); }

  // Runs `job` on one of the threads. False, and the job is dropped, after Finish has returned.
  bool Post(std::function<void()> job);

  // Waits for a moment at which no job runs or waits. Not to be called from a job.
  void WaitUntilIdle();

  // Runs all jobs, also those that jobs post, then ends the threads. Waits. Not to be called from a job.
  void Finish();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;  // guarded by mutex_
  int running_ = 0;                         // guarded by mutex_
  std::uint64_t idle_moments_ = 0;          // guarded by mutex_: how often the last job ended
  bool finishing_ = false;                  // guarded by mutex_
  bool ended_ = false;                      // guarded by mutex_
  std::vector<std::thread> threads_;
};

// Runs its jobs one at a time, in order, on a pool that it shares with other queues and takes turns with. The pool must
// outlive it; jobs that are queued when it is dropped still run. Thread-safe.
class SerialQueue {
 public:
  explicit SerialQueue(ThreadPool& pool) : state_(std::make_shared<State>(pool)) {}

  // False, and the job is dropped, when the pool takes no more. Who must be told of a job's end then sees to it: see
  // dropped.h.
  bool Post(std::function<void()> job);

 private:
  struct State {
    explicit State(ThreadPool& pool) : pool(pool) {}
    ThreadPool& pool;
    std::mutex mutex;
    std::deque<std::function<void()>> jobs;  // guarded by mutex
    bool scheduled = false;                  // guarded by mutex
  };
  static void RunOne(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SCHEDULING_THREAD_POOL_H_
