// One question from its start to its result.
#ifndef TOME_SERVER_SESSION_QUESTION_RUN_H_
#define TOME_SERVER_SESSION_QUESTION_RUN_H_

#include <array>
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
#include "server/session/question_work.h"
#include "server/session/session_context.h"
#include "server/session/session_reader.h"
#include "server/session/types.h"

namespace tome::server {

// Reads ranges of stored documents, in order; calls back later.
using TextReader =
    std::function<void(std::vector<ByteRange>, std::function<void(absl::StatusOr<std::vector<std::string>>)>)>;

// How long the stages of a question took. A step belongs to the phase of the task that it advanced, with the time that
// the task waited for it.
class QuestionTimer {
 public:
  explicit QuestionTimer(const Clock& clock) : clock_(clock), begin_(clock.Elapsed()) {}

  void NoteQueued() { queued_at_ = clock_.Elapsed(); }
  // Whether the first token came with it.
  bool NoteStep(const StepResult& step, absl::Duration step_time);
  // Until now. `mode` tells what reading the prompt means.
  QuestionTimings Timings(AnswerMode mode) const;

 private:
  static constexpr std::size_t kNumPhases = 5;

  const Clock& clock_;
  const absl::Duration begin_;
  std::optional<absl::Duration> queued_at_, steps_at_, first_token_at_;
  absl::Duration last_step_end_;
  std::array<absl::Duration, kNumPhases> phases_;  // by TaskPhase
};

// Its session leads it through waiting and queueing, the compute loop through reading and answering. Thread-safe.
class QuestionRun final : public Question, public ComputeWork, public std::enable_shared_from_this<QuestionRun> {
 public:
  // `search`: regions are wanted instead of an answer.
  QuestionRun(std::shared_ptr<SessionContext> context, QuestionRequest request, std::optional<RegionSlice> search,
              std::shared_ptr<QuestionObserver> observer);

  const QuestionRequest& request() const { return request_; }

  // Ends the question, the first time it is called; then `ended` of SetEnded is called.
  void Finish(absl::StatusOr<QuestionResult> result);
  void Cancel() override;
  bool done() const;

  // Before the start: what to call at the end, once, without a lock held.
  void SetEnded(std::function<void()> ended);
  // Before the start: where cited text comes from.
  void SetTextReader(TextReader read_texts);
  // Takes a place among the waiting; QUESTION_LIMIT.
  absl::Status Enter();
  void ReportWaiting(std::uint64_t done_bytes, std::uint64_t total_bytes);
  // Calls `granted` when the question may run.
  void RequestSlot(std::function<void()> granted);
  // It holds the session's state until its end, see holds_state. False when it has ended.
  bool HoldState();
  // At the end: whether the state must be let go.
  bool holds_state() const;
  // Answers over a fork of the session that has stored `documents`. Tokenizes. Errors end the question.
  void Launch(ReadingFork fork, const std::vector<StoredDocument>& documents);

  Task* NextTask() override;
  void OnStep(StepResult result, absl::Duration step_time) override;

 private:
  // Ends the question with its result, once the cited texts are read.
  void Complete();
  void TakeTexts(absl::StatusOr<std::vector<std::string>> texts);

  // With mutex_ held.
  void ReportLocked(QuestionPhase phase, std::uint64_t done, std::uint64_t total);
  void TakeStepLocked(const StepResult& step);
  void ReportStepLocked(const StepResult& step);

  const std::shared_ptr<SessionContext> context_;
  const QuestionRequest request_;
  const std::optional<RegionSlice> search_;
  SerialQueue callbacks_;
  Activity::Token activity_;

  mutable std::mutex mutex_;                    // guards all that follows
  std::shared_ptr<QuestionObserver> observer_;  // until the end
  std::function<void()> ended_;
  TextReader read_texts_;
  std::shared_ptr<QuestionGate::Ticket> ticket_;
  bool holds_state_ = false;
  std::optional<QuestionProgress> reported_;
  std::optional<Task> task_;  // while a step runs, the compute thread's
  std::vector<StoredDocument> documents_;
  std::uint64_t tokens_read_ = 0;
  std::uint64_t prompt_tokens_read_ = 0;
  QuestionResult result_;
  QuestionTimer timer_;
};

}  // namespace tome::server

#endif  // TOME_SERVER_SESSION_QUESTION_RUN_H_
