#include "server/questions/answer.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "engine/generation/prompt_form.h"
#include "server/base/errors.h"
#include "server/questions/evidence_text.h"
#include "server/questions/prompt.h"

namespace tome::server {
namespace {

constexpr std::int64_t kDefaultBudgetTokens = 512;

absl::StatusOr<ChosenForm> FormFor(const QuestionRequest& request, const Memory& memory) {
  const Model& model = *memory.model();
  return ChooseForm(request, model.info().chat_template, model.profile());
}

absl::StatusOr<int> BudgetFor(const QuestionRequest& request, const Memory& memory) {
  const std::int64_t context = memory.model()->info().config.context_length;
  const std::int64_t least = memory.options().region_tokens;
  if (request.budget_tokens == 0) {
    const std::int64_t usual = std::min(kDefaultBudgetTokens, context / 2);
    return static_cast<int>(std::max(least, std::int64_t{memory.model()->profile().budget_tokens.value_or(usual)}));
  }
  if (request.budget_tokens >= least && request.budget_tokens <= context) return request.budget_tokens;
  return MakeError(absl::StatusCode::kInvalidArgument,
                   fmt::format("budget_tokens: expected {} (a region) to {} (the model's context), found {}", least,
                               context, request.budget_tokens),
                   {.reason = "ANSWER_BUDGET", .metadata = {{"field", "budget_tokens"}}});
}

tome::Question EngineQuestion(const QuestionRequest& request, const ChosenForm& form) {
  tome::Question question{.text = request.question,
                          .instruction = request.instruction,
                          .turns = {},
                          .form = form.form,
                          .route = {},
                          .mode = request.mode};
  for (const Turn& turn : request.turns) question.turns.emplace_back(turn.question, turn.answer);
  return question;
}

// --- Over sink and window ---

absl::StatusOr<Task> Generate(const QuestionRequest& request, const tome::Question& question, const ReadingFork& fork,
                              std::uint64_t* prompt_tokens) {
  const bool at_start = fork.memory.tokens_read() == 0 && fork.tail.tokens.empty();
  TOME_ASSIGN_OR_RETURN(const FilledPrompt prompt, FillPrompt(*fork.memory.model(), question, /*text=*/"", at_start));
  *prompt_tokens = prompt.tokens.size();
  GenerationOptions options = request.generation;
  options.stop.insert(options.stop.end(), prompt.stop.begin(), prompt.stop.end());
  options.stop_tokens.insert(options.stop_tokens.end(), prompt.stop_tokens.begin(), prompt.stop_tokens.end());
  std::vector<TokenId> tokens = fork.tail.tokens;
  tokens.insert(tokens.end(), prompt.tokens.begin(), prompt.tokens.end());
  return Task::Generate(fork.memory, std::move(tokens), std::move(options));
}

absl::StatusOr<InquiryWork> BeginOverWindow(const QuestionRequest& request, ReadingFork fork,
                                            const std::vector<StoredDocument>& documents) {
  TOME_ASSIGN_OR_RETURN(const ChosenForm form, FormFor(request, fork.memory));
  const tome::Question question = EngineQuestion(request, form);
  QuestionResult result{.mode = AnswerMode::kWindow, .prompt_form = form.name};
  absl::StatusOr<Task> task = Generate(request, question, fork, &result.prompt_tokens);
  if (task.status().code() == absl::StatusCode::kInvalidArgument && fork.ingested_tokens > 0 &&
      !fork.tail.tokens.empty()) {
    // The question may fit beside what was read, without what is pending; the coverage tells.
    fork.tail = Segment();
    task = Generate(request, question, fork, &result.prompt_tokens);
  }
  if (!task.ok()) return WithQuestionDetails(task.status());
  result.stored_tokens = fork.memory.tokens_kept();
  result.attended_tokens = result.stored_tokens + fork.tail.tokens.size();
  result.coverage = MakeCoverage(fork, documents, result.mode);
  return InquiryWork{.task = *std::move(task), .result = std::move(result)};
}

// --- Over what is found ---

absl::StatusOr<Task> AnswerTask(const QuestionRequest& request, Memory fork, PendingText pending,
                                QuestionResult* result) {
  TOME_ASSIGN_OR_RETURN(const ChosenForm form, FormFor(request, fork));
  tome::Question question = EngineQuestion(request, form);
  TOME_ASSIGN_OR_RETURN(question.budget_tokens, BudgetFor(request, fork));
  question.route.effort = result->effort;
  result->prompt_form = form.name;
  result->budget_tokens = question.budget_tokens;
  // These are in the prompt in any case, also where nothing but white space is found.
  const bool at_start = request.mode != AnswerMode::kAttend;
  const absl::StatusOr<FilledPrompt> bare = FillPrompt(*fork.model(), question, /*text=*/"", at_start);
  if (bare.ok()) result->prompt_tokens = bare->tokens.size();
  absl::StatusOr<Task> task =
      Task::Answer(std::move(fork), std::move(pending), std::move(question), request.generation);
  if (!task.ok()) return WithQuestionDetails(task.status());
  return task;
}

absl::StatusOr<InquiryWork> BeginOverPassages(const QuestionRequest& request, ReadingFork fork,
                                              const std::vector<StoredDocument>& documents) {
  QuestionResult result{.mode = request.mode, .effort = EffortFor(request.effort, fork.memory)};
  result.coverage = MakeCoverage(fork, documents, result.mode);
  PendingText pending = TakePending(&fork);
  TOME_ASSIGN_OR_RETURN(Task task, AnswerTask(request, std::move(fork.memory), std::move(pending), &result));
  return InquiryWork{.task = std::move(task), .result = std::move(result)};
}

// Of spans that meet, in one document.
TokenSpan Common(const TokenSpan& a, const TokenSpan& b) {
  const ByteOffset begin = std::max(a.begin, b.begin);
  const ByteOffset end = std::min(a.begin + a.num_bytes, b.begin + b.num_bytes);
  return {.document = a.document, .num_bytes = static_cast<std::uint32_t>(end - begin), .begin = begin};
}

class Answer final : public Inquiry {
 public:
  explicit Answer(QuestionRequest request)
      : Inquiry({.session_id = request.session_id,
                 .wait_for_ingested_bytes = request.wait_for_ingested_bytes,
                 .include_text = request.citations.include_text,
                 .log_probabilities = request.generation.log_probabilities}),
        request_(std::move(request)) {}

  std::string_view name() const override { return "answering"; }
  absl::Status Check(const Tokenizer& tokenizer, std::size_t max_bytes) const override;
  absl::StatusOr<InquiryWork> Begin(ReadingFork fork, const std::vector<StoredDocument>& documents) const override;
  void AddEvidence(const Evidence& evidence, const std::vector<StoredDocument>& documents,
                   QuestionResult* result) const override;

 private:
  const QuestionRequest request_;
};

absl::Status Answer::Check(const Tokenizer& tokenizer, std::size_t max_bytes) const {
  TOME_RETURN_IF_ERROR(WithDetails(ValidateGenerationOptions(request_.generation),
                                   {.reason = "GENERATION_OPTIONS", .metadata = {{"field", "generation"}}}));
  TOME_RETURN_IF_ERROR(CheckQuestionSize(request_, max_bytes));
  return CheckQuestionText(request_.question, tokenizer);
}

absl::StatusOr<InquiryWork> Answer::Begin(ReadingFork fork, const std::vector<StoredDocument>& documents) const {
  const auto begin = request_.mode == AnswerMode::kWindow ? BeginOverWindow : BeginOverPassages;
  return begin(request_, std::move(fork), documents);
}

void Answer::AddEvidence(const Evidence& evidence, const std::vector<StoredDocument>& documents,
                         QuestionResult* result) const {
  AddSearched(evidence, result);
  result->reread_tokens = static_cast<std::uint64_t>(evidence.text_tokens);
  result->stored_tokens = static_cast<std::uint64_t>(evidence.stored_tokens);
  result->attended_tokens = result->reread_tokens + result->stored_tokens;
  for (const Passage& passage : evidence.passages) {
    result->passages.push_back({.range = RangeOf(passage.span, documents),
                                .tokens = passage.tokens,
                                .score = passage.score,
                                .stored = passage.stored});
    Coverage& coverage = result->coverage;
    (passage.stored ? coverage.stored_bytes : coverage.reread_bytes) += passage.span.num_bytes;
  }
  for (const FoundRegion& found : evidence.found) {
    if (result->citations.size() == static_cast<std::size_t>(request_.citations.max_citations)) break;
    for (const Passage& passage : evidence.passages) {
      if (found.region < passage.regions.first || found.region >= passage.regions.end) continue;
      RoutedRegion cited = ToRoutedRegion(found, evidence, documents);
      cited.range = RangeOf(Common(found.span, passage.span), documents);
      result->citations.push_back(std::move(cited));
    }
  }
}

}  // namespace

std::unique_ptr<Inquiry> MakeAnswer(QuestionRequest request) { return std::make_unique<Answer>(std::move(request)); }

}  // namespace tome::server
