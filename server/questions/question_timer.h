// How long the stages of a question took.
#ifndef TOME_SERVER_QUESTIONS_QUESTION_TIMER_H_
#define TOME_SERVER_QUESTIONS_QUESTION_TIMER_H_

#include <array>
#include <cstddef>
#include <optional>

#include "absl/time/time.h"
#include "engine/engine.h"
#include "server/base/types.h"
#include "server/scheduling/clock.h"

namespace tome::server {

// A step belongs to the phase of the task that it advanced, with the time that
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

}  // namespace tome::server

#endif  // TOME_SERVER_QUESTIONS_QUESTION_TIMER_H_
