#include "engine/generation/sampler.h"

#include <algorithm>
#include <cmath>

namespace tome {
namespace {

double LogSumExp(absl::Span<const float> logits) {
  const float maximum = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - maximum);
  return maximum + std::log(sum);
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options, absl::Span<const TokenId> seen)
    : options_(options), seen_(seen.begin(), seen.end()), random_state_(options.seed) {}

GeneratedToken Sampler::Next(absl::Span<const float> logits) {
  std::vector<float> penalized;
  absl::Span<const float> used = logits;
  if (options_.repetition_penalty != 1.0) {
    penalized = Penalize(logits);
    used = penalized;
  }
  GeneratedToken token;
  token.id = options_.temperature == 0 ? static_cast<TokenId>(std::max_element(used.begin(), used.end()) - used.begin())
                                       : Draw(used);
  token.log_probability = static_cast<float>(logits[token.id] - LogSumExp(logits));
  seen_.insert(token.id);
  return token;
}

std::vector<float> Sampler::Penalize(absl::Span<const float> logits) const {
  std::vector<float> penalized(logits.begin(), logits.end());
  const float penalty = static_cast<float>(options_.repetition_penalty);
  for (const TokenId id : seen_) {
    if (id < 0 || static_cast<std::size_t>(id) >= penalized.size()) continue;
    float& logit = penalized[id];
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
  return penalized;
}

// The tokens that may be drawn, best first, with their probabilities among all tokens that top-k left.
std::vector<Sampler::Candidate> Sampler::Candidates(absl::Span<const float> logits) const {
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (std::size_t id = 0; id < logits.size(); ++id) candidates.push_back({static_cast<TokenId>(id), logits[id], 0});
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  std::size_t count = candidates.size();
  if (options_.top_k > 0) count = std::min<std::size_t>(count, options_.top_k);
  std::partial_sort(candidates.begin(), candidates.begin() + count, candidates.end(), better);
  candidates.resize(count);

  double sum = 0;
  for (Candidate& candidate : candidates) {
    candidate.probability =
        std::exp((static_cast<double>(candidate.logit) - candidates[0].logit) / options_.temperature);
    sum += candidate.probability;
  }
  for (Candidate& candidate : candidates) candidate.probability /= sum;
  return candidates;
}

TokenId Sampler::Draw(absl::Span<const float> logits) {
  std::vector<Candidate> candidates = Candidates(logits);
  double kept = 0;
  std::size_t count = 0;
  while (count < candidates.size() && (count == 0 || kept < options_.top_p)) kept += candidates[count++].probability;
  candidates.resize(count);
  const double least = options_.min_p * candidates[0].probability;
  while (candidates.back().probability < least) {
    kept -= candidates.back().probability;
    candidates.pop_back();
  }
  double left = NextUniform() * kept;
  for (const Candidate& candidate : candidates) {
    left -= candidate.probability;
    if (left < 0) return candidate.id;
  }
  return candidates.back().id;
}

// SplitMix64 (Steele, Lea and Flood, 2014): the same on every machine, unlike <random>'s distributions.
double Sampler::NextUniform() {
  random_state_ += 0x9e3779b97f4a7c15u;
  std::uint64_t z = random_state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

}  // namespace tome
