#include "server/session/question_run.h"

#include <utility>

#include "engine/base/status.h"

namespace tome::server {
namespace {

Coverage MakeCoverage(const ReadingFork& fork, const Segment& tail, const std::vector<StoredDocument>& documents) {
  Coverage coverage{.ingested_bytes = fork.ingested_bytes,
                    .ingested_tokens = fork.ingested_tokens,
                    .pending_bytes = tail.num_bytes()};
  for (const StoredDocument& document : documents) coverage.durable_bytes += document.size;
  std::uint64_t exact_bytes = 0;
  for (const SpanRange& range : fork.attended.Ranges(tail.spans)) {
    exact_bytes += range.end - range.begin;
    coverage.exact.push_back({.document = documents[range.document].name, .begin = range.begin, .end = range.end});
  }
  coverage.forgotten_bytes = fork.ingested_bytes + coverage.pending_bytes - exact_bytes;
  return coverage;
}

}  // namespace

QuestionRun::QuestionRun(std::shared_ptr<SessionContext> context, QuestionRequest request,
                         std::shared_ptr<QuestionObserver> observer)
    : context_(std::move(context)),
      request_(std::move(request)),
      callbacks_(context_->callbacks),
      activity_(context_->activity.Begin()),
      observer_(std::move(observer)),
      begin_(context_->clock.Elapsed()) {}

bool QuestionRun::done() const {
  std::lock_guard lock(mutex_);
  return observer_ == nullptr;
}

void QuestionRun::SetEnded(std::function<void()> ended) {
  std::lock_guard lock(mutex_);
  ended_ = std::move(ended);
}

absl::Status QuestionRun::Enter() {
  std::shared_ptr<QuestionGate::Ticket> ticket = context_->gate.Enter();
  if (!ticket) {
    return MakeError(absl::StatusCode::kResourceExhausted,
                     fmt::format("{} questions are being answered and {} wait: too many for another one",
                                 context_->options.max_running_questions, context_->options.max_waiting_questions),
                     {.reason = "QUESTION_LIMIT", .retry_delay = context_->options.retry_delay});
  }
  std::lock_guard lock(mutex_);
  ticket_ = std::move(ticket);
  return absl::OkStatus();
}

void QuestionRun::Cancel() {
  Finish(MakeError(absl::StatusCode::kCancelled, "the question was cancelled", {.reason = "CANCELLED"}));
}

void QuestionRun::Finish(absl::StatusOr<QuestionResult> result) {
  std::function<void()> ended;
  std::shared_ptr<QuestionGate::Ticket> ticket;
  QuestionRecord record{.session_id = request_.session_id, .status = result.status()};
  {
    std::lock_guard lock(mutex_);
    if (!observer_) return;
    const QuestionTimings timings = TimingsLocked();
    record.prompt_tokens = static_cast<std::int64_t>(result_.prompt_tokens);
    record.generated_tokens = static_cast<std::int64_t>(result_.generated_tokens);
    record.waiting = timings.waiting;
    record.queued = timings.queued;
    record.reading_question = timings.reading_question;
    record.generating = timings.generating;
    ended = std::exchange(ended_, nullptr);
    ticket = std::exchange(ticket_, nullptr);
    callbacks_.Post([observer = std::exchange(observer_, nullptr), result = std::move(result),
                     activity = std::exchange(activity_, nullptr)] { observer->OnDone(result); });
  }
  context_->observer.OnQuestionFinished(record);
  if (ticket) context_->gate.Leave(ticket);
  if (ended) ended();
}

void QuestionRun::ReportLocked(QuestionPhase phase, std::uint64_t done, std::uint64_t total) {
  if (!observer_) return;
  const bool same = reported_ && reported_->phase == phase && reported_->done == done && reported_->total == total;
  if (same) return;
  reported_ = QuestionProgress{.phase = phase, .done = done, .total = total};
  callbacks_.Post([observer = observer_, progress = *reported_] { observer->OnProgress(progress); });
}

void QuestionRun::ReportWaiting(std::uint64_t done_bytes, std::uint64_t total_bytes) {
  std::lock_guard lock(mutex_);
  ReportLocked(QuestionPhase::kWaitingForReading, done_bytes, total_bytes);
}

void QuestionRun::RequestSlot(std::function<void()> granted) {
  std::shared_ptr<QuestionGate::Ticket> ticket;
  {
    std::lock_guard lock(mutex_);
    if (!observer_) return;
    queued_at_ = context_->clock.Elapsed();
    ReportLocked(QuestionPhase::kQueued, 0, 0);
    ticket = ticket_;
  }
  context_->gate.RequestSlot(ticket, std::move(granted));
}

void QuestionRun::Launch(ReadingFork fork, const std::vector<StoredDocument>& documents) {
  absl::Status status = MakeTask(std::move(fork), documents);
  if (!status.ok()) {
    Finish(std::move(status));
    return;
  }
  context_->compute.Submit(Lane::kQuestions, shared_from_this());
}

absl::Status QuestionRun::MakeTask(ReadingFork fork, const std::vector<StoredDocument>& documents) {
  std::uint64_t prompt_tokens = 0;
  absl::StatusOr<Task> task = Generate(fork, fork.tail, &prompt_tokens);
  if (task.status().code() == absl::StatusCode::kInvalidArgument && fork.ingested_tokens > 0 &&
      !fork.tail.tokens.empty()) {
    // The question may fit beside what was read, without what is pending; the coverage tells.
    fork.tail = Segment();
    task = Generate(fork, fork.tail, &prompt_tokens);
  }
  if (task.status().code() == absl::StatusCode::kInvalidArgument) {
    return WithDetails(task.status(), {.reason = "QUESTION_TOO_LONG", .metadata = {{"field", "question"}}});
  }
  TOME_RETURN_IF_ERROR(task.status());

  std::lock_guard lock(mutex_);
  result_.prompt_tokens = prompt_tokens;
  result_.attended_tokens = fork.memory.tokens_kept() + fork.tail.tokens.size();
  result_.coverage = MakeCoverage(fork, fork.tail, documents);
  tokens_to_read_ = static_cast<std::uint64_t>(task->tokens_left_to_read());
  task_.emplace(*std::move(task));
  return absl::OkStatus();
}

absl::StatusOr<Task> QuestionRun::Generate(const ReadingFork& fork, const Segment& tail,
                                           std::uint64_t* prompt_tokens) const {
  const bool at_start = fork.memory.tokens_read() == 0 && tail.tokens.empty();
  TOME_ASSIGN_OR_RETURN(const Prompt prompt, BuildPrompt(*context_->model->tokenizer(),
                                                         context_->model->info().chat_template, request_, at_start));
  *prompt_tokens = prompt.tokens.size();
  GenerationOptions options = request_.generation;
  options.stop.insert(options.stop.end(), prompt.stop.begin(), prompt.stop.end());
  options.stop_tokens.insert(options.stop_tokens.end(), prompt.stop_tokens.begin(), prompt.stop_tokens.end());
  std::vector<TokenId> tokens = tail.tokens;
  tokens.insert(tokens.end(), prompt.tokens.begin(), prompt.tokens.end());
  return Task::Generate(fork.memory, std::move(tokens), std::move(options));
}

Task* QuestionRun::NextTask() {
  std::optional<Task> dropped;
  std::lock_guard lock(mutex_);
  if (observer_ && task_) return &*task_;
  dropped.swap(task_);
  return nullptr;
}

void QuestionRun::OnStep(StepResult step, absl::Duration step_time) {
  std::optional<absl::Duration> first_token_after;
  bool finished = false;
  {
    std::lock_guard lock(mutex_);
    if (!observer_) return;
    const bool had_token = first_token_at_.has_value();
    NoteTimesLocked(step, step_time);
    if (!had_token && first_token_at_) first_token_after = *first_token_at_ - begin_;
    if (step.tokens_read > 0) {
      const auto left = static_cast<std::uint64_t>(task_->tokens_left_to_read());
      ReportLocked(QuestionPhase::kReadingQuestion, tokens_to_read_ - left, tokens_to_read_);
    }
    result_.generated_tokens += step.tokens.size();
    result_.answer += step.text;
    AnswerDelta delta{.text = step.text};
    if (request_.generation.log_probabilities) delta.tokens = step.tokens;
    if (!delta.text.empty() || !delta.tokens.empty()) {
      callbacks_.Post([observer = observer_, delta = std::move(delta)] { observer->OnDelta(delta); });
    }
    finished = step.finished && step.status.ok();
    if (finished) {
      result_.finish_reason = step.finish_reason;
      result_.timings = TimingsLocked();
    }
  }
  if (step.tokens_read > 0) context_->observer.OnPromptRead(step.tokens_read);
  if (!step.tokens.empty()) context_->observer.OnTokensGenerated(static_cast<std::int64_t>(step.tokens.size()));
  if (first_token_after) context_->observer.OnFirstToken(*first_token_after);
  if (!step.status.ok()) {
    Finish(Annotate(step.status, "answering"));
  } else if (finished) {
    Finish(result_);
  }
}

void QuestionRun::NoteTimesLocked(const StepResult& step, absl::Duration step_time) {
  const absl::Duration now = context_->clock.Elapsed();
  if (!reading_at_) reading_at_ = now - step_time;
  if (!first_token_at_ && !step.tokens.empty()) first_token_at_ = now;
}

QuestionTimings QuestionRun::TimingsLocked() const {
  const absl::Duration now = context_->clock.Elapsed();
  const absl::Duration queued_at = queued_at_.value_or(now);
  const absl::Duration reading_at = reading_at_.value_or(queued_at_ ? now : queued_at);
  const absl::Duration first_token_at = first_token_at_.value_or(reading_at_ ? now : reading_at);
  return {.waiting = queued_at - begin_,
          .queued = reading_at - queued_at,
          .reading_question = first_token_at - reading_at,
          .generating = first_token_at_ ? now - first_token_at : absl::ZeroDuration(),
          .time_to_first_token = first_token_at_ ? first_token_at - begin_ : absl::ZeroDuration()};
}

}  // namespace tome::server
