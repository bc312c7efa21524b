// When to try again after an error that may pass: exponential backoff with jitter, and the server's own wish.
#ifndef TOME_CLIENT_RETRY_H_
#define TOME_CLIENT_RETRY_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>

#include "absl/status/status.h"
#include "client/cancellation.h"

namespace tome::client {

struct RetryPolicy {
  std::chrono::milliseconds initial_delay{100};
  double multiplier = 2.0;
  std::chrono::milliseconds max_delay{5'000};
  // A delay is drawn evenly from [1 - jitter, 1 + jitter] times its nominal value, so that clients do not come in step.
  double jitter = 0.25;
  // Gives up when the delays since the last success would add up to more than this: soon, because a server that is not
  // there is most often not started.
  std::chrono::milliseconds give_up_after{1'000};
  // The same for delays that the server named, if that is longer: such a server is there and will have time.
  std::chrono::milliseconds server_patience{5'000};
};

// Not thread-safe: one for each loop of attempts.
class Backoff {
 public:
  Backoff(const RetryPolicy& policy, std::uint64_t seed) : policy_(policy), random_(seed) {}

  // How long to wait before the next attempt, at least `server_delay` if the server named one; none to give up.
  std::optional<std::chrono::milliseconds> Next(std::optional<std::chrono::milliseconds> server_delay);
  // Something went forward: the next failure starts from the first delay again.
  void Reset();

 private:
  const RetryPolicy policy_;
  std::mt19937_64 random_;
  int failures_ = 0;
  std::chrono::milliseconds waited_{0};
};

// Waits, unless `cancellation` (may be null) comes first. Tests put one here that only takes notes.
using Sleeper = std::function<void(std::chrono::milliseconds, const Cancellation* cancellation)>;
Sleeper RealSleeper();

// What is told before each wait.
struct RetryNotice {
  absl::Status error;
  std::chrono::milliseconds delay{0};
};

}  // namespace tome::client

#endif  // TOME_CLIENT_RETRY_H_
