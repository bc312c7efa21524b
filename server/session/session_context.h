// What all sessions of a server share.
#ifndef TOME_SERVER_SESSION_SESSION_CONTEXT_H_
#define TOME_SERVER_SESSION_SESSION_CONTEXT_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "engine/base/spill_folder.h"
#include "server/scheduling/clock.h"
#include "server/scheduling/compute_loop.h"
#include "server/scheduling/thread_pool.h"
#include "server/scheduling/timer.h"
#include "server/session/data_folder.h"
#include "server/session/errors.h"
#include "server/session/file_system.h"
#include "server/session/question_gate.h"
#include "server/session/residency.h"
#include "server/session/session_manager.h"

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

struct SessionContext {
  SessionContext(SessionManagerOptions options_in, std::shared_ptr<const Model> model_in,
                 std::unique_ptr<DataFolder> folder_in, Observer& observer_in, const Clock& clock_in)
      : options(std::move(options_in)),
        model(std::move(model_in)),
        folder(std::move(folder_in)),
        observer(observer_in),
        clock(clock_in),
        files(*options.files),
        residency(options.max_state_bytes, observer),
        gate(options.max_running_questions, options.max_waiting_questions, observer),
        callbacks(1),
        snapshots(1),
        io(options.num_io_threads),
        compute({.reading_share = options.reading_share}, clock) {}

  // The clock's time as the disk keeps it.
  absl::Time StoredNow() const { return absl::FromUnixMicros(absl::ToUnixMicros(clock.Now())); }

  absl::Status DrainingError() const {
    return MakeError(absl::StatusCode::kUnavailable, "the server is shutting down",
                     {.reason = "DRAINING", .retry_delay = options.retry_delay});
  }

  // Tells the observer of parts of archives that could not be written since it was last told. Called by one thread.
  void ReportSpillFailures() {
    if (model->spill_folder() == nullptr) return;
    const SpillFolder::Failures failures = model->spill_folder()->failures();
    const std::int64_t more = failures.count - std::exchange(spill_failures_told, failures.count);
    if (more > 0) observer.OnArchiveSpillsFailed(more, failures.last);
  }

  const SessionManagerOptions options;
  const std::shared_ptr<const Model> model;
  const std::unique_ptr<DataFolder> folder;
  Observer& observer;
  const Clock& clock;
  FileSystem& files;
  Residency residency;
  QuestionGate gate;
  Activity activity;
  Activity snapshot_activity;                // snapshots that are being written and registered
  std::atomic<bool> stop_snapshots = false;  // those that are being written are given up
  std::atomic<bool> draining = false;
  std::int64_t spill_failures_told = 0;  // ReportSpillFailures' own
  ThreadPool callbacks;                  // calls of clients' callbacks
  ThreadPool snapshots;                  // writing of snapshots
  ThreadPool io;                         // disk and tokenization
  Timer timer;                           // of commits that wait for more, and of expiry
  ComputeLoop compute;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_SESSION_CONTEXT_H_
