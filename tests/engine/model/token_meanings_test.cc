#include "engine/model/token_meanings.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace tome {
namespace {

constexpr std::int64_t kVocabulary = 5000, kWidth = 64;

LlamaWeights WeightsOf(const at::Tensor& embedding) {
  LlamaWeights weights;
  weights.config.vocab_size = embedding.size(0);
  weights.config.hidden_size = embedding.size(1);
  weights.embedding = Linear(embedding, PackedMatrix());
  return weights;
}

// Tokens 2 i and 2 i + 1 have nearly one meaning, all others nothing in common.
at::Tensor PairedMeanings() {
  at::manual_seed(3);
  const at::Tensor meanings = at::randn({kVocabulary / 2, kWidth}).repeat_interleave(2, 0);
  return meanings + 0.3 * at::randn({kVocabulary, kWidth});
}

TEST(TokenMeanings, PairsAreNearAndOthersAreNot) {
  const LlamaWeights weights = WeightsOf(PairedMeanings());
  const std::vector<TokenId> tokens = {0, 1234, 4999};
  const at::Tensor found = TokenMeanings(weights).Similarities(weights, tokens);
  ASSERT_EQ(found.sizes(), (std::vector<std::int64_t>{kVocabulary, 3}));
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(found[tokens[i]][i].item<float>(), 1.0, 1e-4);
    EXPECT_GT(found[tokens[i] ^ 1][i].item<float>(), 0.8);
    const at::Tensor others = found.select(1, i).clone();
    others[tokens[i]] = others[tokens[i] ^ 1] = 0;
    EXPECT_LT(others.abs().max().item<float>(), 0.7);
  }
}

TEST(TokenMeanings, ADirectionThatAllShareSaysNothing) {
  // As frequent tokens differ from rare ones: far along one direction, on top of a common offset.
  const at::Tensor direction = at::randn({1, kWidth}), distances = 20 * at::randn({kVocabulary, 1});
  const LlamaWeights weights = WeightsOf(PairedMeanings() + distances * direction + at::randn({1, kWidth}) * 10);
  const std::vector<TokenId> tokens = {0};
  const at::Tensor found = TokenMeanings(weights).Similarities(weights, tokens).select(1, 0);
  EXPECT_GT(found[1].item<float>(), 0.8);
  EXPECT_LT(found.slice(0, 2).abs().max().item<float>(), 0.7);
}

TEST(TokenMeanings, WeightsThatAreNoNumbersDoNotStopLoading) {
  at::Tensor meanings = PairedMeanings();
  meanings[7].fill_(std::numeric_limits<float>::quiet_NaN());
  const LlamaWeights weights = WeightsOf(meanings);
  const std::vector<TokenId> tokens = {0};
  const at::Tensor found = TokenMeanings(weights).Similarities(weights, tokens).select(1, 0);
  EXPECT_GT(found[1].item<float>(), 0.8);
}

}  // namespace
}  // namespace tome
