#include "server/telemetry/metrics.h"

#include <utility>

namespace tome::server {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using Buckets = prometheus::Histogram::BucketBoundaries;

// Calls last from a fraction of a millisecond to the hours of a stream.
Buckets CallBuckets() { return {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600, 3600}; }
Buckets StepBuckets() { return {0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4}; }
Buckets QuestionBuckets() { return {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}; }
Buckets SnapshotBuckets() { return {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}; }
Buckets CommitBuckets() { return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}; }

template <typename Builder>
auto& Family(Builder builder, prometheus::Registry& registry, const char* name, const char* help) {
  return builder.Name(name).Help(help).Register(registry);
}

struct Phase {
  const char* name;
  absl::Duration QuestionRecord::* duration;
};
constexpr Phase kPhases[] = {{"waiting", &QuestionRecord::waiting},
                             {"queued", &QuestionRecord::queued},
                             {"reading_question", &QuestionRecord::reading_question},
                             {"routing", &QuestionRecord::routing},
                             {"reranking", &QuestionRecord::reranking},
                             {"reading_text", &QuestionRecord::reading_text},
                             {"generating", &QuestionRecord::generating}};

}  // namespace

Metrics::Metrics(const Build& build)
    : registry_(std::make_shared<prometheus::Registry>()),
      requests_(Family(BuildCounter(), *registry_, "tome_rpc_requests_total", "Calls that ended, by their code.")),
      call_duration_(Family(BuildHistogram(), *registry_, "tome_rpc_duration_seconds",
                            "From a call's arrival to its end; of a stream, all its life.")),
      tokens_read_(Family(BuildCounter(), *registry_, "tome_tokens_read_total",
                          "Tokens that the model read: of documents, of documents read again, of questions.")),
      document_tokens_(tokens_read_.Add({{"kind", "document"}})),
      restored_tokens_(tokens_read_.Add({{"kind", "restore"}})),
      question_tokens_(tokens_read_.Add({{"kind", "question"}})),
      generated_tokens_(
          Family(BuildCounter(), *registry_, "tome_tokens_generated_total", "Tokens of answers.").Add({})),
      segment_seconds_(
          Family(BuildHistogram(), *registry_, "tome_segment_seconds", "One forward pass over a document's segment.")
              .Add({}, StepBuckets())),
      first_token_seconds_(Family(BuildHistogram(), *registry_, "tome_time_to_first_token_seconds",
                                  "From a question's arrival to the first token of its answer.")
                               .Add({}, QuestionBuckets())),
      question_duration_(Family(BuildHistogram(), *registry_, "tome_question_duration_seconds",
                                "From a question's arrival to its end.")),
      question_ok_(question_duration_.Add({{"outcome", "ok"}}, QuestionBuckets())),
      question_cancelled_(question_duration_.Add({{"outcome", "cancelled"}}, QuestionBuckets())),
      question_error_(question_duration_.Add({{"outcome", "error"}}, QuestionBuckets())),
      question_phases_(Family(BuildCounter(), *registry_, "tome_question_phase_seconds_total",
                              "Time of questions and searches that ended, by what it went into.")),
      bytes_appended_(
          Family(BuildCounter(), *registry_, "tome_bytes_appended_total", "Bytes of documents made durable.").Add({})),
      commit_seconds_(Family(BuildHistogram(), *registry_, "tome_commit_seconds", "One commit of documents to disk.")
                          .Add({}, CommitBuckets())),
      snapshots_(
          Family(BuildCounter(), *registry_, "tome_snapshots_total", "Snapshots of sessions, by their outcome.")),
      snapshots_written_(snapshots_.Add({{"outcome", "written"}})),
      snapshots_failed_(snapshots_.Add({{"outcome", "failed"}})),
      snapshot_bytes_(
          Family(BuildCounter(), *registry_, "tome_snapshot_bytes_total", "Bytes of snapshots written.").Add({})),
      snapshot_seconds_(Family(BuildHistogram(), *registry_, "tome_snapshot_seconds",
                               "One snapshot, from its fork to its registration.")
                            .Add({}, SnapshotBuckets())),
      snapshot_load_seconds_(Family(BuildHistogram(), *registry_, "tome_snapshot_load_seconds",
                                    "One snapshot, from its file to the state.")
                                 .Add({}, SnapshotBuckets())),
      snapshots_refused_(Family(BuildCounter(), *registry_, "tome_snapshots_refused_total",
                                "Snapshots that were not loaded: damaged, or of another model or the like.")),
      snapshots_damaged_(snapshots_refused_.Add({{"reason", "damaged"}})),
      snapshots_mismatched_(snapshots_refused_.Add({{"reason", "mismatch"}})),
      restores_(Family(BuildCounter(), *registry_, "tome_restores_total",
                       "States that came back into memory, from a snapshot or the first stored byte.")),
      restores_from_snapshot_(restores_.Add({{"source", "snapshot"}})),
      restores_from_first_byte_(restores_.Add({{"source", "first_byte"}})),
      sessions_(Family(BuildGauge(), *registry_, "tome_sessions", "Sessions in the data folder.").Add({})),
      resident_sessions_(
          Family(BuildGauge(), *registry_, "tome_sessions_resident", "Sessions whose state is in memory.").Add({})),
      state_bytes_(Family(BuildGauge(), *registry_, "tome_state_bytes",
                          "Memory for states and archives of resident sessions, reserved and held.")),
      state_reserved_(state_bytes_.Add({{"kind", "reserved"}})),
      state_held_(state_bytes_.Add({{"kind", "held"}})),
      process_memory_(Family(BuildGauge(), *registry_, "tome_process_memory_bytes",
                             "Memory without a file behind it, as accounted for and as held.")),
      accounted_memory_(process_memory_.Add({{"kind", "accounted"}})),
      held_memory_(process_memory_.Add({{"kind", "held"}})),
      archive_bytes_(Family(BuildGauge(), *registry_, "tome_archive_bytes",
                            "Archives of resident sessions, in memory and in files.")),
      archive_resident_(archive_bytes_.Add({{"kind", "resident"}})),
      archive_spilled_(archive_bytes_.Add({{"kind", "spilled"}})),
      archive_spill_failures_(Family(BuildCounter(), *registry_, "tome_archive_spill_failures_total",
                                     "Parts of archives that could not be written to a file and stay in memory.")
                                  .Add({})),
      queue_depth_(Family(BuildGauge(), *registry_, "tome_queue_depth", "Questions that wait, and that run.")),
      waiting_questions_(queue_depth_.Add({{"kind", "waiting"}})),
      running_questions_(queue_depth_.Add({{"kind", "running"}})) {
  Family(BuildGauge(), *registry_, "tome_build_info", "What this server was built from.")
      .Add({{"version", build.version}, {"revision", build.revision}})
      .Set(1);
  for (const Phase& phase : kPhases) question_phases_.Add({{"phase", phase.name}});
}

void Metrics::OnCallFinished(const CallRecord& record) {
  const std::string method(record.method);
  requests_.Add({{"method", method}, {"code", absl::StatusCodeToString(record.code)}}).Increment();
  call_duration_.Add({{"method", method}}, CallBuckets()).Observe(absl::ToDoubleSeconds(record.duration));
}

void Metrics::OnSegmentRead(std::int64_t tokens, absl::Duration step_time, bool restoring) {
  (restoring ? restored_tokens_ : document_tokens_).Increment(static_cast<double>(tokens));
  segment_seconds_.Observe(absl::ToDoubleSeconds(step_time));
}

void Metrics::OnPromptRead(std::int64_t tokens) { question_tokens_.Increment(static_cast<double>(tokens)); }

void Metrics::OnTokensGenerated(std::int64_t tokens) { generated_tokens_.Increment(static_cast<double>(tokens)); }

void Metrics::OnFirstToken(absl::Duration time_to_first_token) {
  first_token_seconds_.Observe(absl::ToDoubleSeconds(time_to_first_token));
}

void Metrics::OnQuestionFinished(const QuestionRecord& record) {
  prometheus::Histogram& outcome = record.status.ok()                 ? question_ok_
                                   : absl::IsCancelled(record.status) ? question_cancelled_
                                                                      : question_error_;
  absl::Duration total;
  for (const Phase& phase : kPhases) {
    const absl::Duration duration = record.*phase.duration;
    total += duration;
    question_phases_.Add({{"phase", phase.name}}).Increment(absl::ToDoubleSeconds(duration));
  }
  outcome.Observe(absl::ToDoubleSeconds(total));
}

void Metrics::OnBytesStored(std::uint64_t bytes, absl::Duration commit_time) {
  bytes_appended_.Increment(static_cast<double>(bytes));
  commit_seconds_.Observe(absl::ToDoubleSeconds(commit_time));
}

void Metrics::OnSnapshotWritten(std::uint64_t bytes, absl::Duration duration) {
  snapshots_written_.Increment();
  snapshot_bytes_.Increment(static_cast<double>(bytes));
  snapshot_seconds_.Observe(absl::ToDoubleSeconds(duration));
}

void Metrics::OnSnapshotFailed(const absl::Status&) { snapshots_failed_.Increment(); }
void Metrics::OnSnapshotLoaded(absl::Duration duration) {
  snapshot_load_seconds_.Observe(absl::ToDoubleSeconds(duration));
}
void Metrics::OnSnapshotRefused(bool damaged) { (damaged ? snapshots_damaged_ : snapshots_mismatched_).Increment(); }
void Metrics::OnRestoreBegun(bool from_snapshot) {
  (from_snapshot ? restores_from_snapshot_ : restores_from_first_byte_).Increment();
}

void Metrics::OnSessions(std::int64_t sessions) { sessions_.Set(static_cast<double>(sessions)); }

void Metrics::OnResidentSessions(std::int64_t sessions) { resident_sessions_.Set(static_cast<double>(sessions)); }

void Metrics::OnStateBytes(std::size_t reserved, std::size_t held) {
  state_reserved_.Set(static_cast<double>(reserved));
  state_held_.Set(static_cast<double>(held));
}

std::size_t Metrics::session_bytes() const { return static_cast<std::size_t>(state_held_.Value()); }

void Metrics::SetProcessMemory(std::size_t accounted, std::size_t held) {
  accounted_memory_.Set(static_cast<double>(accounted));
  held_memory_.Set(static_cast<double>(held));
}

void Metrics::OnArchiveBytes(std::size_t resident, std::size_t spilled) {
  archive_resident_.Set(static_cast<double>(resident));
  archive_spilled_.Set(static_cast<double>(spilled));
}

void Metrics::OnArchiveSpillsFailed(std::int64_t times, const absl::Status& /*last*/) {
  archive_spill_failures_.Increment(static_cast<double>(times));
}

void Metrics::OnWaitingQuestions(std::int64_t questions) { waiting_questions_.Set(static_cast<double>(questions)); }

void Metrics::OnRunningQuestions(std::int64_t questions) { running_questions_.Set(static_cast<double>(questions)); }

}  // namespace tome::server
