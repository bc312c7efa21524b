// The one thread that runs the model. It takes work from two lanes: answers of questions go first, and reading of
// documents keeps a guaranteed share of the time. In a lane everyone gets a turn.
#ifndef TOME_SERVER_SCHEDULING_COMPUTE_LOOP_H_
#define TOME_SERVER_SCHEDULING_COMPUTE_LOOP_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "engine/engine.h"
#include "server/scheduling/clock.h"
#include "server/scheduling/share_ledger.h"

namespace tome::server {

// A piece of work on the model, for instance a question or the reading of a session. The loop alone calls it, on its
// thread, between steps.
class ComputeWork {
 public:
  virtual ~ComputeWork() = default;
  // The task to advance next, unfinished and kept alive until OnStep; the same one when asked again before that.
  // nullptr when there is nothing to do any more or it was cancelled: the loop then forgets this work.
  virtual Task* NextTask() = 0;
  // What the step did for the task that NextTask gave. `step_time` is the whole step's.
  virtual void OnStep(StepResult result, absl::Duration step_time) = 0;
};

enum class Lane {
  kQuestions,  // all decoding tasks share a step, with one that reads its prompt
  kReading,    // one task in a step
};

struct ComputeLoopOptions {
  double reading_share = 0.25;  // of the time, while both lanes have work; 0..1
  int max_batch = 64;           // tasks in one step
};

class ComputeLoop {
 public:
  // Starts the thread. `clock` outlives the loop.
  explicit ComputeLoop(const ComputeLoopOptions& options, const Clock& clock = Clock::Real());
  // Stops.
  ~ComputeLoop();

  // Puts work at the end of a lane. A work is in the loop at most once: the caller sees to it. Thread-safe. After Stop
  // it is dropped without a call.
  void Submit(Lane lane, std::shared_ptr<ComputeWork> work);

  // Ends the thread after the step that runs now and drops all work. Waits. Any number of times.
  void Stop();

 private:
  struct Entry {
    std::shared_ptr<ComputeWork> work;
    Task* task;
  };

  void Run();
  // Take the work of the next step out of a lane; empty when all of it was done or cancelled.
  std::vector<Entry> TakeQuestions();
  std::vector<Entry> TakeReading();
  std::shared_ptr<ComputeWork> Pop(Lane lane);
  void StepBatch(Lane lane, std::vector<Entry> batch);

  const ComputeLoopOptions options_;
  const Clock& clock_;
  ShareLedger ledger_;  // the loop's thread only
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<ComputeWork>> questions_;  // guarded by mutex_
  std::deque<std::shared_ptr<ComputeWork>> reading_;    // guarded by mutex_
  bool stopped_ = false;                                // guarded by mutex_
  std::thread thread_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SCHEDULING_COMPUTE_LOOP_H_
