// Puts together where an append stands, from the replies to its messages and from the reports of reading.
#ifndef TOME_CLIENT_APPEND_TRACKER_H_
#define TOME_CLIENT_APPEND_TRACKER_H_

#include <cstdint>
#include <functional>
#include <mutex>

#include "client/append_report.h"

namespace tome::client {

// Thread-safe; the callback runs under its lock, so one call comes after the other.
class AppendTracker {
 public:
  explicit AppendTracker(std::function<void(const AppendProgress&)> callback) : callback_(std::move(callback)) {}

  // `earlier_bytes`: of the session's documents before this one.
  void SetEarlierBytes(std::uint64_t earlier_bytes);
  void SetTotal(std::optional<std::uint64_t> total_bytes);
  void SetPhase(AppendPhase phase);
  void OnVerified(std::uint64_t verified_bytes);
  void OnDurable(std::uint64_t durable_bytes);
  void OnReply(const v1::AppendResponse& reply);
  void OnReading(const v1::WatchResponse& report);

  AppendProgress progress() const;

 private:
  void TellLocked();

  mutable std::mutex mutex_;
  const std::function<void(const AppendProgress&)> callback_;
  // Guarded by mutex_.
  AppendProgress progress_;
  std::uint64_t earlier_bytes_ = 0;
  std::uint64_t session_ingested_bytes_ = 0;
};

}  // namespace tome::client

#endif  // TOME_CLIENT_APPEND_TRACKER_H_
