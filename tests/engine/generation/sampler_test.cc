#include "engine/generation/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace tome {
namespace {

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

// How often each token comes in many draws.
std::map<TokenId, double> Frequencies(SamplingOptions options, const std::vector<float>& logits) {
  constexpr int kDraws = 20000;
  std::map<TokenId, double> frequencies;
  Sampler sampler(options, {});
  for (int i = 0; i < kDraws; ++i) frequencies[sampler.Next(logits).id] += 1.0 / kDraws;
  return frequencies;
}

TEST(Sampler, GreedyTakesTheLowestOfTheBest) { EXPECT_EQ(Sampler({}, {}).Next(kLogits).id, 1); }

TEST(Sampler, LogProbabilityIsThatOfTheModel) {
  double sum = 0;
  for (const float logit : kLogits) sum += std::exp(logit);
  const GeneratedToken token = Sampler({.temperature = 0.3, .repetition_penalty = 2.0}, {}).Next(kLogits);
  EXPECT_NEAR(token.log_probability, kLogits[token.id] - std::log(sum), 1e-5);
}

TEST(Sampler, DrawsFollowTheSoftmaxAtItsTemperature) {
  for (const double temperature : {0.5, 1.0, 2.0}) {
    double sum = 0;
    for (const float logit : kLogits) sum += std::exp(logit / temperature);
    const std::map<TokenId, double> found = Frequencies({.temperature = temperature, .seed = 3}, kLogits);
    for (std::size_t id = 0; id < kLogits.size(); ++id) {
      const double expected = std::exp(kLogits[id] / temperature) / sum;
      EXPECT_NEAR(found.contains(id) ? found.at(id) : 0.0, expected, 0.015) << temperature << " " << id;
    }
  }
}

TEST(Sampler, TopKTopPAndMinPCutTheTail) {
  const auto tokens = [](SamplingOptions options) {
    std::vector<TokenId> ids;
    for (const auto& [id, frequency] : Frequencies(options, kLogits)) ids.push_back(id);
    return ids;
  };
  // Probabilities: 0.052, 0.387, 0.142, 0.387, 0.007 (about).
  EXPECT_EQ(tokens({.temperature = 1, .top_k = 2}), (std::vector<TokenId>{1, 3}));
  EXPECT_EQ(tokens({.temperature = 1, .top_k = 1}), (std::vector<TokenId>{1}));
  EXPECT_EQ(tokens({.temperature = 1, .top_p = 0.8}), (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(tokens({.temperature = 1, .top_p = 1e-9}), (std::vector<TokenId>{1}));
  EXPECT_EQ(tokens({.temperature = 1, .min_p = 0.2}), (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(tokens({.temperature = 1, .min_p = 1.0}), (std::vector<TokenId>{1, 3}));
}

TEST(Sampler, TheSameSeedDrawsTheSameTokens) {
  const auto draw = [](std::uint64_t seed) {
    Sampler sampler({.temperature = 1.5, .seed = seed}, {});
    std::vector<TokenId> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.Next(kLogits).id);
    return ids;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(Sampler, RepetitionPenaltyLowersWhatWasSaid) {
  Sampler sampler({.repetition_penalty = 1.6}, {3});
  EXPECT_EQ(sampler.Next(kLogits).id, 1);  // 3 was in the prompt
  EXPECT_EQ(sampler.Next(kLogits).id, 2);  // 1 and 3 fell to 1.875, below 2
  Sampler negative({.repetition_penalty = 3.0}, {0});
  EXPECT_EQ(negative.Next(std::vector<float>{-1.0f, -2.0f}).id, 1);  // -1 becomes -3
}

}  // namespace
}  // namespace tome
