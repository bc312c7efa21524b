#include "server/questions/question_timer.h"

#include <utility>

namespace tome::server {

bool QuestionTimer::NoteStep(const StepResult& step, absl::Duration step_time) {
  const absl::Duration now = clock_.Elapsed();
  if (!steps_at_) {
    steps_at_ = now - step_time;
    last_step_end_ = *steps_at_;
  }
  phases_[static_cast<std::size_t>(step.phase)] += now - std::exchange(last_step_end_, now);
  if (first_token_at_ || step.tokens.empty()) return false;
  first_token_at_ = now;
  return true;
}

QuestionTimings QuestionTimer::Timings(AnswerMode mode) const {
  const auto phase = [this](TaskPhase of) { return phases_[static_cast<std::size_t>(of)]; };
  const absl::Duration now = clock_.Elapsed();
  const absl::Duration queued_at = queued_at_.value_or(now);
  const bool window = mode == AnswerMode::kWindow;
  const absl::Duration prompt = phase(TaskPhase::kPrompt);
  return {.waiting = queued_at - begin_,
          .queued = steps_at_.value_or(now) - queued_at,
          .reading_question = phase(TaskPhase::kReading) + (window ? prompt : absl::ZeroDuration()),
          .routing = phase(TaskPhase::kRouting),
          .reranking = phase(TaskPhase::kReranking),
          .reading_text = window ? absl::ZeroDuration() : prompt,
          .generating = phase(TaskPhase::kGenerating),
          .time_to_first_token = first_token_at_ ? *first_token_at_ - begin_ : absl::ZeroDuration()};
}

}  // namespace tome::server
