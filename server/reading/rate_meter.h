// How fast a session is being read, over its last segments.
#ifndef TOME_SERVER_READING_RATE_METER_H_
#define TOME_SERVER_READING_RATE_METER_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/time/time.h"

namespace tome::server {

// Not thread-safe.
class RateMeter {
 public:
  // A segment was read from `begin` to `end` on the clock; segments come in order.
  void Add(absl::Duration begin, absl::Duration end, std::uint64_t tokens, std::uint64_t bytes) {
    samples_.push_back({begin, end, tokens, bytes});
    if (samples_.size() > kSamples) samples_.pop_front();
  }
  // Reading paused: what was before says nothing of what follows.
  void Reset() { samples_.clear(); }

  double tokens_per_second() const { return Rate(&Sample::tokens); }
  double bytes_per_second() const { return Rate(&Sample::bytes); }

 private:
  static constexpr std::size_t kSamples = 16;
  struct Sample {
    absl::Duration begin, end;
    std::uint64_t tokens, bytes;
  };

  double Rate(std::uint64_t Sample::* count) const {
    if (samples_.empty()) return 0;
    const double seconds = absl::ToDoubleSeconds(samples_.back().end - samples_.front().begin);
    double sum = 0;
    for (const Sample& sample : samples_) sum += static_cast<double>(sample.*count);
    return seconds > 0 ? sum / seconds : 0;
  }

  std::deque<Sample> samples_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_READING_RATE_METER_H_
