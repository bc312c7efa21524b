#include "engine/generation/answer_task.h"

#include <ATen/ATen.h>

#include <utility>

#include "engine/base/status.h"
#include "engine/generation/prompt_form.h"

namespace tome {

AnswerTask::AnswerTask(Memory fork, PendingText pending, Question question, GenerationOptions options,
                       std::shared_ptr<const LlamaWeights> ranking, std::shared_ptr<const LlamaWeights> reading)
    : search_(std::move(fork), std::move(pending), question.text, question.route, std::move(ranking)),
      question_(std::move(question)),
      options_(std::move(options)),
      reading_(std::move(reading)) {}

std::int64_t AnswerTask::tokens_left_to_read() const {
  if (generate_ != nullptr) return generate_->tokens_left_to_read();
  return finished_ ? 0 : search_.tokens_left_to_read() + question_.budget_tokens;
}

StepResult AnswerTask::Advance() {
  StepResult result;
  if (generate_ != nullptr) {
    result = generate_->Advance();
    finished_ = generate_->finished();
    return result;
  }
  result = search_.Advance();
  if (!result.status.ok() || !result.finished) return result;
  result.finished = false;
  result.status = BeginGenerating();
  return result;
}

StepResult AnswerTask::TakeLogits(absl::Span<const float> logits) {
  StepResult result = generate_->TakeLogits(logits);
  finished_ = generate_->finished();
  return result;
}

std::vector<TokenRange> AnswerTask::ChooseText() {
  Evidence& evidence = *search_.evidence();
  const MemoryState& state = *search_.fork().state();
  const Tokenizer& tokenizer = *search_.fork().model()->tokenizer();
  std::vector<TokenRange> attended;
  evidence.mode = question_.mode;
  if (question_.mode == AnswerMode::kAttend) {
    evidence.passages = ChooseStoredPassages(state, tokenizer, evidence.found, question_.budget_tokens);
    attended = AttendedTokens(state, evidence.passages);
  } else {
    evidence.passages = ChoosePassages(state.archive(), tokenizer, evidence.found, question_.budget_tokens);
  }
  for (const Passage& passage : evidence.passages) evidence.text_tokens += passage.stored ? 0 : passage.tokens;
  for (const TokenRange& range : attended) evidence.stored_tokens += range.tokens();
  return attended;
}

absl::Status AnswerTask::BeginGenerating() {
  std::vector<TokenRange> attended = ChooseText();
  const Evidence& evidence = *search_.evidence();
  const Memory& fork = search_.fork();
  const Model& model = *fork.model();
  const std::string text = JoinPassages(fork.state()->archive(), *model.tokenizer(), evidence.passages);
  TOME_ASSIGN_OR_RETURN(FilledPrompt prompt, FillPrompt(model, question_, text, /*at_start=*/attended.empty()));
  if (prompt.tokens.empty()) return InvalidArgument("the prompt form makes an empty prompt of question and text");
  const std::int64_t context = model.info().config.context_length;
  const auto prompt_tokens = static_cast<std::int64_t>(prompt.tokens.size());
  if (!FitAnswer(context - evidence.stored_tokens - prompt_tokens, &options_)) {
    return InvalidArgument(
        "question and text have {} tokens{} and the answer may have {}, but the model's context is {}; ask a shorter "
        "question, or lower the budget or max_tokens",
        prompt_tokens, attended.empty() ? "" : fmt::format(", follow {} stored ones,", evidence.stored_tokens),
        options_.max_tokens, context);
  }
  options_.stop.insert(options_.stop.end(), prompt.stop.begin(), prompt.stop.end());
  options_.stop_tokens.insert(options_.stop_tokens.end(), prompt.stop_tokens.begin(), prompt.stop_tokens.end());
  generate_ = std::make_unique<GenerateTask>(fork, std::move(attended), std::move(prompt.tokens), options_, reading_);
  return absl::OkStatus();
}

}  // namespace tome
