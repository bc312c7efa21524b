// A question as those know it who asked it.
#ifndef TOME_SERVER_QUESTIONS_QUESTION_H_
#define TOME_SERVER_QUESTIONS_QUESTION_H_

#include "absl/status/statusor.h"
#include "server/base/types.h"

namespace tome::server {

// Follows one question. OnDone is the last call and comes exactly once.
class QuestionObserver {
 public:
  virtual ~QuestionObserver() = default;
  virtual void OnProgress(const QuestionProgress& progress) = 0;
  virtual void OnDelta(const AnswerDelta& delta) = 0;
  // CANCELLED after Cancel; CANCELLED with reason SESSION_DELETED when the session was deleted.
  virtual void OnDone(const absl::StatusOr<QuestionResult>& result) = 0;
};

// Handle of a running question. Dropping it does not cancel the question.
class RunningQuestion {
 public:
  virtual ~RunningQuestion() = default;
  // Ends the work before the next step of the model. Thread-safe, any number of times.
  virtual void Cancel() = 0;
};

}  // namespace tome::server

#endif  // TOME_SERVER_QUESTIONS_QUESTION_H_
