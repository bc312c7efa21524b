// The server's Prometheus metrics: the families that dashboards and alerts build on.
//
//   tome_rpc_requests_total{method,code}      counter    calls that ended; code as in "OK", "NOT_FOUND"
//   tome_rpc_duration_seconds{method}         histogram  from arrival to end; of a stream, all its life
//   tome_tokens_read_total{kind}              counter    kind "document", "restore" (read again) or "question"
//   tome_tokens_generated_total               counter    of answers
//   tome_segment_seconds                      histogram  one forward pass over a segment
//   tome_time_to_first_token_seconds          histogram  from the question to the first token of its answer
//   tome_question_duration_seconds{outcome}   histogram  questions and searches, "ok", "cancelled" or "error"
//   tome_question_phase_seconds_total{phase}  counter    what their time went into: "waiting", "queued",
//                                                        "reading_question", "routing", "reranking", "reading_text",
//                                                        "generating"
//   tome_bytes_appended_total                 counter    bytes of documents made durable
//   tome_commit_seconds                       histogram  one commit to disk
//   tome_snapshots_total{outcome}             counter    snapshots "written", or "failed" to be
//   tome_snapshot_bytes_total                 counter    of those written
//   tome_snapshot_seconds                     histogram  one snapshot, from its fork to its registration
//   tome_snapshot_load_seconds                histogram  one snapshot, from its file to the state
//   tome_snapshots_refused_total{reason}      counter    not loaded: "damaged", or of another model ("mismatch")
//   tome_restores_total{source}               counter    states that came back, "snapshot" or "first_byte"
//   tome_sessions, tome_sessions_resident     gauge      all; those whose state is in memory
//   tome_state_bytes{kind}                    gauge      memory for states and archives, kind "reserved" or "held"
//   tome_process_memory_bytes{kind}           gauge      memory that no file stands behind: "accounted", what the
//   server
//                                                        needed when it became ready, and what sessions hold; "held",
//                                                        what the process has. They agree when the server is at rest
//   tome_archive_bytes{kind}                  gauge      archives, kind "resident" (in memory) or "spilled" (in files)
//   tome_archive_spill_failures_total         counter    parts of archives that could not be written to a file
//   tome_queue_depth{kind}                    gauge      questions, kind "waiting" or "running"
//   tome_build_info{version,revision}         gauge      1
#ifndef TOME_SERVER_TELEMETRY_METRICS_H_
#define TOME_SERVER_TELEMETRY_METRICS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/telemetry/call_observer.h"
#include "server/telemetry/observer.h"

namespace tome::server {

// Counts what it is told. Thread-safe.
class Metrics : public Observer, public CallObserver {
 public:
  struct Build {
    std::string version;
    std::string revision;
  };
  explicit Metrics(const Build& build);

  // What an endpoint exposes.
  const std::shared_ptr<prometheus::Registry>& registry() const { return registry_; }

  void OnCallFinished(const CallRecord& record) override;

  void OnSegmentRead(std::int64_t tokens, absl::Duration step_time, bool restoring) override;
  void OnPromptRead(std::int64_t tokens) override;
  void OnTokensGenerated(std::int64_t tokens) override;
  void OnFirstToken(absl::Duration time_to_first_token) override;
  void OnQuestionFinished(const QuestionRecord& record) override;
  void OnBytesStored(std::uint64_t bytes, absl::Duration commit_time) override;
  void OnSnapshotWritten(std::uint64_t bytes, absl::Duration duration) override;
  void OnSnapshotFailed(const absl::Status& status) override;
  void OnSnapshotLoaded(absl::Duration duration) override;
  void OnSnapshotRefused(bool damaged) override;
  void OnRestoreBegun(bool from_snapshot) override;
  void OnSessions(std::int64_t sessions) override;
  void OnResidentSessions(std::int64_t sessions) override;
  void OnStateBytes(std::size_t reserved, std::size_t held) override;
  void OnArchiveBytes(std::size_t resident, std::size_t spilled) override;
  void OnArchiveSpillsFailed(std::int64_t times, const absl::Status& last) override;
  void OnWaitingQuestions(std::int64_t questions) override;
  void OnRunningQuestions(std::int64_t questions) override;

  // What the sessions hold in memory, as far as it was reported.
  std::size_t session_bytes() const;
  void SetProcessMemory(std::size_t accounted, std::size_t held);

 private:
  std::shared_ptr<prometheus::Registry> registry_;  // owns all that follows
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& call_duration_;
  prometheus::Family<prometheus::Counter>& tokens_read_;
  prometheus::Counter& document_tokens_;
  prometheus::Counter& restored_tokens_;
  prometheus::Counter& question_tokens_;
  prometheus::Counter& generated_tokens_;
  prometheus::Histogram& segment_seconds_;
  prometheus::Histogram& first_token_seconds_;
  prometheus::Family<prometheus::Histogram>& question_duration_;
  prometheus::Histogram& question_ok_;
  prometheus::Histogram& question_cancelled_;
  prometheus::Histogram& question_error_;
  prometheus::Family<prometheus::Counter>& question_phases_;
  prometheus::Counter& bytes_appended_;
  prometheus::Histogram& commit_seconds_;
  prometheus::Family<prometheus::Counter>& snapshots_;
  prometheus::Counter& snapshots_written_;
  prometheus::Counter& snapshots_failed_;
  prometheus::Counter& snapshot_bytes_;
  prometheus::Histogram& snapshot_seconds_;
  prometheus::Histogram& snapshot_load_seconds_;
  prometheus::Family<prometheus::Counter>& snapshots_refused_;
  prometheus::Counter& snapshots_damaged_;
  prometheus::Counter& snapshots_mismatched_;
  prometheus::Family<prometheus::Counter>& restores_;
  prometheus::Counter& restores_from_snapshot_;
  prometheus::Counter& restores_from_first_byte_;
  prometheus::Gauge& sessions_;
  prometheus::Gauge& resident_sessions_;
  prometheus::Family<prometheus::Gauge>& state_bytes_;
  prometheus::Gauge& state_reserved_;
  prometheus::Gauge& state_held_;
  prometheus::Family<prometheus::Gauge>& process_memory_;
  prometheus::Gauge& accounted_memory_;
  prometheus::Gauge& held_memory_;
  prometheus::Family<prometheus::Gauge>& archive_bytes_;
  prometheus::Gauge& archive_resident_;
  prometheus::Gauge& archive_spilled_;
  prometheus::Counter& archive_spill_failures_;
  prometheus::Family<prometheus::Gauge>& queue_depth_;
  prometheus::Gauge& waiting_questions_;
  prometheus::Gauge& running_questions_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_TELEMETRY_METRICS_H_
