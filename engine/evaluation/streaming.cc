#include "engine/evaluation/streaming.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "engine/base/status.h"
#include "engine/evaluation/figures/metrics.h"
#include "engine/evaluation/figures/svg_plot.h"
#include "engine/evaluation/questions/reading.h"
#include "engine/memory/memory_state.h"
#include "engine/memory/routing_codec.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"
#include "engine/model/token_losses.h"

namespace tome {
namespace {

double SumNats(const LlamaWeights& weights, const at::Tensor& hidden, absl::Span<const TokenId> targets) {
  const std::vector<double> losses = TokenLosses(weights, hidden, targets);
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

}  // namespace

absl::StatusOr<NamedMemory> ParseNamedMemory(std::string_view text, const MemoryOptions& base) {
  NamedMemory memory{.name = std::string(text), .options = base};
  if (text == "regions") return memory;
  constexpr std::string_view kWindow = "window=";
  if (text.starts_with(kWindow)) {
    const std::string_view number = text.substr(kWindow.size());
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), memory.options.window_tokens);
    if (error != std::errc() || end != number.data() + number.size() || memory.options.window_tokens < 1) {
      return InvalidArgument("memory: expected a number of tokens after window=, found '{}'", number);
    }
    text = "window";
  }
  if (text == "window") text = "off";
  TOME_ASSIGN_OR_RETURN(memory.options.regions, ParseRegionMemoryOptions(text, base.regions));
  return memory;
}

absl::StatusOr<NamedMemory> LoadNamedMemory(std::shared_ptr<const Model> model, const std::string& path) {
  TOME_ASSIGN_OR_RETURN(const Memory memory, LoadMemory(std::move(model), path));
  return NamedMemory{
      .name = fmt::format("after {}", memory.tokens_read()), .options = memory.options(), .before = memory};
}

double StreamResult::Loss(std::int64_t from, std::int64_t end) const {
  double nats = 0, predicted = 0;
  for (const SegmentLoss& segment : segments) {
    if (segment.first_token < from || segment.first_token >= end) continue;
    nats += segment.nats;
    predicted += static_cast<double>(segment.predicted);
  }
  return predicted == 0 ? 0 : nats / predicted;
}

double StreamResult::TokensPerSecond(std::int64_t from) const {
  double seconds = 0, tokens = 0;
  for (const SegmentLoss& segment : segments) {
    if (segment.first_token < from) continue;
    seconds += segment.seconds;
    tokens += static_cast<double>(segment.predicted);
  }
  return seconds == 0 ? 0 : tokens / seconds;
}

absl::StatusOr<StreamResult> MeasureStream(std::shared_ptr<const Model> model, const NamedMemory& memory,
                                           const std::vector<TokenId>& tokens,
                                           const std::function<void(std::int64_t)>& progress) {
  using std::chrono::steady_clock;
  const c10::InferenceMode inference;
  TOME_ASSIGN_OR_RETURN(const Memory empty, Memory::Create(model, memory.options));
  const Memory begun = memory.before.value_or(empty);
  const LlamaWeights& weights = LlamaModel::From(*begun.model()).weights();
  std::shared_ptr<const MemoryState> state = begun.state();
  StreamResult result{.memory = memory.name};
  const absl::Span<const TokenId> all = tokens;
  for (std::size_t first = 0; first < tokens.size(); first += memory.options.segment_tokens) {
    const absl::Span<const TokenId> segment = all.subspan(first, memory.options.segment_tokens);
    const steady_clock::time_point begin = steady_clock::now();
    SegmentReading reading = ReadSegment(weights, *state, segment);
    const std::vector<TokenSpan> spans(segment.size());
    std::shared_ptr<const ArchiveBlock> archived =
        ArchiveBlock::Make(state->archive().layout(), segment, spans, EncodeKeys(model->profile(), reading.block.keys),
                           *model->tokenizer(), state->archive().last_block());
    state = state->Append(std::move(reading.block), std::move(archived), std::move(reading.routing));
    const std::chrono::duration<double> seconds = steady_clock::now() - begin;

    const absl::Span<const TokenId> targets = all.subspan(first + 1, segment.size());
    result.segments.push_back({.first_token = static_cast<std::int64_t>(first),
                               .predicted = static_cast<std::int64_t>(targets.size()),
                               .nats = SumNats(weights, reading.hidden, targets),
                               .seconds = seconds.count()});
    if (progress) progress(static_cast<std::int64_t>(first + segment.size()));
  }
  result.state_bytes = state->bytes();
  return result;
}

PairedDifference CompareLosses(const StreamResult& result, const StreamResult& base, std::int64_t from,
                               std::int64_t end) {
  std::vector<double> differences;
  double sum = 0, predicted = 0;
  for (std::size_t i = 0; i < std::min(result.segments.size(), base.segments.size()); ++i) {
    const SegmentLoss &own = result.segments[i], &other = base.segments[i];
    if (own.first_token < from || own.first_token >= end || own.predicted == 0) continue;
    if (own.first_token != other.first_token) continue;
    differences.push_back((own.nats - other.nats) / static_cast<double>(own.predicted));
    sum += own.nats - other.nats;
    predicted += static_cast<double>(own.predicted);
  }
  PairedDifference paired;
  if (differences.size() < 2) return paired;
  paired.mean = sum / predicted;
  paired.standard_error = StandardError(differences, paired.mean);
  return paired;
}

Drift MeasureDrift(const StreamResult& result, const StreamResult& base, std::int64_t tokens) {
  Drift drift;
  if (result.segments.empty()) return drift;
  const SegmentLoss& newest = result.segments.back();
  const std::int64_t end = newest.first_token + newest.predicted;
  drift.first = CompareLosses(result, base, 0, tokens);
  drift.last = CompareLosses(result, base, std::max<std::int64_t>(0, end - tokens));
  drift.change = {.mean = drift.last.mean - drift.first.mean,
                  .standard_error = std::hypot(drift.first.standard_error, drift.last.standard_error)};
  return drift;
}

namespace {

// Runs of segments, each half as long as what is before it: from and end, in tokens.
std::vector<std::pair<std::int64_t, std::int64_t>> PlottedRuns(const StreamResult& result) {
  std::vector<std::pair<std::int64_t, std::int64_t>> runs;
  for (std::size_t first = 0; first < result.segments.size();) {
    const std::size_t next = std::min(result.segments.size(), first + std::max<std::size_t>(1, first / 2));
    const SegmentLoss& newest = result.segments[next - 1];
    runs.emplace_back(result.segments[first].first_token, newest.first_token + newest.predicted);
    first = next;
  }
  return runs;
}

}  // namespace

std::string PlotPerplexity(const std::vector<StreamResult>& results) {
  LineChart perplexity{.title = "Perplexity by position",
                       .x_label = "tokens read",
                       .y_label = "perplexity",
                       .x_scale = Scale::kLogarithmic};
  LineChart difference{.title = "Loss compared with the first memory",
                       .x_label = "tokens read",
                       .y_label = "nats per token",
                       .x_scale = Scale::kLogarithmic};
  for (const StreamResult& result : results) {
    ChartLine losses{.name = result.memory}, differences{.name = result.memory};
    for (const auto& [from, end] : PlottedRuns(result)) {
      const auto at = static_cast<double>(end);
      losses.points.emplace_back(at, std::exp(result.Loss(from, end)));
      differences.points.emplace_back(at, result.Loss(from, end) - results.front().Loss(from, end));
    }
    perplexity.lines.push_back(std::move(losses));
    difference.lines.push_back(std::move(differences));
  }
  const std::vector<Chart> charts = {std::move(perplexity), std::move(difference)};
  return DrawCharts(charts);
}

}  // namespace tome
