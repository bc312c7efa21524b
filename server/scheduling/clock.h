// Time, injected so that tests need no sleeps.
#ifndef TOME_SERVER_SCHEDULING_CLOCK_H_
#define TOME_SERVER_SCHEDULING_CLOCK_H_

#include "absl/time/time.h"

namespace tome::server {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // The wall clock, for time stamps.
  virtual absl::Time Now() const = 0;
  // Since an unspecified start; never goes back. For measuring.
  virtual absl::Duration Elapsed() const = 0;

  // The wall clock as the disk keeps it.
  absl::Time NowInMicroseconds() const { return absl::FromUnixMicros(absl::ToUnixMicros(Now())); }

  // The machine's clocks. Lives as long as the process.
  static const Clock& Real();
};

}  // namespace tome::server

#endif  // TOME_SERVER_SCHEDULING_CLOCK_H_
