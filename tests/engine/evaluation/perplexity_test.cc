#include "engine/evaluation/perplexity.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/attention/pattern_attention.h"
#include "engine/evaluation/pattern_picture.h"
#include "engine/memory/sequence_cache.h"
#include "engine/model/forward.h"
#include "engine/model/llama_model.h"
#include "tests/support/engine_models.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace tome {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const std::shared_ptr<const Model>& TinyModel() {
  static const std::shared_ptr<const Model> model = testing::LoadTinyModel();
  return model;
}

TokenizedText Text(std::int64_t tokens) {
  std::string text;
  for (int i = 0; static_cast<std::int64_t>(text.size()) < 8 * tokens; ++i)
    text += "word " + std::to_string(i * i) + "\n";
  return TokenizeText(*TinyModel()->tokenizer(), text, tokens);
}

AttentionPattern Pattern(const char* text) { return *AttentionPattern::Parse(text); }

// -log p of tokens 1 .. of a window, by the cache that sessions use.
std::vector<double> DenseLosses(absl::Span<const TokenId> window) {
  const LlamaWeights& weights = LlamaModel::From(*TinyModel()).weights();
  const auto count = static_cast<std::int64_t>(window.size());
  SequenceCache cache(weights, MemoryState(MemoryOptions{}), count);
  const at::Tensor all = at::log_softmax(ComputeLogits(weights, Forward(weights, window, cache)), -1);
  std::vector<double> losses;
  for (std::int64_t i = 0; i + 1 < count; ++i) losses.push_back(-all[i][window[i + 1]].item<double>());
  return losses;
}

TEST(Perplexity, ScoresEachTokenOnceWithTheWindowBeforeIt) {
  const TokenizedText text = Text(101);
  const absl::Span<const TokenId> tokens = text.encoded.tokens;
  std::vector<std::int64_t> progress;
  const auto result = MeasurePerplexity(*TinyModel(), text, {.context = 32, .stride = 10},
                                        [&](std::int64_t scored) { progress.push_back(scored); });
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->scored, 100);
  EXPECT_EQ(progress.back(), 100);
  ASSERT_EQ(result->windows.size(), 8u);
  EXPECT_EQ(result->windows[0].scored, 31);
  EXPECT_EQ(result->windows[7].scored, 9);
  double all = 0;
  for (std::size_t i = 0; i < result->windows.size(); ++i) {
    const WindowLoss& window = result->windows[i];
    const std::vector<double> losses = DenseLosses(tokens.subspan(10 * i, 32));
    double expected = 0;
    for (std::int64_t k = 0; k < window.scored; ++k) expected += losses[losses.size() - 1 - k];
    EXPECT_NEAR(window.nats, expected, 1e-3) << i;
    all += expected;
  }
  EXPECT_NEAR(result->NatsPerToken(), all / 100, 1e-5);
  const TokenSpan &first = text.encoded.spans[1], &last = text.encoded.spans.back();
  EXPECT_EQ(result->bytes, static_cast<std::int64_t>(last.begin + last.num_bytes - first.begin));
}

TEST(Perplexity, ScoresFromATokenOnWhatAllWindowsWouldGiveIt) {
  const TokenizedText text = Text(101);
  const auto all = MeasurePerplexity(*TinyModel(), text, {.context = 32, .stride = 10});
  // Windows end at 32, 42, 52, ...: tokens 42 .. are those of the third window and later ones.
  std::vector<std::int64_t> progress;
  const auto some = MeasurePerplexity(*TinyModel(), text, {.context = 32, .stride = 10, .from = 42},
                                      [&](std::int64_t scored) { progress.push_back(scored); });
  ASSERT_THAT(some, IsOk());
  EXPECT_EQ(some->scored, 101 - 42);
  EXPECT_EQ(progress.back(), 101 - 42);
  ASSERT_EQ(some->windows.size() + 2, all->windows.size());
  for (std::size_t i = 0; i < some->windows.size(); ++i) {
    EXPECT_EQ(some->windows[i].first_token, all->windows[i + 2].first_token);
    EXPECT_NEAR(some->windows[i].nats, all->windows[i + 2].nats, 1e-4);
  }
  EXPECT_LT(some->bytes, all->bytes);
  // Within a window only the tokens from there on count.
  const auto last = MeasurePerplexity(*TinyModel(), text, {.context = 101, .stride = 50, .from = 100});
  EXPECT_EQ(last->scored, 1);
  EXPECT_NEAR(last->nats, DenseLosses(text.encoded.tokens).back(), 1e-4);
}

TEST(Perplexity, CountsWordsBetweenWhiteSpace) {
  const TokenizedText text = TokenizeText(*TinyModel()->tokenizer(), "x one  two\nthree\tfour ", 0);
  const auto result = MeasurePerplexity(*TinyModel(), text, {.context = 4, .stride = 4});
  ASSERT_THAT(result, IsOk());
  EXPECT_GE(result->words, 4);
  EXPECT_LE(result->words, 5) << "the first token may be the x or a part before it";
}

TEST(Perplexity, APatternThatSeesAllIsDense) {
  const TokenizedText text = Text(80);
  const auto dense = MeasurePerplexity(*TinyModel(), text, {.context = 40, .stride = 20});
  for (const char* pattern : {"sliding(40)", "scca-fixed(w=40):1,dense:3", "dilated(40,1)"}) {
    const auto same =
        MeasurePerplexity(*TinyModel(), text, {.context = 40, .stride = 20, .attention = Pattern(pattern)});
    ASSERT_THAT(same, IsOk()) << pattern;
    EXPECT_NEAR(same->nats, dense->nats, 1e-3) << pattern;
    EXPECT_EQ(same->attention_multiply_adds, dense->attention_multiply_adds) << pattern;
  }
  const auto less = MeasurePerplexity(*TinyModel(), text, {.context = 40, .stride = 20, .attention = Pattern("sda4")});
  EXPECT_GT(std::abs(less->nats - dense->nats), 1e-3);
  EXPECT_LT(less->attention_multiply_adds, dense->attention_multiply_adds / 3);
}

TEST(Perplexity, EncodingsChangeTheResultAndWarnWhereTheyDoNotReach) {
  const LlamaConfig& config = TinyModel()->info().config;
  const std::int64_t trained = config.context_length;
  const TokenizedText text = Text(trained + 80);
  const auto plain = MeasurePerplexity(*TinyModel(), text, {.context = trained + 40, .stride = 40});
  ASSERT_THAT(plain, IsOk());
  EXPECT_TRUE(plain->BeyondTrained());
  for (const char* encoding : {"linear(2)", "ntk(2)", "dynamic-ntk(2)", "yarn(2)", "llama3(2)", "crd-ntk(2)"}) {
    const auto result =
        MeasurePerplexity(*TinyModel(), text, {.context = trained + 40, .stride = 40, .encoding = encoding});
    ASSERT_THAT(result, IsOk()) << encoding;
    EXPECT_FALSE(result->BeyondTrained()) << encoding;
    EXPECT_NE(result->nats, plain->nats) << encoding;
  }
}

TEST(Perplexity, RefusesWindowsThatCannotBe) {
  const TokenizedText text = Text(50);
  const std::pair<PerplexityOptions, const char*> cases[] = {
      {{.context = 32, .stride = 33}, "stride: expected 1 to the context of 32"},
      {{.context = 32, .stride = 0}, "stride: expected 1"},
      {{.context = 1, .stride = 1}, "context: expected 2"},
      {{.context = 51, .stride = 8}, "50 tokens, fewer than one window of 51"},
      {{.context = 32, .stride = 8, .attention = Pattern("scca-flow(m=32)")}, "32 groups are more than"},
      {{.context = 32, .stride = 8, .from = 0}, "from: expected 1 to 49"},
      {{.context = 32, .stride = 8, .from = 50}, "from: expected 1 to 49"},
      {{.context = 32, .stride = 8, .encoding = "alibi"}, "position encoding"}};
  for (const auto& [options, message] : cases) {
    EXPECT_THAT(MeasurePerplexity(*TinyModel(), text, options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }
}

TEST(Perplexity, FourBitWeightsAreNearAndNotTheSame) {
  const TokenizedText text = Text(60);
  const auto rounded = *WithWeights(TinyModel(), WeightFormat::kInt4);
  const at::Tensor &own = LlamaModel::From(*TinyModel()).weights().layers[0].down.dense(),
                   &of_rounded = LlamaModel::From(*rounded).weights().layers[0].down.dense();
  EXPECT_LE((own - of_rounded).abs().max().item<float>(), (own.max() - own.min()).item<float>() / 29);
  EXPECT_FALSE(at::equal(own, of_rounded));
  for (std::int64_t row = 0; row < own.size(0); ++row) {
    const at::Tensor first = of_rounded[row].narrow(0, 0, std::min<std::int64_t>(64, own.size(1)));
    EXPECT_LE(std::get<0>(at::_unique(first)).numel(), 16) << row;
  }
  EXPECT_NE(MeasurePerplexity(*rounded, text, {.context = 30, .stride = 10})->nats,
            MeasurePerplexity(*TinyModel(), text, {.context = 30, .stride = 10})->nats);
}

TEST(Perplexity, PackedWeightsAreThoseThatWereLoaded) {
  EXPECT_THAT(WithWeights(TinyModel(), WeightFormat::kPacked),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("4-bit or 8-bit blocks")));
  if (!std::filesystem::exists(testing::SmolLm2Path())) GTEST_SKIP() << "scripts/setup.sh fetches the model";
  const auto loaded = Model::Load({.path = testing::SmolLm2Path(), .precision = Precision::kFp32});
  ASSERT_THAT(loaded, IsOk());
  const auto packed = WithWeights(*loaded, WeightFormat::kPacked);
  ASSERT_THAT(packed, IsOk());
  EXPECT_FALSE(LlamaModel::From(**packed).weights().layers[0].qkv.dense().defined());
  const TokenizedText text =
      TokenizeText(*(*loaded)->tokenizer(), "Call me Ishmael. Some years ago, never mind how long.", 0);
  const PerplexityOptions options = {.context = 12, .stride = 4};
  EXPECT_NEAR(MeasurePerplexity(**packed, text, options)->NatsPerToken(),
              MeasurePerplexity(**loaded, text, options)->NatsPerToken(), 1e-5);
}

TEST(Perplexity, PlotsEachRun) {
  const auto result = MeasurePerplexity(*TinyModel(), Text(90), {.context = 30, .stride = 10});
  const std::string svg = PlotByPosition({*result, *result});
  EXPECT_THAT(svg, HasSubstr("30, dense, own encoding"));
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(Perplexity, IsThatOfTransformers) {
  if (!std::filesystem::exists(testing::SmolLm2Path())) GTEST_SKIP() << "scripts/setup.sh fetches the model";
  const std::string folder = TOME_SOURCE_DIR "/tests/golden/";
  const auto golden = nlohmann::json::parse(testing::ReadFile(folder + "perplexity.json"));
  const auto logits = nlohmann::json::parse(testing::ReadFile(folder + "logits/smollm2.json"));
  TokenizedText text;
  for (const auto& example : logits["cases"]) {
    if (example["name"] == golden["case"]) text.encoded.tokens = example["tokens"].get<std::vector<TokenId>>();
  }
  ASSERT_EQ(text.encoded.tokens.size(), 2000u);
  text.encoded.spans.resize(2000);
  const auto model = Model::Load({.path = testing::SmolLm2Path(), .precision = Precision::kFp32});
  ASSERT_THAT(model, IsOk());
  ASSERT_EQ(golden["runs"].size(), 4u);
  for (const auto& run : golden["runs"]) {
    const std::string encoding = run["encoding"];
    const auto result = MeasurePerplexity(
        **model, text,
        {.context = run["context"], .stride = run["stride"], .encoding = encoding == "own" ? "" : encoding});
    ASSERT_THAT(result, IsOk());
    ASSERT_EQ(result->windows.size(), run["windows"].size());
    double expected = 0;
    for (std::size_t i = 0; i < result->windows.size(); ++i) {
      EXPECT_EQ(result->windows[i].first_token, run["windows"][i]["first_token"]);
      EXPECT_EQ(result->windows[i].scored, run["windows"][i]["scored"]);
      expected += run["windows"][i]["nats"].get<double>();
    }
    EXPECT_NEAR(result->NatsPerToken(), expected / static_cast<double>(result->scored), 1e-4) << encoding;
  }
}

TEST(PatternPicture, ShowsWhatHeadsSeeAndReach) {
  const AttentionPattern pattern = Pattern("scca-fixed(w=8)");
  const auto heads = *pattern.ForHeads(3, 32);
  const auto field = ReceptiveField(heads, 32, 3);
  EXPECT_EQ(field[31][31], 1);
  EXPECT_EQ(field[31][24], 1) << "own chunk";
  EXPECT_EQ(field[31][20], 1) << "half a chunk back";
  EXPECT_EQ(field[31][19], 2);
  EXPECT_EQ(field[31][3], 0) << "three layers reach 3 * 8 + 4 back";
  EXPECT_EQ(field[0][1], 0) << "the future";
  const std::string svg = DrawPattern(pattern, heads, 32, 3);
  EXPECT_THAT(svg, HasSubstr("heads 0, 1<"));
  EXPECT_THAT(svg, HasSubstr("head 2<"));
  EXPECT_THAT(svg, HasSubstr("scca-fixed(w=8): 32 tokens"));
}

}  // namespace
}  // namespace tome
