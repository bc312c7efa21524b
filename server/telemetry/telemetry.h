// Everything that is told of the server: metrics, and a log line for each call and for each event of a session.
#ifndef TOME_SERVER_TELEMETRY_TELEMETRY_H_
#define TOME_SERVER_TELEMETRY_TELEMETRY_H_

#include <string_view>

#include "server/telemetry/call_observer.h"
#include "server/telemetry/metrics.h"

namespace tome::server {

// Metrics that also logs. Questions are not logged: their text is the client's.
class Telemetry : public Metrics {
 public:
  using Metrics::Metrics;

  void OnCallFinished(const CallRecord& record) override;
  void OnArchiveSpillsFailed(std::int64_t times, const absl::Status& last) override;
  void OnSessionEvent(std::string_view session_id, std::string_view event, std::string_view detail) override;
};

}  // namespace tome::server

#endif  // TOME_SERVER_TELEMETRY_TELEMETRY_H_
