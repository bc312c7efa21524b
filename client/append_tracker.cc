#include "client/append_tracker.h"

#include <algorithm>
#include <cmath>

namespace tome::client {

void AppendTracker::SetEarlierBytes(std::uint64_t earlier_bytes) {
  std::lock_guard lock(mutex_);
  earlier_bytes_ = earlier_bytes;
}

void AppendTracker::SetTotal(std::optional<std::uint64_t> total_bytes) {
  std::lock_guard lock(mutex_);
  progress_.total_bytes = total_bytes;
}

void AppendTracker::SetPhase(AppendPhase phase) {
  std::lock_guard lock(mutex_);
  progress_.phase = phase;
  TellLocked();
}

void AppendTracker::OnVerified(std::uint64_t verified_bytes) {
  std::lock_guard lock(mutex_);
  progress_.verified_bytes = verified_bytes;
  TellLocked();
}

void AppendTracker::OnDurable(std::uint64_t durable_bytes) {
  std::lock_guard lock(mutex_);
  progress_.durable_bytes = durable_bytes;
  TellLocked();
}

void AppendTracker::OnReply(const v1::AppendResponse& reply) {
  std::lock_guard lock(mutex_);
  progress_.durable_bytes = std::max(progress_.durable_bytes, reply.durable_offset());
  progress_.ingested_bytes = std::max(progress_.ingested_bytes, reply.ingested_offset());
  TellLocked();
}

void AppendTracker::OnReading(const v1::WatchResponse& report) {
  std::lock_guard lock(mutex_);
  session_ingested_bytes_ = report.ingested_bytes();
  progress_.ingested_bytes = session_ingested_bytes_ - std::min(session_ingested_bytes_, earlier_bytes_);
  progress_.bytes_per_second = report.bytes_per_second();
  progress_.tokens_per_second = report.tokens_per_second();
  progress_.queue_position = report.queue_position();
  TellLocked();
}

AppendProgress AppendTracker::progress() const {
  std::lock_guard lock(mutex_);
  return progress_;
}

void AppendTracker::TellLocked() {
  if (!callback_) return;
  progress_.time_left.reset();
  const std::uint64_t goal = earlier_bytes_ + progress_.total_bytes.value_or(progress_.durable_bytes);
  const std::uint64_t read = std::max(session_ingested_bytes_, progress_.ingested_bytes);
  constexpr double kLongestMs = 1e12;
  if (progress_.bytes_per_second > 0) {
    const double milliseconds = 1000.0 * static_cast<double>(goal - std::min(goal, read)) / progress_.bytes_per_second;
    if (milliseconds < kLongestMs) progress_.time_left = std::chrono::milliseconds(std::llround(milliseconds));
  }
  callback_(progress_);
}

}  // namespace tome::client
