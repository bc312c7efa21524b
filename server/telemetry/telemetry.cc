#include "server/telemetry/telemetry.h"

#include <string>
#include <vector>

#include "server/telemetry/logging.h"

namespace tome::server {
namespace {

// Faults of the server, in contrast to those of a client or of the moment.
bool IsServerFault(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss;
}

}  // namespace

void Telemetry::OnCallFinished(const CallRecord& record) {
  Metrics::OnCallFinished(record);
  std::vector<LogField> fields = {{"method", std::string(record.method)},
                                  {"code", absl::StatusCodeToString(record.code)},
                                  {"duration_ms", absl::ToDoubleMilliseconds(record.duration)},
                                  {"session", record.session},
                                  {"peer", record.peer}};
  if (!record.message.empty()) fields.push_back({"error", record.message});
  LogEvent(IsServerFault(record.code) ? LogLevel::kError : LogLevel::kInfo, "call", fields);
}

void Telemetry::OnArchiveSpillsFailed(std::int64_t times, const absl::Status& last) {
  Metrics::OnArchiveSpillsFailed(times, last);
  LogEvent(LogLevel::kWarning, "archive_spill_failed",
           {{"times", times},
            {"error", std::string(last.message())},
            {"detail", "archives stay in memory, beyond what was reserved for them, until the folder can be written"}});
}

void Telemetry::OnSessionEvent(std::string_view session_id, std::string_view event, std::string_view detail) {
  std::vector<LogField> fields = {{"session", std::string(session_id)}, {"event", std::string(event)}};
  if (!detail.empty()) fields.push_back({"detail", std::string(detail)});
  LogLevel level = LogLevel::kInfo;
  if (event == "failed" || event == "damaged") level = LogLevel::kError;
  if (event == "snapshot_failed" || event == "snapshot_refused") level = LogLevel::kWarning;
  LogEvent(level, "session", fields);
}

}  // namespace tome::server
