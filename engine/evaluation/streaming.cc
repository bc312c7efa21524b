#include "engine/evaluation/streaming.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "engine/base/status.h"
#include "engine/memory/memory_state.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"

namespace tome {
namespace {

// Sums -log p(target) over the rows of `hidden`.
double SumNats(const LlamaWeights& weights, const at::Tensor& hidden, absl::Span<const TokenId> targets) {
  constexpr std::int64_t kRows = 128;
  double nats = 0;
  for (std::int64_t first = 0; first < static_cast<std::int64_t>(targets.size()); first += kRows) {
    const std::int64_t count = std::min<std::int64_t>(kRows, targets.size() - first);
    const at::Tensor logits = ComputeLogits(weights, hidden.narrow(0, first, count));
    const at::Tensor sums = at::logsumexp(logits, -1);
    for (std::int64_t row = 0; row < count; ++row) {
      nats += sums[row].item<double>() - logits[row][targets[first + row]].item<double>();
    }
  }
  return nats;
}

}  // namespace

absl::StatusOr<NamedMemory> ParseNamedMemory(std::string_view text, const MemoryOptions& base) {
  NamedMemory memory{.name = std::string(text), .options = base};
  if (text == "regions") return memory;
  if (text == "window") text = "off";
  TOME_ASSIGN_OR_RETURN(memory.options.regions, ParseRegionMemoryOptions(text, base.regions));
  return memory;
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

absl::StatusOr<StreamResult> MeasureStream(std::shared_ptr<const Model> model, const NamedMemory& memory,
                                           const std::vector<TokenId>& tokens,
                                           const std::function<void(std::int64_t)>& progress) {
  using std::chrono::steady_clock;
  const c10::InferenceMode inference;
  TOME_ASSIGN_OR_RETURN(const Memory empty, Memory::Create(model, memory.options));
  const LlamaWeights& weights = LlamaModel::From(*model).weights();
  // Codes and words of the archive are not looked at: it is enough that it has the tokens.
  ArchiveLayout layout = ArchiveLayoutOf(*model, memory.options);
  layout.code_bytes = 0;
  std::shared_ptr<const MemoryState> state = std::make_shared<const MemoryState>(memory.options, Archive(layout));
  StreamResult result{.memory = memory.name};
  const absl::Span<const TokenId> all = tokens;
  for (std::size_t first = 0; first < tokens.size(); first += memory.options.segment_tokens) {
    const absl::Span<const TokenId> segment = all.subspan(first, memory.options.segment_tokens);
    const steady_clock::time_point begin = steady_clock::now();
    SegmentReading reading = ReadSegment(weights, *state, segment);
    const std::vector<TokenSpan> spans(segment.size());
    state = state->Append(std::move(reading.block), ArchiveBlock::Make(layout, segment, spans, "", *model->tokenizer()),
                          std::move(reading.routing));
    result.seconds += std::chrono::duration<double>(steady_clock::now() - begin).count();

    const absl::Span<const TokenId> targets = all.subspan(first + 1, segment.size());
    result.segments.push_back({.first_token = static_cast<std::int64_t>(first),
                               .predicted = static_cast<std::int64_t>(targets.size()),
                               .nats = SumNats(weights, reading.hidden, targets)});
    if (progress) progress(static_cast<std::int64_t>(first + segment.size()));
  }
  result.state_bytes = state->bytes();
  return result;
}

PairedDifference CompareLosses(const StreamResult& result, const StreamResult& base, std::int64_t from) {
  std::vector<double> differences;
  double sum = 0, predicted = 0;
  for (std::size_t i = 0; i < std::min(result.segments.size(), base.segments.size()); ++i) {
    const SegmentLoss &own = result.segments[i], &other = base.segments[i];
    if (own.first_token < from || own.predicted == 0 || own.first_token != other.first_token) continue;
    differences.push_back((own.nats - other.nats) / static_cast<double>(own.predicted));
    sum += own.nats - other.nats;
    predicted += static_cast<double>(own.predicted);
  }
  PairedDifference paired;
  if (differences.size() < 2) return paired;
  paired.mean = sum / predicted;
  double squares = 0;
  for (const double difference : differences) squares += (difference - paired.mean) * (difference - paired.mean);
  const auto count = static_cast<double>(differences.size());
  paired.standard_error = std::sqrt(squares / (count - 1) / count);
  return paired;
}

std::string PlotPerplexity(const std::vector<StreamResult>& results) {
  constexpr double kWidth = 760, kHeight = 420, kLeft = 60, kTop = 20, kPlotWidth = 520, kPlotHeight = 350;
  constexpr const char* kColours[] = {"#1b6ca8", "#c8553d", "#588157", "#7b2d8b", "#b08900", "#444444"};
  constexpr double kPoints = 24;
  double last = 1, lowest = 1e30, highest = 0;
  for (const StreamResult& result : results) {
    if (!result.segments.empty()) last = std::max(last, static_cast<double>(result.segments.back().first_token + 1));
  }
  std::vector<std::vector<std::pair<double, double>>> lines;  // tokens, perplexity
  for (const StreamResult& result : results) {
    auto& line = lines.emplace_back();
    double from = 0;
    for (double point = 1; point <= kPoints; ++point) {
      const double end = std::pow(last, point / kPoints) + 1;
      const double loss = result.Loss(static_cast<std::int64_t>(from), static_cast<std::int64_t>(end));
      from = std::floor(end);
      if (loss == 0) continue;
      line.emplace_back(end, std::exp(loss));
      lowest = std::min(lowest, line.back().second);
      highest = std::max(highest, line.back().second);
    }
  }
  const double range = std::max(1e-9, highest - lowest);
  const auto x = [&](double tokens) { return kLeft + kPlotWidth * std::log(tokens) / std::log(last + 1); };
  const auto y = [&](double value) { return kTop + kPlotHeight * (1 - (value - lowest) / range); };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
      kWidth, kHeight);
  for (int i = 0; i <= 4; ++i) {
    const double value = lowest + range * i / 4;
    svg += fmt::format("<text x=\"8\" y=\"{:.1f}\">{:.2f}</text><path d=\"M{} {:.1f}h{}\" stroke=\"#ddd\"/>\n",
                       y(value) + 4, value, kLeft, y(value), kPlotWidth);
  }
  for (double tokens = 1000; tokens <= last; tokens *= 4) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\">{:.0f}k</text>\n", x(tokens) - 8, kTop + kPlotHeight + 18,
                       tokens / 1000);
  }
  svg += fmt::format("<text x=\"{}\" y=\"{}\">perplexity by tokens read</text>\n", kLeft, kHeight - 12);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const char* colour = kColours[i % std::size(kColours)];
    std::string points;
    for (const auto& [tokens, value] : lines[i]) points += fmt::format("{:.1f},{:.1f} ", x(tokens), y(value));
    svg += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n", points, colour);
    svg += fmt::format("<text x=\"{}\" y=\"{}\" fill=\"{}\">{}</text>\n", kLeft + kPlotWidth + 10, kTop + 20 * (i + 1),
                       colour, results[i].memory);
  }
  return svg + "</svg>\n";
}

}  // namespace tome
