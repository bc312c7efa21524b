// What all sessions of a server share, and its parts as readers, questions and imports know them.
#ifndef TOME_SERVER_SESSION_SESSION_CONTEXT_H_
#define TOME_SERVER_SESSION_SESSION_CONTEXT_H_

#include <atomic>
#include <memory>
#include <utility>

#include "server/base/errors.h"
#include "server/base/options.h"
#include "server/questions/question_context.h"
#include "server/reading/reading_context.h"
#include "server/reading/spill_report.h"
#include "server/scheduling/activity.h"
#include "server/scheduling/clock.h"
#include "server/scheduling/compute_loop.h"
#include "server/scheduling/question_gate.h"
#include "server/scheduling/residency.h"
#include "server/scheduling/thread_pool.h"
#include "server/scheduling/timer.h"
#include "server/storage/data_folder.h"
#include "server/storage/file_system.h"
#include "server/transfer/session_import.h"

namespace tome::server {

inline FileSystem& FilesOf(const SessionManagerOptions& options) {
  return options.files != nullptr ? *options.files : FileSystem::Real();
}

struct SessionContext : std::enable_shared_from_this<SessionContext> {
  SessionContext(SessionManagerOptions options_in, std::shared_ptr<const Model> model_in,
                 std::unique_ptr<DataFolder> folder_in, Observer& observer_in, const Clock& clock_in)
      : options(std::move(options_in)),
        model(std::move(model_in)),
        folder(std::move(folder_in)),
        observer(observer_in),
        clock(clock_in),
        files(FilesOf(options)),
        residency(options.max_state_bytes, observer),
        gate(options.max_running_questions, options.max_waiting_questions, observer),
        spills(*model, observer),
        callbacks(1),
        snapshots(1),
        io(options.num_io_threads),
        compute({.reading_share = options.reading_share}, clock) {}

  absl::Status DrainingError() const {
    return MakeError(absl::StatusCode::kUnavailable, "the server is shutting down",
                     {.reason = "DRAINING", .retry_delay = options.retry_delay});
  }

  // Parts of it, which keep it alive.
  std::shared_ptr<const ReadingContext> for_reading() { return {shared_from_this(), &reading_}; }
  std::shared_ptr<const QuestionContext> for_questions() { return {shared_from_this(), &questions_}; }
  std::shared_ptr<const ImportContext> for_imports() { return {shared_from_this(), &imports_}; }

  const SessionManagerOptions options;
  const std::shared_ptr<const Model> model;
  const std::unique_ptr<DataFolder> folder;
  Observer& observer;
  const Clock& clock;
  FileSystem& files;
  Residency residency;
  QuestionGate gate;
  SpillReport spills;
  Activity activity;
  Activity snapshot_activity;                // snapshots that are being written and registered
  std::atomic<bool> stop_snapshots = false;  // those that are being written are given up
  std::atomic<bool> draining = false;
  ThreadPool callbacks;  // calls of clients' callbacks
  ThreadPool snapshots;  // writing of snapshots
  ThreadPool io;         // disk and tokenization
  Timer timer;           // of commits that wait for more, and of expiry
  ComputeLoop compute;

 private:
  const ReadingContext reading_{.options = options,
                                .model = model,
                                .folder = *folder,
                                .files = files,
                                .observer = observer,
                                .clock = clock,
                                .residency = residency,
                                .compute = compute,
                                .spills = spills,
                                .snapshots = snapshots,
                                .snapshot_activity = snapshot_activity,
                                .stop_snapshots = stop_snapshots};
  const QuestionContext questions_{.options = options,
                                   .observer = observer,
                                   .clock = clock,
                                   .gate = gate,
                                   .callbacks = callbacks,
                                   .activity = activity,
                                   .compute = compute};
  const ImportContext imports_{.options = options, .model = *model, .folder = *folder, .files = files, .clock = clock};
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_SESSION_CONTEXT_H_
