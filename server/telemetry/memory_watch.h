// What the process holds in memory, against what it should hold.
#ifndef TOME_SERVER_TELEMETRY_MEMORY_WATCH_H_
#define TOME_SERVER_TELEMETRY_MEMORY_WATCH_H_

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/time/time.h"
#include "server/telemetry/metrics.h"

namespace tome::server {

// When it is worth asking the allocator for what was freed. Asking is cheap, but not free, and while work is done the
// memory comes back at once: after an attempt that did not help much one waits for more to come together, or a quarter
// of a minute.
class TrimPolicy {
 public:
  // Whether to try, with so many bytes held and accounted.
  bool ShouldTrim(std::size_t held, std::size_t accounted, absl::Time now);
  // What was held after it.
  void OnTrimmed(std::size_t held, std::size_t accounted, absl::Time now);

 private:
  std::size_t left_excess_ = 0;  // by the last attempt
  absl::Time last_attempt_ = absl::InfinitePast();
};

// On a thread of its own: reports both figures every few seconds, and gives back to the system what was freed, so that
// a server which has handed its sessions over holds little more than when it started.
class MemoryWatch {
 public:
  // What the process holds now is what the server itself needs: to be made once it is ready. `metrics` outlives it.
  explicit MemoryWatch(Metrics& metrics, absl::Duration period = absl::Seconds(5));
  ~MemoryWatch();

 private:
  void Run();
  void Look();

  Metrics& metrics_;
  const absl::Duration period_;
  const std::size_t own_bytes_;
  TrimPolicy policy_;  // the thread only
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_TELEMETRY_MEMORY_WATCH_H_
