#include "engine/generation/question_likelihood.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
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
  const c10::InferenceMode inference;
  std::vector<TokenId> all;
  std::vector<std::int64_t> lengths, rows;
  for (const std::vector<TokenId>& text : texts) {
    const auto begin = static_cast<std::int64_t>(all.size() + text.size());
    all.insert(all.end(), text.begin(), text.end());
    all.insert(all.end(), question.begin(), question.end());
    lengths.push_back(static_cast<std::int64_t>(text.size() + question.size()));
    // The row before a token predicts it.
    for (std::size_t i = 0; i < question.size(); ++i) rows.push_back(begin + static_cast<std::int64_t>(i) - 1);
  }
  SeparateAttention attention(weights, lengths);
  const at::Tensor hidden = Forward(weights, all, attention);
  const at::Tensor predicting = hidden.index_select(0, at::tensor(rows, at::kLong).to(hidden.device()));
  std::vector<TokenId> targets;
  for (std::size_t i = 0; i < texts.size(); ++i) targets.insert(targets.end(), question.begin(), question.end());
  const std::vector<double> losses = TokenLosses(weights, predicting, targets);
  std::vector<std::vector<double>> log_probabilities(texts.size());
  for (std::size_t i = 0; i < losses.size(); ++i) log_probabilities[i / question.size()].push_back(-losses[i]);
  return log_probabilities;
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
