#include "client/retry.h"

#include <algorithm>
#include <cmath>
#include <thread>

namespace tome::client {

std::optional<std::chrono::milliseconds> Backoff::Next(std::optional<std::chrono::milliseconds> server_delay) {
  const double nominal = static_cast<double>(policy_.initial_delay.count()) * std::pow(policy_.multiplier, failures_);
  const double capped = std::min(nominal, static_cast<double>(policy_.max_delay.count()));
  std::uniform_real_distribution<double> factor(1.0 - policy_.jitter, 1.0 + policy_.jitter);
  std::chrono::milliseconds delay(std::llround(capped * factor(random_)));
  std::chrono::milliseconds limit = policy_.give_up_after;
  if (server_delay.has_value()) {
    delay = std::max(delay, *server_delay);
    limit = std::max(limit, policy_.server_patience);
  }
  if (waited_ + delay > limit) return std::nullopt;
  ++failures_;
  waited_ += delay;
  return delay;
}

void Backoff::Reset() {
  failures_ = 0;
  waited_ = std::chrono::milliseconds(0);
}

Sleeper RealSleeper() {
  return [](std::chrono::milliseconds delay, const Cancellation* cancellation) {
    if (cancellation != nullptr) {
      cancellation->WaitFor(delay);
    } else {
      std::this_thread::sleep_for(delay);
    }
  };
}

}  // namespace tome::client
