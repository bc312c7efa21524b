// Who computes next: a running account of the time that reading is owed.
#ifndef TOME_SERVER_SCHEDULING_SHARE_LEDGER_H_
#define TOME_SERVER_SCHEDULING_SHARE_LEDGER_H_

#include "absl/time/time.h"

namespace tome::server {

// While questions and reading both have work, reading gets `reading_share` of the time in the long run; questions go
// first. When only one of them has work the account is closed: no claims are saved up. Not thread-safe.
class ShareLedger {
 public:
  explicit ShareLedger(double reading_share) : share_(reading_share) {}

  // Whether reading has the next turn. Called once before each step.
  bool ReadingIsNext(bool questions_wait, bool reading_waits) {
    contended_ = questions_wait && reading_waits;
    if (!contended_) owed_ = absl::ZeroDuration();
    if (!questions_wait) return true;
    return reading_waits && (share_ >= 1.0 || owed_ > absl::ZeroDuration());
  }

  // The step that followed took `time`.
  void Charge(bool reading, absl::Duration time) {
    if (contended_) owed_ += reading ? -(1.0 - share_) * time : share_ * time;
  }

 private:
  double share_;
  bool contended_ = false;
  absl::Duration owed_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SCHEDULING_SHARE_LEDGER_H_
