// One question from its start to its result.
#ifndef TOME_SERVER_SESSION_QUESTION_RUN_H_
#define TOME_SERVER_SESSION_QUESTION_RUN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "server/session/prompt.h"
#include "server/session/session_context.h"
#include "server/session/session_reader.h"
#include "server/session/types.h"

namespace tome::server {

// Its session leads it through waiting and queueing, the compute loop through reading and answering. Thread-safe.
class QuestionRun final : public Question, public ComputeWork, public std::enable_shared_from_this<QuestionRun> {
 public:
  QuestionRun(std::shared_ptr<SessionContext> context, QuestionRequest request,
              std::shared_ptr<QuestionObserver> observer);

  const QuestionRequest& request() const { return request_; }

  // Ends the question, the first time it is called; then `ended` of SetEnded is called.
  void Finish(absl::StatusOr<QuestionResult> result);
  void Cancel() override;
  bool done() const;

  // Before the start: what to call at the end, once, without a lock held.
  void SetEnded(std::function<void()> ended);
  // Takes a place among the waiting; QUESTION_LIMIT.
  absl::Status Enter();
  void ReportWaiting(std::uint64_t done_bytes, std::uint64_t total_bytes);
  // Calls `granted` when the question may run.
  void RequestSlot(std::function<void()> granted);
  // Answers over a fork of the session that has stored `documents`. Tokenizes. Errors end the question.
  void Launch(ReadingFork fork, const std::vector<StoredDocument>& documents);

  Task* NextTask() override;
  void OnStep(StepResult result, absl::Duration step_time) override;

 private:
  absl::Status MakeTask(ReadingFork fork, const std::vector<StoredDocument>& documents);
  absl::StatusOr<Task> Generate(const ReadingFork& fork, const Segment& tail, std::uint64_t* prompt_tokens) const;

  // With mutex_ held.
  void ReportLocked(QuestionPhase phase, std::uint64_t done, std::uint64_t total);
  void NoteTimesLocked(const StepResult& result, absl::Duration step_time);
  QuestionTimings TimingsLocked() const;

  const std::shared_ptr<SessionContext> context_;
  const QuestionRequest request_;
  SerialQueue callbacks_;
  Activity::Token activity_;

  mutable std::mutex mutex_;                    // guards all that follows
  std::shared_ptr<QuestionObserver> observer_;  // until the end
  std::function<void()> ended_;
  std::shared_ptr<QuestionGate::Ticket> ticket_;
  std::optional<QuestionProgress> reported_;
  std::optional<Task> task_;  // while a step runs, the compute thread's
  std::uint64_t tokens_to_read_ = 0;
  QuestionResult result_;
  absl::Duration begin_;
  // When each stage began.
  std::optional<absl::Duration> queued_at_, reading_at_, first_token_at_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_QUESTION_RUN_H_
