#include "engine/memory/retention.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/support/engine_models.h"

namespace tome {
namespace {

using ::testing::ElementsAre;

std::shared_ptr<const ArchiveBlock> BlockOf(const std::vector<TokenId>& tokens) {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  std::vector<TokenSpan> spans(tokens.size());
  return ArchiveBlock::Make({.region_tokens = 8, .vocab_size = 300, .code_bytes = 0}, tokens, spans, "",
                            *model->tokenizer());
}

KeyValueBlock RandomBlock(std::int64_t tokens) {
  at::manual_seed(3);
  return {at::randn({2, 3, tokens, 4}), at::randn({2, 3, tokens, 4})};
}

std::vector<float> Scores(RetentionScore score, const KeyValueBlock& block, const std::vector<TokenId>& ids,
                          const TokenCounts* counts = nullptr, const std::vector<float>& queries = {}) {
  return ScoreTokens(score, {.block = block, .ids = ids, .first_token = 1000, .counts = counts, .queries = queries});
}

TEST(Retention, RareTokensSurprise) {
  TokenCounts counts(300);
  counts.Add(*BlockOf({5, 5, 5, 7, 5, 7}));
  counts.Add(*BlockOf({9}));
  EXPECT_EQ(counts.total(), 7);
  const std::vector<float> scores = Scores(RetentionScore::kSurprise, RandomBlock(3), {5, 7, 8}, &counts);
  EXPECT_FLOAT_EQ(scores[0], -std::log(5.0f / 307));
  EXPECT_FLOAT_EQ(scores[1], -std::log(3.0f / 307));
  EXPECT_FLOAT_EQ(scores[2], -std::log(1.0f / 307));
}

TEST(Retention, NewPairsAreNovel) {
  TokenCounts counts(300);
  counts.Add(*BlockOf({5, 6, 5, 6, 5, 7}));
  const std::vector<float> scores = Scores(RetentionScore::kNovelty, RandomBlock(4), {5, 6, 5, 9}, &counts);
  EXPECT_FLOAT_EQ(scores[1], -std::log(3.0f / 7));
  EXPECT_FLOAT_EQ(scores[2], scores[1]);
  EXPECT_FLOAT_EQ(scores[3], -std::log(1.0f / 7));
  EXPECT_EQ(scores[0], scores[1]);
}

TEST(Retention, ValueNormAndExpectedAttentionFollowTheirDefinitions) {
  const KeyValueBlock block = RandomBlock(5);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> queries(2 * 3 * 4);
  for (float& value : queries) value = normal(random);
  const std::vector<TokenId> ids(5);
  const std::vector<float> norms = Scores(RetentionScore::kValueNorm, block, ids);
  const std::vector<float> expected = Scores(RetentionScore::kExpected, block, ids, nullptr, queries);
  for (int token = 0; token < 5; ++token) {
    double norm = 0, product = 0;
    for (int layer = 0; layer < 2; ++layer) {
      for (int head = 0; head < 3; ++head) {
        double squares = 0;
        for (int i = 0; i < 4; ++i) {
          const double value = block.values[layer][head][token][i].item<double>();
          squares += value * value;
          product += queries[(layer * 3 + head) * 4 + i] * block.keys[layer][head][token][i].item<double>() / 2;
        }
        norm += std::sqrt(squares);
      }
    }
    EXPECT_NEAR(norms[token], norm / 6, 1e-5);
    EXPECT_NEAR(expected[token], product / 6, 1e-5);
  }
  EXPECT_THAT(Scores(RetentionScore::kExpected, block, ids), ElementsAre(0, 0, 0, 0, 0)) << "nothing was asked yet";
}

TEST(Retention, RandomScoresDependOnTheTokensNumberAlone) {
  const std::vector<float> first = Scores(RetentionScore::kRandom, RandomBlock(64), std::vector<TokenId>(64));
  EXPECT_EQ(first, Scores(RetentionScore::kRandom, RandomBlock(64), std::vector<TokenId>(64, 5)));
  double sum = 0;
  for (const float score : first) {
    EXPECT_GE(score, 0);
    EXPECT_LT(score, 1);
    sum += score;
  }
  EXPECT_NEAR(sum / 64, 0.5, 0.15);
}

TEST(Retention, RegionsScoreIsOfItsBestSixteenTokens) {
  std::mt19937 random(2);
  for (const std::size_t size : {1u, 5u, 16u, 17u, 64u}) {
    std::vector<float> tokens(size);
    for (float& token : tokens) token = static_cast<float>(random() % 1000) / 1000;
    double best = -1;
    const std::size_t width = std::min<std::size_t>(16, size);
    for (std::size_t first = 0; first + width <= size; ++first) {
      double sum = 0;
      for (std::size_t i = 0; i < width; ++i) sum += tokens[first + i];
      best = std::max(best, sum / static_cast<double>(width));
    }
    EXPECT_NEAR(ScoreRegion(tokens), best, 1e-5);
  }
}

TEST(Retention, BestTokensAreAscendingAndTheLaterOfEquals) {
  const std::vector<float> scores = {1, 3, 3, 0, 3};
  EXPECT_THAT(BestTokens(scores, 2), ElementsAre(2, 4));
  EXPECT_THAT(BestTokens(scores, 4), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(BestTokens(scores, 9), ElementsAre(0, 1, 2, 3, 4));
}

}  // namespace
}  // namespace tome
