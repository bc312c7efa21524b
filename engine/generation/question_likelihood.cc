#include "engine/generation/question_likelihood.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>

#include "engine/attention/causal_attention.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/token_losses.h"

namespace tome {
namespace {

// Chosen on development questions; see docs/results/finding.md.
constexpr double kSureNats = 10.0;
constexpr double kMostLoss = 1.0;  // nats

// Several sequences side by side, each of which sees only itself.
class SeparateAttention final : public SequenceAttention {
 public:
  SeparateAttention(const LlamaWeights& weights, std::vector<std::int64_t> lengths)
      : weights_(weights), lengths_(std::move(lengths)) {}

  void Attend(std::int64_t, const at::Tensor& qkv, const at::Tensor& out) override {
    std::int64_t first = 0;
    for (const std::int64_t length : lengths_) {
      const auto [queries, keys, values] =
          QueryKeyValue::Split(qkv.narrow(0, first, length), weights_.config).Rotated(weights_.rope);
      CausalAttention(queries, keys, values, out.narrow(0, first, length));
      first += length;
    }
  }

 private:
  const LlamaWeights& weights_;
  std::vector<std::int64_t> lengths_;
};

// Tokens after others.
struct Continued {
  absl::Span<const TokenId> before, tokens;
};

// The natural logarithms of the probabilities of the tokens of each, which are read side by side.
std::vector<std::vector<double>> LogProbabilities(const LlamaWeights& weights, absl::Span<const Continued> sequences) {
  const c10::InferenceMode inference;
  std::vector<TokenId> all, targets;
  std::vector<std::int64_t> lengths, rows;
  for (const Continued& sequence : sequences) {
    const auto begin = static_cast<std::int64_t>(all.size() + sequence.before.size());
    all.insert(all.end(), sequence.before.begin(), sequence.before.end());
    all.insert(all.end(), sequence.tokens.begin(), sequence.tokens.end());
    targets.insert(targets.end(), sequence.tokens.begin(), sequence.tokens.end());
    lengths.push_back(static_cast<std::int64_t>(sequence.before.size() + sequence.tokens.size()));
    // The row before a token predicts it.
    for (std::size_t i = 0; i < sequence.tokens.size(); ++i) rows.push_back(begin + static_cast<std::int64_t>(i) - 1);
  }
  SeparateAttention attention(weights, lengths);
  const at::Tensor hidden = Forward(weights, all, attention);
  const at::Tensor predicting = hidden.index_select(0, at::tensor(rows, at::kLong).to(hidden.device()));
  const std::vector<double> losses = TokenLosses(weights, predicting, targets);
  std::vector<std::vector<double>> log_probabilities;
  std::size_t next = 0;
  for (const Continued& sequence : sequences) {
    std::vector<double>& own = log_probabilities.emplace_back();
    while (own.size() < sequence.tokens.size()) own.push_back(-losses[next++]);
  }
  return log_probabilities;
}

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double Median(std::vector<double> values) {
  const auto median = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), median, values.end());
  return *median;
}

}  // namespace

std::vector<TokenId> EncodeQuestion(const Tokenizer& tokenizer, std::string_view question) {
  std::vector<TokenId> tokens;
  for (const TextToken& token : tokenizer.Encode("\n\n" + std::string(question))) tokens.push_back(token.id);
  return tokens;
}

std::vector<std::vector<double>> QuestionLogProbabilities(const LlamaWeights& weights,
                                                          absl::Span<const std::vector<TokenId>> texts,
                                                          absl::Span<const TokenId> question) {
  std::vector<Continued> all;
  for (const std::vector<TokenId>& text : texts) all.push_back({.before = text, .tokens = question});
  return LogProbabilities(weights, all);
}

std::vector<double> GainsFromQuestion(const LlamaWeights& weights, absl::Span<const std::vector<TokenId>> texts,
                                      absl::Span<const TokenId> question) {
  const absl::Span<const TokenId> line_end = question.first(1);
  std::vector<TokenId> asked(question.begin(), question.end());
  asked.push_back(line_end.front());
  std::vector<Continued> all;
  for (const std::vector<TokenId>& text : texts) {
    all.push_back({.before = line_end, .tokens = text});
    all.push_back({.before = asked, .tokens = text});
  }
  const std::vector<std::vector<double>> log_probabilities = LogProbabilities(weights, all);
  std::vector<double> gains;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    gains.push_back(Mean(log_probabilities[2 * i + 1]) - Mean(log_probabilities[2 * i]));
  }
  return gains;
}

bool OneStandsOut(std::vector<double> likelihoods) {
  if (likelihoods.empty()) return false;
  return *std::max_element(likelihoods.begin(), likelihoods.end()) - Median(likelihoods) >= kSureNats;
}

std::vector<double> GainsOverMedian(absl::Span<const std::vector<double>> log_probabilities,
                                    absl::Span<const float> token_weights) {
  const std::size_t tokens = token_weights.size();
  double roots = 0;
  for (const float weight : token_weights) roots += std::sqrt(weight);
  std::vector<double> gains(log_probabilities.size());
  for (std::size_t token = 0; token < tokens; ++token) {
    std::vector<double> all;
    for (const std::vector<double>& own : log_probabilities) all.push_back(own[token]);
    if (all.empty()) break;
    const double median = Median(all), weight = std::sqrt(token_weights[token]) * static_cast<double>(tokens) / roots;
    for (std::size_t i = 0; i < all.size(); ++i) gains[i] += weight * std::max(all[i] - median, -kMostLoss);
  }
  return gains;
}

}  // namespace tome
