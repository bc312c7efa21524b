#include "engine/generation/question_likelihood.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <string_view>
#include <vector>

#include "engine/memory/sequence_cache.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"

namespace tome {
namespace {

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}

std::vector<TokenId> Encode(std::string_view text) {
  std::vector<TokenId> tokens;
  for (const TextToken& token : TinyModel()->tokenizer()->Encode(text)) tokens.push_back(token.id);
  return tokens;
}

TEST(QuestionLogProbabilities, EqualOneSequenceAtATime) {
  const LlamaWeights& weights = LlamaModel::From(*TinyModel()).weights();
  const std::vector<TokenId> question = EncodeQuestion(*TinyModel()->tokenizer(), "Where did it sail?");
  EXPECT_EQ(question, Encode("\n\nWhere did it sail?"));
  const std::vector<std::vector<TokenId>> texts = {
      Encode("The ship sailed to harbour 13."), Encode("x"),
      Encode("A much longer text, with more words in it than the others.")};
  const std::vector<std::vector<double>> found = QuestionLogProbabilities(weights, texts, question);
  ASSERT_EQ(found.size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::vector<TokenId> all = texts[i];
    all.insert(all.end(), question.begin(), question.end());
    SequenceCache cache(weights, MemoryState(MemoryOptions{}), static_cast<std::int64_t>(all.size()));
    const at::Tensor log_probabilities = at::log_softmax(ComputeLogits(weights, Forward(weights, all, cache)), -1);
    ASSERT_EQ(found[i].size(), question.size());
    for (std::size_t k = 0; k < question.size(); ++k) {
      const auto row = static_cast<std::int64_t>(texts[i].size() + k) - 1;
      EXPECT_NEAR(found[i][k], log_probabilities[row][question[k]].item<double>(), 1e-4);
    }
  }
}

// The mean log-probability of a text after other tokens, by one sequence.
double MeanLogProbabilityAfter(const std::vector<TokenId>& before, const std::vector<TokenId>& text) {
  const LlamaWeights& weights = LlamaModel::From(*TinyModel()).weights();
  const std::vector<double> own = QuestionLogProbabilities(weights, {before}, text).front();
  return std::accumulate(own.begin(), own.end(), 0.0) / static_cast<double>(own.size());
}

TEST(GainsFromQuestion, AreWhatTheQuestionAddsToTheTextsOwnLikelihood) {
  const LlamaWeights& weights = LlamaModel::From(*TinyModel()).weights();
  const std::vector<TokenId> question = EncodeQuestion(*TinyModel()->tokenizer(), "Where did it sail?");
  const std::vector<std::vector<TokenId>> texts = {Encode("The ship sailed to harbour 13."), Encode("x"),
                                                   Encode("Another text, with more words in it than the others.")};
  const std::vector<double> gains = GainsFromQuestion(weights, texts, question);
  ASSERT_EQ(gains.size(), texts.size());
  std::vector<TokenId> asked = question;
  asked.push_back(question[0]);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const double expected = MeanLogProbabilityAfter(asked, texts[i]) - MeanLogProbabilityAfter({question[0]}, texts[i]);
    EXPECT_NEAR(gains[i], expected, 1e-4);
    EXPECT_NE(expected, 0);
  }
  EXPECT_TRUE(GainsFromQuestion(weights, {}, question).empty());
}

TEST(OneStandsOut, ByTenNatsFromTheMedian) {
  EXPECT_FALSE(OneStandsOut({}));
  EXPECT_FALSE(OneStandsOut({-3}));
  EXPECT_FALSE(OneStandsOut({-50, -49.5, -40.5, -60, -55}));
  EXPECT_TRUE(OneStandsOut({-50, -49.5, -39, -60, -55}));
  EXPECT_FALSE(OneStandsOut({-50, -39, -39, -39, -55})) << "when most are as good, none is";
}

TEST(GainsOverMedian, CountWhatATextMakesLikelier) {
  EXPECT_TRUE(GainsOverMedian({}, {}).empty());
  const std::vector<std::vector<double>> some = {{-5, -9}, {-2, -9.2}, {-8, -5}};
  // Medians are -5 and -9, both tokens weigh alike.
  const std::vector<double> gains = GainsOverMedian(some, std::vector<float>{.5, .5});
  ASSERT_EQ(gains.size(), 3u);
  EXPECT_NEAR(gains[0], 0, 1e-9);
  EXPECT_NEAR(gains[1], 3 - .2, 1e-9);
  EXPECT_NEAR(gains[2], 4 - 1, 1e-9) << "a loss of three nats costs one";
  const std::vector<double> weighted = GainsOverMedian(some, std::vector<float>{.8, .2});
  EXPECT_NEAR(weighted[1], (2 * 3 - .2) * 2 / 3, 1e-6) << "by roots, which are as 2 to 1";
}

TEST(GainsOverMedian, EqualTheDefinition) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> nats(-12, 0), weight(.01, 1);
  for (int round = 0; round < 50; ++round) {
    const std::size_t texts = 1 + random() % 9, tokens = 1 + random() % 6;
    std::vector<std::vector<double>> all(texts, std::vector<double>(tokens));
    for (auto& own : all) std::generate(own.begin(), own.end(), [&] { return nats(random); });
    std::vector<float> weights(tokens);
    std::generate(weights.begin(), weights.end(), [&] { return static_cast<float>(weight(random)); });
    double mean = 0;
    for (const float own : weights) mean += std::sqrt(own) / static_cast<double>(tokens);
    const std::vector<double> gains = GainsOverMedian(all, weights);
    for (std::size_t i = 0; i < texts; ++i) {
      double expected = 0;
      for (std::size_t k = 0; k < tokens; ++k) {
        std::vector<double> column;
        for (const auto& own : all) column.push_back(own[k]);
        std::sort(column.begin(), column.end());
        const double gain = all[i][k] - column[texts / 2];
        expected += std::sqrt(weights[k]) / mean * (gain < -1 ? -1 : gain);
      }
      EXPECT_NEAR(gains[i], expected, 1e-6);
    }
  }
}

}  // namespace
}  // namespace tome
