// A clock that tests set.
#ifndef TOME_TESTS_SERVER_FAKE_CLOCK_H_
#define TOME_TESTS_SERVER_FAKE_CLOCK_H_

#include <mutex>

#include "absl/time/time.h"
#include "server/scheduling/clock.h"

namespace tome::testing {

// Stands still but for Advance, and for the small step that each look at it takes, so that no two moments are the same.
// Thread-safe.
class FakeClock final : public server::Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixSeconds(1'700'000'000) + Tick(); }
  absl::Duration Elapsed() const override { return Tick(); }

  void Advance(absl::Duration time) {
    std::lock_guard lock(mutex_);
    elapsed_ += time;
  }

 private:
  absl::Duration Tick() const {
    std::lock_guard lock(mutex_);
    return elapsed_ += absl::Microseconds(1);
  }

  mutable std::mutex mutex_;
  mutable absl::Duration elapsed_;  // guarded by mutex_
};

}  // namespace tome::testing

#endif  // TOME_TESTS_SERVER_FAKE_CLOCK_H_
