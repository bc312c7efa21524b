#include "server/session/question_work.h"

#include <algorithm>
#include <utility>

#include "engine/base/status.h"
#include "engine/generation/prompt_form.h"
#include "server/session/errors.h"
#include "server/session/prompt.h"

namespace tome::server {
namespace {

constexpr std::int64_t kDefaultBudgetTokens = 512;
constexpr Effort kDefaultEffort = Effort::kBalanced;

ByteRange RangeOf(const TokenSpan& span, const std::vector<StoredDocument>& documents) {
  return {.document = documents[span.document].name, .begin = span.begin, .end = span.begin + span.num_bytes};
}

// `exact`: what sink and window hold once the tail is read.
Coverage MakeCoverage(const ReadingFork& fork, const Segment& tail, const std::vector<SpanRange>& exact,
                      const std::vector<StoredDocument>& documents, AnswerMode mode) {
  Coverage coverage{.ingested_bytes = fork.ingested_bytes,
                    .ingested_tokens = fork.ingested_tokens,
                    .pending_bytes = tail.num_bytes()};
  for (const StoredDocument& document : documents) coverage.durable_bytes += document.size;
  const std::uint64_t read_bytes = fork.ingested_bytes + coverage.pending_bytes;
  coverage.unread_bytes = coverage.durable_bytes - read_bytes;
  std::uint64_t exact_bytes = 0;
  for (const SpanRange& range : exact) {
    exact_bytes += range.end - range.begin;
    coverage.exact.push_back({.document = documents[range.document].name, .begin = range.begin, .end = range.end});
  }
  if (mode == AnswerMode::kWindow) {
    coverage.forgotten_bytes = read_bytes - exact_bytes;
  } else {
    coverage.searchable_bytes = read_bytes;
    coverage.archive_only_bytes = read_bytes - exact_bytes;
  }
  return coverage;
}

absl::Status CheckAnyRead(const ReadingFork& fork, const SessionId& id, const std::vector<StoredDocument>& documents) {
  if (fork.memory.tokens_read() > 0 || !fork.tail.tokens.empty()) return absl::OkStatus();
  std::uint64_t bytes = 0;
  for (const StoredDocument& document : documents) bytes += document.size;
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   fmt::format("session {}: none of the {} bytes that it has stored gives the model a token, so that "
                               "nothing was read; append text first",
                               id, bytes),
                   {.reason = "SESSION_EMPTY", .metadata = {{"session", id}}});
}

// --- The question ---

absl::StatusOr<ChosenForm> FormFor(const QuestionRequest& request, const Memory& memory) {
  const Model& model = *memory.model();
  return ChooseForm(request, model.info().chat_template, model.profile());
}

Effort EffortFor(const QuestionRequest& request, const Memory& memory) {
  return request.effort.value_or(memory.model()->profile().effort.value_or(kDefaultEffort));
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
                              const Segment& tail, std::uint64_t* prompt_tokens) {
  const bool at_start = fork.memory.tokens_read() == 0 && tail.tokens.empty();
  TOME_ASSIGN_OR_RETURN(const FilledPrompt prompt, FillPrompt(*fork.memory.model(), question, /*text=*/"", at_start));
  *prompt_tokens = prompt.tokens.size();
  GenerationOptions options = request.generation;
  options.stop.insert(options.stop.end(), prompt.stop.begin(), prompt.stop.end());
  options.stop_tokens.insert(options.stop_tokens.end(), prompt.stop_tokens.begin(), prompt.stop_tokens.end());
  std::vector<TokenId> tokens = tail.tokens;
  tokens.insert(tokens.end(), prompt.tokens.begin(), prompt.tokens.end());
  return Task::Generate(fork.memory, std::move(tokens), std::move(options));
}

absl::StatusOr<QuestionWork> MakeScoreWork(const QuestionRequest& request, ReadingFork fork,
                                           const std::vector<StoredDocument>& documents) {
  QuestionResult result{.mode = AnswerMode::kWindow};
  result.coverage =
      MakeCoverage(fork, fork.tail, fork.attended.Ranges(fork.tail.spans), documents, AnswerMode::kWindow);
  PendingText pending{.tokens = std::move(fork.tail.tokens), .spans = std::move(fork.tail.spans)};
  absl::StatusOr<Task> task = Task::Score(std::move(fork.memory), std::move(pending), request.question);
  if (!task.ok()) return WithQuestionDetails(task.status());
  return QuestionWork{.task = *std::move(task), .result = std::move(result)};
}

absl::StatusOr<QuestionWork> MakeWindowWork(const QuestionRequest& request, ReadingFork fork,
                                            const std::vector<StoredDocument>& documents) {
  TOME_ASSIGN_OR_RETURN(const ChosenForm form, FormFor(request, fork.memory));
  const tome::Question question = EngineQuestion(request, form);
  QuestionResult result{.mode = AnswerMode::kWindow, .prompt_form = form.name};
  absl::StatusOr<Task> task = Generate(request, question, fork, fork.tail, &result.prompt_tokens);
  if (task.status().code() == absl::StatusCode::kInvalidArgument && fork.ingested_tokens > 0 &&
      !fork.tail.tokens.empty()) {
    // The question may fit beside what was read, without what is pending; the coverage tells.
    fork.tail = Segment();
    task = Generate(request, question, fork, fork.tail, &result.prompt_tokens);
  }
  if (!task.ok()) return WithQuestionDetails(task.status());
  result.stored_tokens = fork.memory.tokens_kept();
  result.attended_tokens = result.stored_tokens + fork.tail.tokens.size();
  result.coverage =
      MakeCoverage(fork, fork.tail, fork.attended.Ranges(fork.tail.spans), documents, AnswerMode::kWindow);
  return QuestionWork{.task = *std::move(task), .result = std::move(result)};
}

// --- Over what is found ---

absl::Status CheckUnchanged(const RegionSlice& search, std::uint64_t read_bytes) {
  if (!search.read_bytes || *search.read_bytes == read_bytes) return absl::OkStatus();
  return MakeError(absl::StatusCode::kAborted,
                   fmt::format("the session had read {} bytes at the first page of this search and has now read {}; "
                               "search again from the first page",
                               *search.read_bytes, read_bytes),
                   {.reason = "SEARCH_CHANGED", .metadata = {{"field", "page_token"}}});
}

absl::StatusOr<Task> Answer(const QuestionRequest& request, Memory fork, PendingText pending, QuestionResult* result) {
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

absl::StatusOr<QuestionWork> MakeRoutedWork(const QuestionRequest& request, const std::optional<RegionSlice>& search,
                                            ReadingFork fork, const std::vector<StoredDocument>& documents) {
  QuestionResult result{.mode = request.mode, .effort = EffortFor(request, fork.memory)};
  AttendedText attended = std::move(fork.attended);
  attended.Add(fork.tail.spans);
  result.coverage = MakeCoverage(fork, fork.tail, attended.Ranges(), documents, request.mode);
  PendingText pending{.tokens = std::move(fork.tail.tokens), .spans = std::move(fork.tail.spans)};
  if (search) {
    TOME_RETURN_IF_ERROR(CheckUnchanged(*search, result.coverage.searchable_bytes));
    absl::StatusOr<Task> task = Task::Search(std::move(fork.memory), std::move(pending), request.question,
                                             {.effort = result.effort, .max_regions = kMaxFoundRegions});
    if (!task.ok()) return WithQuestionDetails(task.status());
    return QuestionWork{.task = *std::move(task), .result = std::move(result)};
  }
  TOME_ASSIGN_OR_RETURN(Task task, Answer(request, std::move(fork.memory), std::move(pending), &result));
  return QuestionWork{.task = std::move(task), .result = std::move(result)};
}

RoutedRegion ToRoutedRegion(const FoundRegion& found, const Evidence& evidence,
                            const std::vector<StoredDocument>& documents) {
  RoutedRegion region{.range = RangeOf(found.span, documents),
                      .score = found.score,
                      .attention_mass = found.attention_mass,
                      .stem_score = found.stem_score,
                      .token_score = found.token_score};
  // A likelihood of a text is never 1, so that 0 says that it was not computed.
  if (evidence.effort == Effort::kFast || found.log_likelihood == 0) return region;
  region.log_likelihood = found.log_likelihood;
  region.sentence = RangeOf(found.sentence, documents);
  return region;
}

// Of spans that meet, in one document.
TokenSpan Common(const TokenSpan& a, const TokenSpan& b) {
  const ByteOffset begin = std::max(a.begin, b.begin);
  const ByteOffset end = std::min(a.begin + a.num_bytes, b.begin + b.num_bytes);
  return {.document = a.document, .num_bytes = static_cast<std::uint32_t>(end - begin), .begin = begin};
}

}  // namespace

absl::Status WithQuestionDetails(const absl::Status& status) {
  if (status.code() != absl::StatusCode::kInvalidArgument) return status;
  return WithDetails(status, {.reason = "QUESTION_TOO_LONG", .metadata = {{"field", "question"}}});
}

absl::StatusOr<QuestionWork> MakeQuestionWork(const QuestionRequest& request, const std::optional<RegionSlice>& search,
                                              ReadingFork fork, const std::vector<StoredDocument>& documents) {
  TOME_RETURN_IF_ERROR(CheckAnyRead(fork, request.session_id, documents));
  if (request.score) return MakeScoreWork(request, std::move(fork), documents);
  if (!search && request.mode == AnswerMode::kWindow) return MakeWindowWork(request, std::move(fork), documents);
  return MakeRoutedWork(request, search, std::move(fork), documents);
}

void AddEvidence(const Evidence& evidence, const QuestionRequest& request, const std::optional<RegionSlice>& search,
                 const std::vector<StoredDocument>& documents, QuestionResult* result) {
  result->regions_scanned = static_cast<std::uint64_t>(evidence.regions_scanned);
  result->regions_reranked = static_cast<std::uint64_t>(evidence.regions_reranked);
  result->regions_found = evidence.found.size();
  if (search) {
    const std::size_t end = std::min(evidence.found.size(), search->first + search->count);
    for (std::size_t i = search->first; i < end; ++i) {
      result->citations.push_back(ToRoutedRegion(evidence.found[i], evidence, documents));
    }
    return;
  }
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
    if (result->citations.size() == static_cast<std::size_t>(request.citations.max_citations)) break;
    for (const Passage& passage : evidence.passages) {
      if (found.region < passage.regions.first || found.region >= passage.regions.end) continue;
      RoutedRegion cited = ToRoutedRegion(found, evidence, documents);
      cited.range = RangeOf(Common(found.span, passage.span), documents);
      result->citations.push_back(std::move(cited));
    }
  }
}

}  // namespace tome::server
