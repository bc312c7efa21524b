// One question from its start to its result.
#ifndef TOME_SERVER_QUESTIONS_QUESTION_RUN_H_
#define TOME_SERVER_QUESTIONS_QUESTION_RUN_H_

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
#include "server/base/types.h"
#include "server/questions/inquiry.h"
#include "server/questions/question.h"
#include "server/questions/question_context.h"
#include "server/questions/question_timer.h"
#include "server/reading/resident_state.h"

namespace tome::server {

// Reads ranges of stored documents, in order; calls back later.
using TextReader =
    std::function<void(std::vector<ByteRange>, std::function<void(absl::StatusOr<std::vector<std::string>>)>)>;

// Its session leads it through waiting and queueing, the compute loop through reading and answering. Thread-safe.
class QuestionRun final : public RunningQuestion, public ComputeWork, public std::enable_shared_from_this<QuestionRun> {
 public:
  QuestionRun(std::shared_ptr<const QuestionContext> context, std::unique_ptr<const Inquiry> inquiry,
              std::shared_ptr<QuestionObserver> observer);

  const InquiryOptions& options() const { return inquiry_->options(); }

  // Ends the question, the first time it is called; then `ended` of SetEnded is called.
  void Finish(absl::StatusOr<QuestionResult> result);
  void Cancel() override;
  bool done() const;

  // Before the start: what to call at the end, once, without a lock held.
  void SetEnded(std::function<void()> ended);
  // Before the start: where cited text comes from.
  void SetTextReader(TextReader read_texts);
  // Errors of what is asked.
  absl::Status Check(const Tokenizer& tokenizer) const;
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

  const std::shared_ptr<const QuestionContext> context_;
  const std::unique_ptr<const Inquiry> inquiry_;
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

#endif  // TOME_SERVER_QUESTIONS_QUESTION_RUN_H_
