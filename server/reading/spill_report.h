// Tells of parts of archives that could not be written to files.
#ifndef TOME_SERVER_READING_SPILL_REPORT_H_
#define TOME_SERVER_READING_SPILL_REPORT_H_

#include <cstdint>
#include <utility>

#include "engine/engine.h"
#include "engine/files/spill_folder.h"
#include "server/telemetry/observer.h"

namespace tome::server {

// Not thread-safe. Model and observer outlive it.
class SpillReport {
 public:
  SpillReport(const Model& model, Observer& observer) : model_(model), observer_(observer) {}

  // Reports what failed since the last call.
  void Update() {
    if (model_.spill_folder() == nullptr) return;
    const SpillFolder::Failures failures = model_.spill_folder()->failures();
    const std::int64_t more = failures.count - std::exchange(reported_, failures.count);
    if (more > 0) observer_.OnArchiveSpillsFailed(more, failures.last);
  }

 private:
  const Model& model_;
  Observer& observer_;
  std::int64_t reported_ = 0;
};

}  // namespace tome::server

#endif  // TOME_SERVER_READING_SPILL_REPORT_H_
