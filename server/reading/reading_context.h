// What the readers of all sessions share.
#ifndef TOME_SERVER_READING_READING_CONTEXT_H_
#define TOME_SERVER_READING_READING_CONTEXT_H_

#include <atomic>
#include <memory>

#include "engine/engine.h"
#include "server/base/options.h"
#include "server/reading/spill_report.h"
#include "server/scheduling/activity.h"
#include "server/scheduling/clock.h"
#include "server/scheduling/compute_loop.h"
#include "server/scheduling/residency.h"
#include "server/scheduling/thread_pool.h"
#include "server/storage/data_folder.h"
#include "server/storage/file_system.h"
#include "server/telemetry/observer.h"

namespace tome::server {

struct ReadingContext {
  const SessionManagerOptions& options;
  const std::shared_ptr<const Model>& model;
  const DataFolder& folder;
  FileSystem& files;
  Observer& observer;
  const Clock& clock;
  Residency& residency;
  ComputeLoop& compute;
  SpillReport& spills;                // the compute thread's own
  ThreadPool& snapshots;              // writing of snapshots
  Activity& snapshot_activity;        // those that are being written and registered
  std::atomic<bool>& stop_snapshots;  // they are given up
};

}  // namespace tome::server

#endif  // TOME_SERVER_READING_READING_CONTEXT_H_
