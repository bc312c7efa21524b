#include "server/questions/question_run.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "server/base/errors.h"
#include "server/questions/evidence_text.h"

namespace tome::server {
namespace {

QuestionPhase PhaseOf(const StepResult& step, AnswerMode mode) {
  switch (step.phase) {
    case TaskPhase::kReading:
      return QuestionPhase::kReadingQuestion;
    case TaskPhase::kRouting:
      return QuestionPhase::kRouting;
    case TaskPhase::kReranking:
      return QuestionPhase::kReranking;
    case TaskPhase::kPrompt:
    case TaskPhase::kGenerating:
      break;
  }
  return mode == AnswerMode::kWindow ? QuestionPhase::kReadingQuestion : QuestionPhase::kReadingText;
}

}  // namespace

QuestionRun::QuestionRun(std::shared_ptr<const QuestionContext> context, std::unique_ptr<const Inquiry> inquiry,
                         std::shared_ptr<QuestionObserver> observer)
    : context_(std::move(context)),
      inquiry_(std::move(inquiry)),
      callbacks_(context_->callbacks),
      activity_(context_->activity.Begin()),
      observer_(std::move(observer)),
      timer_(context_->clock) {}

bool QuestionRun::done() const {
  std::lock_guard lock(mutex_);
  return observer_ == nullptr;
}

void QuestionRun::SetEnded(std::function<void()> ended) {
  std::lock_guard lock(mutex_);
  ended_ = std::move(ended);
}

void QuestionRun::SetTextReader(TextReader read_texts) {
  std::lock_guard lock(mutex_);
  read_texts_ = std::move(read_texts);
}

absl::Status QuestionRun::Check(const Tokenizer& tokenizer) const {
  return inquiry_->Check(tokenizer, context_->options.max_question_bytes);
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
  TextReader read_texts;  // like `ended` it may own the session
  std::shared_ptr<QuestionGate::Ticket> ticket;
  std::shared_ptr<QuestionObserver> observer;
  Activity::Token activity;
  QuestionRecord record{.session_id = options().session_id, .status = result.status()};
  {
    std::lock_guard lock(mutex_);
    if (!observer_) return;
    const QuestionTimings timings = timer_.Timings(result_.mode);
    record.prompt_tokens = static_cast<std::int64_t>(result_.prompt_tokens);
    record.generated_tokens = static_cast<std::int64_t>(result_.generated_tokens);
    record.waiting = timings.waiting;
    record.queued = timings.queued;
    record.reading_question = timings.reading_question;
    record.routing = timings.routing;
    record.reranking = timings.reranking;
    record.reading_text = timings.reading_text;
    record.generating = timings.generating;
    ended = std::exchange(ended_, nullptr);
    read_texts = std::exchange(read_texts_, nullptr);
    ticket = std::exchange(ticket_, nullptr);
    observer = std::exchange(observer_, nullptr);
    activity = std::exchange(activity_, nullptr);
  }
  // Counted before it is told: who has the answer finds it in the metrics.
  context_->observer.OnQuestionFinished(record);
  if (ticket) context_->gate.Leave(ticket);
  callbacks_.Post([observer = std::move(observer), result = std::move(result), activity = std::move(activity)] {
    observer->OnDone(result);
  });
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
    timer_.NoteQueued();
    ReportLocked(QuestionPhase::kQueued, 0, 0);
    ticket = ticket_;
  }
  context_->gate.RequestSlot(ticket, std::move(granted));
}

bool QuestionRun::HoldState() {
  std::lock_guard lock(mutex_);
  if (!observer_) return false;
  holds_state_ = true;
  return true;
}

bool QuestionRun::holds_state() const {
  std::lock_guard lock(mutex_);
  return holds_state_;
}

void QuestionRun::Launch(ReadingFork fork, const std::vector<StoredDocument>& documents) {
  if (const absl::Status status = CheckAnyRead(fork, options().session_id, documents); !status.ok()) {
    return Finish(status);
  }
  absl::StatusOr<InquiryWork> work = inquiry_->Begin(std::move(fork), documents);
  if (!work.ok()) return Finish(work.status());
  {
    std::lock_guard lock(mutex_);
    documents_ = documents;
    result_ = std::move(work->result);
    task_.emplace(std::move(work->task));
  }
  context_->compute.Submit(Lane::kQuestions, shared_from_this());
}

Task* QuestionRun::NextTask() {
  std::optional<Task> dropped;
  std::lock_guard lock(mutex_);
  if (observer_ && task_ && !task_->finished()) return &*task_;
  dropped.swap(task_);
  return nullptr;
}

void QuestionRun::OnStep(StepResult step, absl::Duration step_time) {
  std::optional<absl::Duration> first_token_after;
  {
    std::lock_guard lock(mutex_);
    if (!observer_) return;
    if (timer_.NoteStep(step, step_time)) first_token_after = timer_.Timings(result_.mode).time_to_first_token;
    TakeStepLocked(step);
    ReportStepLocked(step);
    if (step.finished) result_.timings = timer_.Timings(result_.mode);
  }
  if (step.tokens_read > 0) context_->observer.OnPromptRead(step.tokens_read);
  if (!step.tokens.empty()) context_->observer.OnTokensGenerated(static_cast<std::int64_t>(step.tokens.size()));
  if (first_token_after) context_->observer.OnFirstToken(*first_token_after);
  if (!step.status.ok()) {
    Finish(Annotate(WithQuestionDetails(step.status), std::string(inquiry_->name())));
  } else if (step.finished) {
    Complete();
  }
}

void QuestionRun::TakeStepLocked(const StepResult& step) {
  tokens_read_ += static_cast<std::uint64_t>(step.tokens_read);
  if (step.phase == TaskPhase::kPrompt) prompt_tokens_read_ += static_cast<std::uint64_t>(step.tokens_read);
  if (step.evidence) inquiry_->AddEvidence(*step.evidence, documents_, &result_);
  if (result_.mode != AnswerMode::kWindow && prompt_tokens_read_ > result_.reread_tokens) {
    result_.prompt_tokens = std::max(result_.prompt_tokens, prompt_tokens_read_ - result_.reread_tokens);
  }
  result_.generated_tokens += step.tokens.size();
  result_.answer += step.text;
  if (step.finished) result_.finish_reason = step.finish_reason;
}

void QuestionRun::ReportStepLocked(const StepResult& step) {
  if (step.phase != TaskPhase::kGenerating && step.status.ok()) {
    const auto left = static_cast<std::uint64_t>(task_->tokens_left_to_read());
    ReportLocked(PhaseOf(step, result_.mode), tokens_read_, tokens_read_ + left);
  }
  AnswerDelta delta{.text = step.text};
  if (options().log_probabilities) delta.tokens = step.tokens;
  delta.scored = step.scored;
  if (delta.text.empty() && delta.tokens.empty() && delta.scored.empty()) return;
  callbacks_.Post([observer = observer_, delta = std::move(delta)] { observer->OnDelta(delta); });
}

void QuestionRun::Complete() {
  std::unique_lock lock(mutex_);
  if (!options().include_text || result_.citations.empty() || !read_texts_) {
    const QuestionResult result = result_;
    lock.unlock();
    return Finish(result);
  }
  std::vector<ByteRange> ranges;
  for (const RoutedRegion& region : result_.citations) ranges.push_back(region.range);
  const TextReader read_texts = std::exchange(read_texts_, nullptr);
  lock.unlock();
  read_texts(std::move(ranges), [self = shared_from_this()](absl::StatusOr<std::vector<std::string>> texts) {
    self->TakeTexts(std::move(texts));
  });
}

void QuestionRun::TakeTexts(absl::StatusOr<std::vector<std::string>> texts) {
  if (!texts.ok()) return Finish(texts.status());
  std::unique_lock lock(mutex_);
  for (std::size_t i = 0; i < texts->size(); ++i) result_.citations[i].text = std::move((*texts)[i]);
  const QuestionResult result = result_;
  lock.unlock();
  Finish(result);
}

}  // namespace tome::server
