#include "engine/memory/retention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tome {
namespace {

// Mixes all bits (splitmix64, Steele et al., 2014).
std::uint64_t Mix(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

std::vector<float> ToVector(const at::Tensor& values) {
  const at::Tensor flat = values.to(at::kFloat).cpu().contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

std::vector<float> ExpectedAttention(const LeavingTokens& tokens) {
  const at::Tensor& keys = tokens.block.keys;
  if (tokens.queries.empty()) return std::vector<float>(static_cast<std::size_t>(keys.size(2)));
  const at::Tensor queries = at::from_blob(const_cast<float*>(tokens.queries.data()),
                                           {keys.size(0), keys.size(1), keys.size(3), 1}, at::kFloat);
  const at::Tensor scores = at::matmul(keys.to(at::kFloat).cpu(), queries).squeeze(-1);  // [L, KV, n]
  return ToVector(scores.mean(at::IntArrayRef({0, 1})).div_(std::sqrt(static_cast<double>(keys.size(3)))));
}

float NegativeLogShare(double count, double total, double kinds) {
  return static_cast<float>(-std::log((count + 1) / (total + kinds)));
}

}  // namespace

std::size_t TokenCounts::Slot(TokenId first, TokenId second) {
  return Mix(static_cast<std::uint64_t>(static_cast<std::uint32_t>(first)) << 32 | static_cast<std::uint32_t>(second)) %
         kPairs;
}

void TokenCounts::Add(const ArchiveBlock& block) {
  for (int i = 0; i < block.num_tokens(); ++i) {
    ++tokens_[static_cast<std::size_t>(block.token(i))];
    if (i > 0) ++pairs_[Slot(block.token(i - 1), block.token(i))];
  }
  total_ += block.num_tokens();
}

bool NeedsCounts(RetentionScore score) {
  return score == RetentionScore::kSurprise || score == RetentionScore::kNovelty;
}

std::vector<float> ScoreTokens(RetentionScore score, const LeavingTokens& tokens) {
  std::vector<float> scores(tokens.ids.size());
  switch (score) {
    case RetentionScore::kSelections:
      break;
    case RetentionScore::kValueNorm:
      return ToVector(tokens.block.values.to(at::kFloat).norm(2, -1).mean(at::IntArrayRef({0, 1})));
    case RetentionScore::kExpected:
      return ExpectedAttention(tokens);
    case RetentionScore::kSurprise:
      for (std::size_t i = 0; i < scores.size(); ++i) {
        scores[i] = NegativeLogShare(tokens.counts->token(tokens.ids[i]), static_cast<double>(tokens.counts->total()),
                                     static_cast<double>(tokens.counts->vocab_size()));
      }
      break;
    case RetentionScore::kNovelty:
      for (std::size_t i = 1; i < scores.size(); ++i) {
        const std::uint32_t count = tokens.counts->pair(tokens.ids[i - 1], tokens.ids[i]);
        scores[i] = NegativeLogShare(count, static_cast<double>(tokens.counts->total()), 1);
      }
      if (scores.size() > 1) scores[0] = scores[1];  // its pair is not at hand
      break;
    case RetentionScore::kRandom:
      for (std::size_t i = 0; i < scores.size(); ++i) {
        scores[i] = static_cast<float>(Mix(static_cast<std::uint64_t>(tokens.first_token) + i) >> 40) * 0x1p-24f;
      }
      break;
  }
  return scores;
}

float ScoreRegion(absl::Span<const float> tokens) {
  const std::size_t width = std::min<std::size_t>(16, tokens.size());
  double sum = std::accumulate(tokens.begin(), tokens.begin() + width, 0.0), best = sum;
  for (std::size_t i = width; i < tokens.size(); ++i) {
    sum += static_cast<double>(tokens[i]) - tokens[i - width];
    best = std::max(best, sum);
  }
  return static_cast<float>(best / static_cast<double>(width));
}

std::vector<std::int64_t> BestTokens(absl::Span<const float> scores, std::size_t count) {
  std::vector<std::int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::int64_t a, std::int64_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a > b; });
  order.resize(std::min(order.size(), count));
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace tome
