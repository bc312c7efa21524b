// When the reading of a session has come far enough for a snapshot.
#ifndef TOME_SERVER_READING_SNAPSHOT_TRIGGER_H_
#define TOME_SERVER_READING_SNAPSHOT_TRIGGER_H_

#include <algorithm>

#include "absl/time/time.h"
#include "server/base/options.h"

namespace tome::server {

// Times are those of Clock::Elapsed. Not thread-safe.
class SnapshotTrigger {
 public:
  explicit SnapshotTrigger(const SnapshotPolicy& policy) : policy_(policy) {}

  // A segment was read.
  void NoteSegment(absl::Duration now) {
    if (segments_++ == 0) since_ = now;
  }

  // Whether a snapshot should be begun; then it counts as begun until End. `at_end`: everything that is stored is read,
  // and the last document is sealed.
  bool Due(absl::Duration now, bool at_end) {
    if (begun_ || segments_ == 0 || now < not_before_) return false;
    const bool many = policy_.segments > 0 && segments_ >= policy_.segments;
    const bool long_ago = policy_.interval > absl::ZeroDuration() && now - since_ >= policy_.interval;
    begun_ = at_end || many || long_ago;
    return begun_;
  }

  // A snapshot of what was read up to now is being made, whoever wanted it.
  void Begin() {
    begun_ = true;
    segments_ = 0;
  }

  // It has ended, or there was nothing to make, after so long. Snapshots take no more than a tenth of the time.
  void End(absl::Duration now, absl::Duration duration) {
    begun_ = false;
    not_before_ = std::max(not_before_, now + 10 * duration);
  }

  // The state is gone.
  void Reset() { segments_ = 0; }

 private:
  const SnapshotPolicy policy_;
  int segments_ = 0;      // read since the last one
  absl::Duration since_;  // when the first of them was read
  absl::Duration not_before_;
  bool begun_ = false;
};

}  // namespace tome::server

#endif  // TOME_SERVER_READING_SNAPSHOT_TRIGGER_H_
