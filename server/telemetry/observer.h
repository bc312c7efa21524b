// What the session and scheduling folders report of their work. A leaf: telemetry implements it with metrics and logs,
// tests with a recorder. Every method has an empty default, is called from any Tome thread, must be thread-safe, must
// not block and must not call back into the caller.
#ifndef TOME_SERVER_TELEMETRY_OBSERVER_H_
#define TOME_SERVER_TELEMETRY_OBSERVER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace tome::server {

// How a question or a search ended, with its figures. Counts are 0 for what it did not get to.
struct QuestionRecord {
  std::string session_id;
  absl::Status status;
  std::int64_t prompt_tokens = 0;
  std::int64_t generated_tokens = 0;
  absl::Duration waiting;
  absl::Duration queued;
  absl::Duration reading_question;
  absl::Duration routing;
  absl::Duration reranking;
  absl::Duration reading_text;
  absl::Duration generating;
};

class Observer {
 public:
  virtual ~Observer() = default;

  // A segment of a session was read in one step. `restoring`: it had been read before, and its state was rebuilt.
  virtual void OnSegmentRead(std::int64_t /*tokens*/, absl::Duration /*step_time*/, bool /*restoring*/) {}
  // A step read `tokens` of a question.
  virtual void OnPromptRead(std::int64_t /*tokens*/) {}
  // A step generated `tokens`, over all questions in it.
  virtual void OnTokensGenerated(std::int64_t /*tokens*/) {}
  // From StartQuestion to the first token of the answer.
  virtual void OnFirstToken(absl::Duration /*time_to_first_token*/) {}
  virtual void OnQuestionFinished(const QuestionRecord& /*record*/) {}

  // Bytes of documents became durable in one commit that took `commit_time`.
  virtual void OnBytesStored(std::uint64_t /*bytes*/, absl::Duration /*commit_time*/) {}

  // A snapshot of a session was written and registered, in so long; or it could not be.
  virtual void OnSnapshotWritten(std::uint64_t /*bytes*/, absl::Duration /*duration*/) {}
  virtual void OnSnapshotFailed(const absl::Status& /*status*/) {}
  // A snapshot was loaded; or it was not used because it is damaged, or because another model or the like made it.
  virtual void OnSnapshotLoaded(absl::Duration /*duration*/) {}
  virtual void OnSnapshotRefused(bool /*damaged*/) {}
  // The state of a session comes back into memory, from a snapshot or from the first stored byte.
  virtual void OnRestoreBegun(bool /*from_snapshot*/) {}

  // Gauges: the new value.
  virtual void OnSessions(std::int64_t /*sessions*/) {}
  virtual void OnResidentSessions(std::int64_t /*sessions*/) {}
  // Memory reserved for the states and archives of resident sessions, and held by them.
  virtual void OnStateBytes(std::size_t /*reserved*/, std::size_t /*held*/) {}
  // Archives of resident sessions: what is in memory, which is part of the above, and what is in files.
  virtual void OnArchiveBytes(std::size_t /*resident*/, std::size_t /*spilled*/) {}
  virtual void OnWaitingQuestions(std::int64_t /*questions*/) {}
  virtual void OnRunningQuestions(std::int64_t /*questions*/) {}

  // Parts of archives could not be written to their folder, so many more times, and stay in memory.
  virtual void OnArchiveSpillsFailed(std::int64_t /*times*/, const absl::Status& /*last*/) {}

  // What happened to a session, for the log: "created", "deleted", "evicted", "restoring", "restored", "sealed",
  // "failed", "damaged", "model_changed", "reread", "expired", "expiry_failed", "snapshot", "snapshot_failed",
  // "snapshot_refused". `detail` is for people.
  virtual void OnSessionEvent(std::string_view /*session_id*/, std::string_view /*event*/,
                              std::string_view /*detail*/) {}
};

}  // namespace tome::server

#endif  // TOME_SERVER_TELEMETRY_OBSERVER_H_
