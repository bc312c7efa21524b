#include "client/watch.h"

#include "engine/base/status.h"

namespace tome::client {
namespace {

// One Watch call. `reported`: whether anything came.
absl::Status WatchOnce(const Connection& connection, const v1::WatchRequest& request, const WatchCallback& on_report,
                       const CallOptions& options, bool* reported) {
  CallContext context(options);
  const auto reader = connection.sessions->Watch(context.get(), request);
  v1::WatchResponse response;
  bool wanted = true;
  while (wanted && reader->Read(&response)) {
    *reported = true;
    wanted = on_report(response);
  }
  if (!wanted) context.Cancel();
  const grpc::Status status = reader->Finish();
  return wanted ? CallStatus(status, options) : absl::OkStatus();
}

}  // namespace

absl::Status WatchSession(const Connection& connection, const v1::WatchRequest& request, const WatchCallback& on_report,
                          const RetryPolicy& policy, const CallOptions& options) {
  Backoff backoff(policy, connection.options.seed);
  while (true) {
    bool reported = false;
    const absl::Status status = WatchOnce(connection, request, on_report, options, &reported);
    if (status.ok() || !IsTransient(status)) return status;
    if (reported) backoff.Reset();
    TOME_RETURN_IF_ERROR(WaitBeforeRetry(connection, options, backoff, status));
  }
}

absl::Status WaitUntilRead(const Connection& connection, const ReadingGoal& goal,
                           const std::function<void(const v1::WatchResponse&)>& on_report, const RetryPolicy& policy,
                           const CallOptions& options) {
  v1::WatchRequest request;
  request.set_session(goal.session);
  if (!goal.idle_is_enough) request.set_until_ingested_bytes(goal.ingested_bytes);
  bool reached = false;
  std::string problem;
  const auto take = [&](const v1::WatchResponse& report) {
    if (on_report) on_report(report);
    if (report.phase() == v1::Session::PHASE_FAILED) problem = report.problem();
    const bool idle = (report.caught_up() || report.phase() == v1::Session::PHASE_IDLE) &&
                      report.durable_bytes() >= goal.ingested_bytes;
    reached = report.ingested_bytes() >= goal.ingested_bytes || (goal.idle_is_enough && idle);
    return !reached && report.phase() != v1::Session::PHASE_FAILED;
  };
  TOME_RETURN_IF_ERROR(WatchSession(connection, request, take, policy, options));
  if (reached) return absl::OkStatus();
  if (!problem.empty()) return Internal("reading {} stopped: {}", goal.session, problem);
  return NotFound("{} ended before it was read: it was deleted meanwhile", goal.session);
}

}  // namespace tome::client
