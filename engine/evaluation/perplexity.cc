#include "engine/evaluation/perplexity.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "engine/attention/causal_attention.h"
#include "engine/attention/pattern_attention.h"
#include "engine/base/status.h"
#include "engine/evaluation/figures/svg_plot.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"
#include "engine/model/position_encoding.h"
#include "engine/model/token_losses.h"

namespace tome {
namespace {

constexpr std::int64_t kInt4Group = 64;

// Attention of one whole window: nothing before it, nothing kept.
class WindowAttention final : public SequenceAttention {
 public:
  // `plan` null: dense. All outlive this object.
  WindowAttention(const LlamaConfig& config, const RopeTable& rope, const PatternPlan* plan)
      : config_(config), rope_(rope), plan_(plan) {}

  void Attend(std::int64_t, const at::Tensor& qkv, const at::Tensor& out) override {
    const auto [queries, keys, values] = QueryKeyValue::Split(qkv, config_).Rotated(rope_);
    if (plan_ == nullptr) return CausalAttention(queries, keys, values, out);
    const at::Tensor attended = PatternAttention(*plan_, queries.unsqueeze(0), keys.unsqueeze(0), values.unsqueeze(0));
    out.view({out.size(0), config_.num_heads, config_.head_dim}).copy_(attended.squeeze(0).transpose(0, 1));
  }

 private:
  const LlamaConfig& config_;
  const RopeTable& rope_;
  const PatternPlan* plan_;
};

// What windows of one length share.
struct WindowShape {
  std::int64_t tokens = 0;
  RopeTable rope;
  std::optional<PatternPlan> plan;
};

absl::StatusOr<WindowShape> MakeShape(const LlamaConfig& config, const AttentionPattern& pattern, std::int64_t tokens,
                                      at::Device device) {
  WindowShape shape{.tokens = tokens, .rope = RopeTable::Make(config, tokens, device)};
  TOME_ASSIGN_OR_RETURN(const std::vector<HeadPattern> heads, pattern.ForHeads(config.num_heads, tokens));
  shape.plan.emplace(heads, AttentionSpan{.queries = tokens});
  return shape;
}

absl::Status CheckWindows(const PerplexityOptions& options, std::int64_t tokens) {
  if (options.context < 2) return InvalidArgument("context: expected 2 tokens or more, found {}", options.context);
  if (options.stride < 1 || options.stride > options.context) {
    return InvalidArgument("stride: expected 1 to the context of {} tokens, found {}", options.context, options.stride);
  }
  if (tokens < options.context) {
    return InvalidArgument("the text has {} tokens, fewer than one window of {}; give more text or a shorter context",
                           tokens, options.context);
  }
  if (options.from < 1 || options.from >= tokens) {
    return InvalidArgument("from: expected 1 to {}, the last of the text's tokens, found {}", tokens - 1, options.from);
  }
  return absl::OkStatus();
}

std::int64_t CountWords(std::string_view text) {
  std::int64_t words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    words += !space && !inside ? 1 : 0;
    inside = !space;
  }
  return words;
}

// The bytes of tokens first .. last.
std::string_view BytesOf(const TokenizedText& text, std::size_t first) {
  const std::vector<TokenSpan>& spans = text.encoded.spans;
  return std::string_view(text.text).substr(spans[first].begin,
                                            spans.back().begin + spans.back().num_bytes - spans[first].begin);
}

at::Tensor RoundToInt4(const at::Tensor& matrix) {
  const std::int64_t group = matrix.size(1) % kInt4Group == 0 ? kInt4Group : matrix.size(1);
  const at::Tensor groups = matrix.to(at::kFloat).reshape({matrix.size(0), -1, group});
  const at::Tensor least = groups.amin(-1, true), step = groups.amax(-1, true).sub(least).div_(15).clamp_min_(1e-12);
  return groups.sub(least).div_(step).round_().mul_(step).add_(least).reshape(matrix.sizes()).to(matrix.scalar_type());
}

}  // namespace

TokenizedText TokenizeText(const Tokenizer& tokenizer, std::string text, std::int64_t max_tokens) {
  TokenizedText result{.text = std::move(text)};
  result.encoded = EncodeDocument(tokenizer, result.text, 0);
  if (max_tokens > 0 && static_cast<std::int64_t>(result.encoded.tokens.size()) > max_tokens) {
    result.encoded.tokens.resize(max_tokens);
    result.encoded.spans.resize(max_tokens);
  }
  return result;
}

absl::StatusOr<PerplexityResult> MeasurePerplexity(const Model& model, const TokenizedText& text,
                                                   const PerplexityOptions& options,
                                                   const std::function<void(std::int64_t)>& progress) {
  using std::chrono::steady_clock;
  const c10::InferenceMode inference;
  const absl::Span<const TokenId> tokens = text.encoded.tokens;
  const auto count = static_cast<std::int64_t>(tokens.size());
  TOME_RETURN_IF_ERROR(CheckWindows(options, count));
  const LlamaWeights& weights = LlamaModel::From(model).weights();
  TOME_ASSIGN_OR_RETURN(const LlamaConfig config, WithPositionEncoding(options.encoding, weights.config));
  PerplexityResult result{.options = options, .longest_context = config.context_length};
  TOME_ASSIGN_OR_RETURN(WindowShape shape, MakeShape(config, options.attention, options.context, weights.device));
  result.attention_multiply_adds = shape.plan->MultiplyAdds(config.head_dim) * config.num_layers;
  const steady_clock::time_point begin = steady_clock::now();
  for (std::int64_t first = 0, scored_end = options.from; scored_end < count; first += options.stride) {
    const std::int64_t end = std::min(count, first + options.context);
    if (end <= scored_end) continue;
    if (end - first != shape.tokens) {
      TOME_ASSIGN_OR_RETURN(shape, MakeShape(config, options.attention, end - first, weights.device));
    }
    WindowAttention attention(config, shape.rope, options.attention.dense() ? nullptr : &*shape.plan);
    const at::Tensor hidden = Forward(weights, tokens.subspan(first, end - first), attention);
    // Nothing is before the first token of a window; only with a stride of the whole context it is new.
    const std::int64_t from = std::max(scored_end, first + 1), scored = end - from;
    const std::vector<double> losses =
        TokenLosses(weights, hidden.narrow(0, from - 1 - first, scored), tokens.subspan(from, scored));
    result.windows.push_back(
        {.first_token = from, .scored = scored, .nats = std::accumulate(losses.begin(), losses.end(), 0.0)});
    result.nats += result.windows.back().nats;
    result.scored += scored;
    scored_end = end;
    if (progress) progress(scored_end - options.from);
  }
  result.seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
  const std::string_view scored = BytesOf(text, static_cast<std::size_t>(options.from));
  result.bytes = static_cast<std::int64_t>(scored.size());
  result.words = CountWords(scored);
  return result;
}

absl::StatusOr<std::shared_ptr<const Model>> WithWeights(const std::shared_ptr<const Model>& model,
                                                         WeightFormat format) {
  if (format == WeightFormat::kAsLoaded) return model;
  const LlamaModel& loaded = LlamaModel::From(*model);
  LlamaWeights weights = loaded.weights();
  for (LayerWeights& layer : weights.layers) {
    for (Linear* matrix : {&layer.qkv, &layer.attention_out, &layer.gate_up, &layer.down}) {
      if (format == WeightFormat::kInt4) {
        *matrix = Linear(RoundToInt4(matrix->dense()), matrix->packed(), matrix->part_rows());
      } else if (matrix->packed().packed_bytes() > 0) {
        *matrix = Linear(at::Tensor(), matrix->packed(), matrix->part_rows());
      } else {
        return FailedPrecondition("{}: a matrix of its layers is not kept in 4-bit or 8-bit blocks (decoding reads {})",
                                  model->info().path, model->info().decode_weights);
      }
    }
  }
  return std::make_shared<LlamaModel>(model->info(), model->tokenizer(), std::move(weights), model->profile(), nullptr);
}

std::string PlotByPosition(const std::vector<PerplexityResult>& results) {
  constexpr std::size_t kPoints = 40;
  LineChart chart{.title = "Perplexity by position", .x_label = "token", .y_label = "perplexity"};
  for (const PerplexityResult& result : results) {
    ChartLine line{.name = fmt::format("{}, {}, {}", result.options.context, result.options.attention.ToString(),
                                       result.options.encoding.empty() ? "own encoding" : result.options.encoding)};
    const std::size_t run = (result.windows.size() + kPoints - 1) / kPoints;
    for (std::size_t first = 0; first < result.windows.size(); first += run) {
      double nats = 0, scored = 0;
      const std::size_t end = std::min(result.windows.size(), first + run);
      for (std::size_t i = first; i < end; ++i) {
        nats += result.windows[i].nats;
        scored += static_cast<double>(result.windows[i].scored);
      }
      const WindowLoss& last = result.windows[end - 1];
      line.points.emplace_back(
          static_cast<double>(result.windows[first].first_token + last.first_token + last.scored) / 2,
          std::exp(nats / scored));
    }
    chart.lines.push_back(std::move(line));
  }
  return DrawCharts(std::vector<Chart>{chart});
}

}  // namespace tome
