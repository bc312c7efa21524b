#include "engine/generation/task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/status.h"
#include "engine/generation/answer_task.h"
#include "engine/generation/region_scores.h"
#include "engine/generation/task_impl.h"
#include "engine/memory/routing_codec.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"
#include "engine/model/token_losses.h"

namespace tome {
namespace {

absl::Span<const TokenId> NextChunk(const std::vector<TokenId>& tokens, std::size_t next, int most) {
  return absl::MakeConstSpan(tokens).subspan(next, static_cast<std::size_t>(most));
}

absl::Status CheckTokens(absl::Span<const TokenId> tokens, const LlamaConfig& config) {
  for (const TokenId token : tokens) {
    if (token < 0 || token >= config.vocab_size) {
      return InvalidArgument("token {} is outside the vocabulary of {}", token, config.vocab_size);
    }
  }
  return absl::OkStatus();
}

// The spans of tokens that go on in document 0 with their own bytes.
std::vector<TokenSpan> OwnSpans(const Memory& memory, absl::Span<const TokenId> tokens) {
  const Archive& archive = memory.state()->archive();
  std::vector<TokenSpan> spans;
  ByteOffset begin = archive.num_blocks() == 0 ? 0 : archive.block(archive.num_blocks() - 1).end();
  for (const TokenId token : tokens) {
    const auto size = static_cast<std::uint32_t>(memory.model()->tokenizer()->TokenBytes(token).size());
    spans.push_back({.document = 0, .num_bytes = size, .begin = begin});
    begin += size;
  }
  return spans;
}

}  // namespace

std::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kStopToken:
      return "stop_token";
    case FinishReason::kStopText:
      return "stop_text";
    case FinishReason::kMaxTokens:
      return "max_tokens";
    case FinishReason::kContextFull:
      return "context_full";
  }
  return "unknown";
}

absl::Status ValidateGenerationOptions(const GenerationOptions& options) {
  const SamplingOptions& sampling = options.sampling;
  const auto check = [](bool in_range, std::string_view field, std::string_view range, double found) {
    return in_range ? absl::OkStatus() : InvalidArgument("{}: expected {}, found {}", field, range, found);
  };
  TOME_RETURN_IF_ERROR(
      check(sampling.temperature >= 0 && sampling.temperature <= 10, "temperature", "0 to 10", sampling.temperature));
  TOME_RETURN_IF_ERROR(check(sampling.top_k >= 0, "top_k", "0 or more", sampling.top_k));
  TOME_RETURN_IF_ERROR(
      check(sampling.top_p > 0 && sampling.top_p <= 1, "top_p", "more than 0, at most 1", sampling.top_p));
  TOME_RETURN_IF_ERROR(check(sampling.min_p >= 0 && sampling.min_p <= 1, "min_p", "0 to 1", sampling.min_p));
  TOME_RETURN_IF_ERROR(check(sampling.repetition_penalty > 0 && sampling.repetition_penalty <= 10, "repetition_penalty",
                             "more than 0, at most 10", sampling.repetition_penalty));
  return check(options.max_tokens >= 1, "max_tokens", "1 or more", options.max_tokens);
}

// --- Reading ---------------------------------------------------------------------------------------------------------

ReadTask::ReadTask(Memory* memory, std::vector<TokenId> tokens, std::vector<TokenSpan> spans, std::size_t first_scored)
    : memory_(memory), tokens_(std::move(tokens)), spans_(std::move(spans)), first_scored_(first_scored) {
  finished_ = tokens_.empty();
}

std::shared_ptr<const ArchiveBlock> ReadTask::Archived(absl::Span<const TokenId> segment,
                                                       const at::Tensor& keys) const {
  const Model& model = *memory_->model();
  const std::vector<TokenSpan> own = spans_.empty() ? OwnSpans(*memory_, segment) : std::vector<TokenSpan>();
  const absl::Span<const TokenSpan> spans =
      spans_.empty() ? absl::MakeConstSpan(own) : absl::MakeConstSpan(spans_).subspan(next_, segment.size());
  const Archive& archive = memory_->state()->archive();
  return ArchiveBlock::Make(archive.layout(), segment, spans, EncodeKeys(model.profile(), keys), *model.tokenizer(),
                            archive.last_block());
}

std::int64_t ReadTask::tokens_left_to_read() const { return static_cast<std::int64_t>(tokens_.size() - next_); }
const LlamaWeights& ReadTask::weights() const { return LlamaModel::From(*memory_->model()).weights(); }

StepResult ReadTask::Advance() {
  const absl::Span<const TokenId> segment = NextChunk(tokens_, next_, memory_->options().segment_tokens);
  StepResult result;
  if (segment.empty()) {
    finished_ = result.finished = true;
    return result;
  }
  result.status = CheckTokens(segment, weights().config);
  if (!result.status.ok()) return result;
  SegmentReading reading = ReadSegment(weights(), *memory_->state(), segment);
  result.status = CheckUsable(reading);
  if (!result.status.ok()) return result;
  result.scored = ScoreRows(reading.hidden);
  std::shared_ptr<const ArchiveBlock> archived = Archived(segment, reading.block.keys);
  memory_->set_state(
      memory_->state()->Append(std::move(reading.block), std::move(archived), std::move(reading.routing)));
  next_ += segment.size();
  finished_ = next_ == tokens_.size();
  result.phase = TaskPhase::kReading;
  result.tokens_read = static_cast<std::int64_t>(segment.size());
  result.finished = finished_;
  return result;
}

std::vector<ScoredToken> ReadTask::ScoreRows(const at::Tensor& hidden) const {
  const std::size_t first = std::max(next_ + 1, first_scored_);
  const std::size_t end = std::min(tokens_.size(), next_ + 1 + static_cast<std::size_t>(hidden.size(0)));
  std::vector<ScoredToken> scored;
  if (next_ == 0 && first_scored_ == 0) scored.push_back({.id = tokens_[0], .log_probability = std::nullopt});
  if (first >= end) return scored;
  const absl::Span<const TokenId> targets = absl::MakeConstSpan(tokens_).subspan(first, end - first);
  const at::Tensor rows =
      hidden.narrow(0, static_cast<std::int64_t>(first - 1 - next_), static_cast<std::int64_t>(targets.size()));
  const std::vector<double> losses = TokenLosses(weights(), rows, targets);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    scored.push_back({.id = targets[i], .log_probability = static_cast<float>(-losses[i])});
  }
  return scored;
}

StepResult ScoreTask::Advance() {
  StepResult result = reading_.Advance();
  for (const ScoredToken& token : result.scored) {
    if (token.log_probability.has_value() && !std::isfinite(*token.log_probability)) {
      result.status = Internal("the model gives logits that are no usable numbers; its weights are damaged");
    }
  }
  result.phase = TaskPhase::kPrompt;
  finished_ = result.finished;
  return result;
}

// --- Generating ------------------------------------------------------------------------------------------------------

GenerateTask::GenerateTask(Memory fork, std::vector<TokenRange> attended, std::vector<TokenId> prompt,
                           GenerationOptions options, std::shared_ptr<const LlamaWeights> adapted)
    : fork_(std::move(fork)),
      adapted_(std::move(adapted)),
      attended_(std::move(attended)),
      prompt_(std::move(prompt)),
      options_(std::move(options)),
      stop_tokens_(options_.stop_tokens.begin(), options_.stop_tokens.end()),
      sampler_(options_.sampling, prompt_),
      detokenizer_(fork_.model()->tokenizer(), /*at_text_start=*/false),
      stop_filter_(options_.stop) {
  const std::vector<TokenId>& ends = fork_.model()->tokenizer()->ends();
  stop_tokens_.insert(ends.begin(), ends.end());
}

std::int64_t GenerateTask::tokens_left_to_read() const { return static_cast<std::int64_t>(prompt_.size() - next_); }
const LlamaWeights& GenerateTask::weights() const {
  return adapted_ != nullptr ? *adapted_ : LlamaModel::From(*fork_.model()).weights();
}

TokenAttention* GenerateTask::decode_attention() {
  return next_ == prompt_.size() && weights().device.is_cpu() ? &*cache_ : nullptr;
}

StepResult GenerateTask::Advance() {
  StepResult result;
  if (!cache_.has_value()) {
    std::int64_t capacity = static_cast<std::int64_t>(prompt_.size()) + options_.max_tokens;
    for (const TokenRange& range : attended_) capacity += range.tokens();
    cache_.emplace(weights(), *fork_.state(), attended_, capacity);
  }
  const bool reading = next_ < prompt_.size();
  const absl::Span<const TokenId> input =
      reading ? NextChunk(prompt_, next_, fork_.options().segment_tokens) : absl::Span<const TokenId>(&last_token_, 1);
  const at::Tensor hidden = Forward(weights(), input, *cache_);
  cache_->Advance(static_cast<std::int64_t>(input.size()));
  if (reading) {
    next_ += input.size();
    result.phase = TaskPhase::kPrompt;
    result.tokens_read = static_cast<std::int64_t>(input.size());
    if (next_ < prompt_.size()) return result;
  }
  const at::Tensor logits = ComputeLogits(weights(), hidden.narrow(0, hidden.size(0) - 1, 1));
  Accept({logits.const_data_ptr<float>(), static_cast<std::size_t>(logits.numel())}, &result);
  return result;
}

StepResult GenerateTask::TakeLogits(absl::Span<const float> logits) {
  cache_->Advance(1);
  StepResult result;
  Accept(logits, &result);
  return result;
}

void GenerateTask::Accept(absl::Span<const float> logits, StepResult* result) {
  if (result->tokens_read == 0) result->phase = TaskPhase::kGenerating;
  if (!AreUsable(logits)) {
    result->status = Internal("the model gives logits that are no usable numbers; its weights are damaged");
    return;
  }
  const GeneratedToken token = sampler_.Next(logits);
  ++num_generated_;
  last_token_ = token.id;
  result->tokens.push_back(token);
  if (stop_tokens_.contains(token.id)) return End(FinishReason::kStopToken, result);
  result->text = stop_filter_.Append(detokenizer_.Append(token.id));
  if (stop_filter_.stopped()) return End(FinishReason::kStopText, result);
  if (num_generated_ < options_.max_tokens) return;
  End(options_.up_to_context ? FinishReason::kContextFull : FinishReason::kMaxTokens, result);
}

void GenerateTask::End(FinishReason reason, StepResult* result) {
  // What the detokenizer still holds back is a part of a character: the answer ends before it.
  if (!stop_filter_.stopped()) result->text += stop_filter_.Finish();
  finished_ = true;
  result->finished = true;
  result->finish_reason = reason;
}

// --- Task ------------------------------------------------------------------------------------------------------------

Task::Task(std::unique_ptr<TaskImpl> impl) : impl_(std::move(impl)) {}
Task::Task(Task&&) noexcept = default;
Task& Task::operator=(Task&&) noexcept = default;
Task::~Task() = default;

Task Task::Read(Memory* memory, std::vector<TokenId> tokens, std::vector<TokenSpan> spans) {
  return Task(std::make_unique<ReadTask>(memory, std::move(tokens), std::move(spans)));
}

bool FitAnswer(std::int64_t room, GenerationOptions* options) {
  const bool is_cut = options->up_to_context && options->max_tokens > room;
  if (is_cut) options->max_tokens = static_cast<int>(std::max<std::int64_t>(room, 1));
  options->up_to_context = is_cut;
  return options->max_tokens <= room;
}

absl::StatusOr<Task> Task::Generate(Memory fork, std::vector<TokenId> prompt, GenerationOptions options) {
  TOME_RETURN_IF_ERROR(ValidateGenerationOptions(options));
  const LlamaConfig& config = fork.model()->info().config;
  if (prompt.empty()) return InvalidArgument("the prompt has no tokens");
  TOME_RETURN_IF_ERROR(CheckTokens(prompt, config));
  const std::int64_t prompt_tokens = static_cast<std::int64_t>(prompt.size());
  const std::int64_t room = config.context_length - fork.tokens_kept();
  if (!FitAnswer(room - prompt_tokens, &options)) {
    return InvalidArgument(
        "the prompt has {} tokens and the answer may have {}, but beside the {} tokens that the session keeps the "
        "model's context of {} has room for {}; ask a shorter question or lower max_tokens",
        prompt_tokens, options.max_tokens, fork.tokens_kept(), config.context_length, room);
  }
  std::vector<TokenRange> kept = KeptTokens(*fork.state());
  return Task(std::make_unique<GenerateTask>(std::move(fork), std::move(kept), std::move(prompt), std::move(options)));
}

namespace {

// The most that Memory::tokens_kept() can be.
std::int64_t MaxKeptTokens(const MemoryOptions& options) {
  const int until_they_fill_a_region = options.regions.selected > 0 ? options.region_tokens - 1 : 0;
  return std::int64_t{options.sink_tokens} + options.window_tokens + until_they_fill_a_region;
}

absl::Status CheckQuestion(const Memory& fork, const PendingText& pending, const std::string& question,
                           const RouteOptions& options) {
  const std::size_t question_tokens = fork.model()->tokenizer()->Encode(question).size();
  if (question_tokens == 0) {
    return InvalidArgument("the question has no tokens: it is empty, or the vocabulary lacks all of its {} bytes",
                           question.size());
  }
  if (options.max_regions < 1 || options.max_regions > kMaxRoutedRegions) {
    return InvalidArgument("max_regions: expected 1 to {}, found {}", kMaxRoutedRegions, options.max_regions);
  }
  if (!pending.spans.empty() && pending.spans.size() != pending.tokens.size()) {
    return InvalidArgument("{} pending tokens with {} spans", pending.tokens.size(), pending.spans.size());
  }
  TOME_RETURN_IF_ERROR(CheckTokens(pending.tokens, fork.model()->info().config));
  const MemoryOptions& memory = fork.options();
  const std::int64_t context = fork.model()->info().config.context_length;
  const std::int64_t room = context - std::max<std::int64_t>(MaxKeptTokens(memory), 3 * memory.region_tokens);
  const auto tokens = static_cast<std::int64_t>(question_tokens);
  if (tokens + 2 <= room) return absl::OkStatus();
  return InvalidArgument("the question has {} tokens, but beside the memory the model's context of {} has room for {}",
                         tokens, context, room - 2);
}

}  // namespace

absl::StatusOr<Task> Task::Search(Memory fork, PendingText pending, std::string question, RouteOptions options) {
  TOME_RETURN_IF_ERROR(CheckQuestion(fork, pending, question, options));
  TOME_ASSIGN_OR_RETURN(auto ranking, LlamaModel::From(*fork.model()).AdaptedWeights(options.adapter));
  return Task(std::make_unique<SearchTask>(std::move(fork), std::move(pending), std::move(question), std::move(options),
                                           std::move(ranking)));
}

absl::StatusOr<Task> Task::Answer(Memory fork, PendingText pending, Question question, GenerationOptions options) {
  TOME_RETURN_IF_ERROR(ValidateGenerationOptions(options));
  TOME_RETURN_IF_ERROR(CheckQuestion(fork, pending, question.text, question.route));
  if (question.mode == AnswerMode::kWindow) {
    return InvalidArgument("an answer over sink and window finds no text: it is generated with its prompt as it is");
  }
  if (question.mode == AnswerMode::kAttend && question.adapter != nullptr) {
    return InvalidArgument(
        "an answer over stored keys and values takes no adapter, for they are those of the model without it: read the "
        "text again, or leave the adapter out");
  }
  const std::int64_t context = fork.model()->info().config.context_length;
  if (question.budget_tokens < fork.options().region_tokens || question.budget_tokens > context) {
    return InvalidArgument("budget_tokens: expected {} to {}, found {}", fork.options().region_tokens, context,
                           question.budget_tokens);
  }
  const LlamaModel& model = LlamaModel::From(*fork.model());
  TOME_ASSIGN_OR_RETURN(auto ranking, model.AdaptedWeights(question.route.adapter));
  TOME_ASSIGN_OR_RETURN(auto reading, model.AdaptedWeights(question.adapter));
  return Task(std::make_unique<AnswerTask>(std::move(fork), std::move(pending), std::move(question), std::move(options),
                                           std::move(ranking), std::move(reading)));
}

absl::StatusOr<Task> Task::Score(Memory fork, PendingText pending, const std::string& text) {
  TOME_RETURN_IF_ERROR(CheckTokens(pending.tokens, fork.model()->info().config));
  const Tokenizer& tokenizer = *fork.model()->tokenizer();
  std::vector<TokenId> tokens = std::move(pending.tokens);
  if (tokens.empty() && fork.tokens_read() == 0 && tokenizer.add_bos() && tokenizer.bos())
    tokens.push_back(*tokenizer.bos());
  const std::size_t first_scored = tokens.size();
  for (const TextToken& token : tokenizer.Encode(text)) tokens.push_back(token.id);
  if (tokens.size() == first_scored) {
    return InvalidArgument("the text has no tokens: it is empty, or the vocabulary lacks all of its {} bytes",
                           text.size());
  }
  return Task(std::make_unique<ScoreTask>(std::move(fork), std::move(tokens), first_scored));
}

bool Task::finished() const { return impl_->finished(); }
std::int64_t Task::tokens_left_to_read() const { return impl_->tokens_left_to_read(); }
bool Task::decoding() const { return !finished() && tokens_left_to_read() == 0; }

}  // namespace tome
