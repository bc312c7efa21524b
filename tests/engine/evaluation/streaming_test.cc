#include "engine/evaluation/streaming.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/evaluation/perplexity.h"
#include "engine/evaluation/questions/reading.h"
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

std::vector<TokenId> RandomTokens(std::size_t count) {
  std::mt19937 random(1);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 256);
  return tokens;
}

TEST(Stream, LossIsThatOfDenseAttentionWhileEverythingIsKept) {
  const std::vector<TokenId> tokens = RandomTokens(150);
  const LlamaWeights& weights = LlamaModel::From(*TinyModel()).weights();
  SequenceCache dense(weights, MemoryState(MemoryOptions{}), 150);
  const at::Tensor losses = -at::log_softmax(ComputeLogits(weights, Forward(weights, tokens, dense)), -1);
  const NamedMemory memory = {.name = "all", .options = {.sink_tokens = 4, .window_tokens = 200, .segment_tokens = 32}};
  std::vector<std::int64_t> progress;
  const auto result = MeasureStream(TinyModel(), memory, tokens, [&](std::int64_t done) { progress.push_back(done); });
  ASSERT_THAT(result, IsOk());
  ASSERT_EQ(result->segments.size(), 5u);
  EXPECT_EQ(progress.back(), 150);
  double all = 0;
  for (const SegmentLoss& segment : result->segments) {
    double expected = 0;
    EXPECT_EQ(segment.predicted, segment.first_token == 128 ? 21 : 32) << "nothing follows the last token";
    for (std::int64_t t = segment.first_token; t < segment.first_token + segment.predicted; ++t) {
      expected += losses[t][tokens[t + 1]].item<double>();
    }
    EXPECT_NEAR(segment.nats, expected, 1e-3);
    all += expected;
  }
  EXPECT_NEAR(result->Loss(0, 150), all / 149, 1e-5);
  EXPECT_NEAR(result->Loss(128, 150), result->segments[4].nats / 21, 1e-9);
  EXPECT_EQ(result->Loss(1, 2), 0) << "no segment begins there";
}

TEST(Stream, GoesOnAfterWhatAMemoryHasRead) {
  const std::vector<TokenId> tokens = RandomTokens(300);
  const MemoryOptions options = {.sink_tokens = 4,
                                 .window_tokens = 64,
                                 .segment_tokens = 32,
                                 .region_tokens = 8,
                                 .regions = {.selected = 2, .query_region_tokens = 16}};
  const auto whole = MeasureStream(TinyModel(), {.name = "whole", .options = options}, tokens);
  ASSERT_THAT(whole, IsOk());
  TOME_ASSERT_OK_AND_ASSIGN(Memory memory, Memory::Create(TinyModel(), options));
  ASSERT_THAT(RunTask(Task::Read(&memory, {tokens.begin(), tokens.begin() + 192})), IsOk());
  const testing::TempDir folder;
  ASSERT_THAT(WriteTextFile(folder.File("state"), memory.Serialize()), IsOk());

  TOME_ASSERT_OK_AND_ASSIGN(const NamedMemory after, LoadNamedMemory(TinyModel(), folder.File("state")));
  EXPECT_EQ(after.name, "after 192");
  const auto rest = MeasureStream(TinyModel(), after, {tokens.begin() + 192, tokens.end()});
  ASSERT_THAT(rest, IsOk());
  ASSERT_EQ(rest->segments.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(rest->segments[i].nats, whole->segments[6 + i].nats) << i;
  EXPECT_EQ(rest->state_bytes, whole->state_bytes);

  EXPECT_THAT(LoadNamedMemory(TinyModel(), folder.File("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  ASSERT_THAT(WriteTextFile(folder.File("state"), "no state"), IsOk());
  EXPECT_THAT(LoadNamedMemory(TinyModel(), folder.File("state")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(folder.File("state"))));
}

TEST(Stream, RateIsOfTheSegmentsThatCount) {
  StreamResult result;
  for (const double seconds : {10.0, 2.0, 3.0}) {
    result.segments.push_back(
        {.first_token = static_cast<std::int64_t>(result.segments.size()) * 100, .predicted = 100, .seconds = seconds});
  }
  EXPECT_DOUBLE_EQ(result.TokensPerSecond(0), 20);
  EXPECT_DOUBLE_EQ(result.TokensPerSecond(100), 40);
  EXPECT_EQ(result.TokensPerSecond(300), 0);
}

TEST(Stream, APatternInTheStreamIsThatOfOnePass) {
  TokenizedText text;
  text.encoded.tokens = RandomTokens(150);
  text.encoded.spans.resize(150);
  for (const char* pattern :
       {"sliding(20)", "scca-fixed(w=24)", "scca-flow(w=16,m=4)", "sda2", "dilated(5,3):1,s2(w=32):3"}) {
    const auto whole = MeasurePerplexity(
        *TinyModel(), text, {.context = 150, .stride = 150, .attention = *AttentionPattern::Parse(pattern)});
    ASSERT_THAT(whole, IsOk()) << pattern;
    NamedMemory memory = {.name = pattern, .options = {.sink_tokens = 0, .window_tokens = 190, .segment_tokens = 32}};
    memory.options.regions.selected = 0;
    memory.options.attention = pattern;
    const auto streamed = MeasureStream(TinyModel(), memory, text.encoded.tokens, nullptr);
    ASSERT_THAT(streamed, IsOk()) << pattern;
    EXPECT_NEAR(streamed->Loss(0, 150), whole->NatsPerToken(), 1e-5) << pattern;
  }
}

TEST(Stream, AnEncodingInTheStreamIsThatOfOnePass) {
  TokenizedText text;
  text.encoded.tokens = RandomTokens(150);
  text.encoded.spans.resize(150);
  for (const char* encoding : {"linear(2)", "yarn(1.5)", "crd-ntk(2)"}) {
    const auto whole = MeasurePerplexity(*TinyModel(), text, {.context = 150, .stride = 150, .encoding = encoding});
    ASSERT_THAT(whole, IsOk()) << encoding;
    const NamedMemory memory = {.name = encoding,
                                .options = {.sink_tokens = 4,
                                            .window_tokens = 200,
                                            .segment_tokens = 32,
                                            .regions = {.selected = 0},
                                            .position_encoding = encoding}};
    const auto streamed = MeasureStream(TinyModel(), memory, text.encoded.tokens, nullptr);
    ASSERT_THAT(streamed, IsOk()) << encoding;
    EXPECT_NEAR(streamed->Loss(0, 150), whole->NatsPerToken(), 1e-5) << encoding;
  }
}

StreamResult Made(const std::string& name, std::vector<double> nats) {
  StreamResult result{.memory = name};
  for (const double loss : nats) {
    result.segments.push_back(
        {.first_token = static_cast<std::int64_t>(result.segments.size()) * 1000, .predicted = 10, .nats = loss});
  }
  return result;
}

TEST(Stream, DifferencesArePairedBySegment) {
  const StreamResult base = Made("window", {90, 20, 40, 30}), better = Made("regions", {0, 18, 36, 27});
  const PairedDifference paired = CompareLosses(better, base, 1000);
  EXPECT_DOUBLE_EQ(paired.mean, -0.3);
  // Of -.2, -.4, -.3: a standard deviation of .1 over three segments.
  EXPECT_NEAR(paired.standard_error, 0.1 / std::sqrt(3.0), 1e-12);
  EXPECT_EQ(CompareLosses(better, base, 3000).standard_error, 0) << "one segment has no spread";
  EXPECT_DOUBLE_EQ(CompareLosses(better, base, 1000, 3000).mean, -0.3) << "of -.2 and -.4";
}

TEST(Stream, DriftIsTheChangeFromTheFirstToTheLastTokens) {
  const StreamResult base = Made("window", {10, 10, 10, 10, 10}), drifting = Made("regions", {8, 6, 10, 13, 15});
  const Drift drift = MeasureDrift(drifting, base, 2000);
  EXPECT_DOUBLE_EQ(drift.first.mean, -0.3);
  EXPECT_DOUBLE_EQ(drift.last.mean, 0.4) << "the last two segments begin at or after token 2010";
  EXPECT_DOUBLE_EQ(drift.change.mean, 0.7);
  EXPECT_DOUBLE_EQ(drift.change.standard_error, std::hypot(drift.first.standard_error, drift.last.standard_error));
  EXPECT_EQ(MeasureDrift({}, {}, 10).change.mean, 0);
}

TEST(Stream, MemoriesAreNamedBySettings) {
  const MemoryOptions base = {.window_tokens = 100, .regions = {.selected = 5}};
  EXPECT_EQ(ParseNamedMemory("window", base)->options.regions.selected, 0);
  EXPECT_EQ(ParseNamedMemory("window", base)->options.window_tokens, 100);
  EXPECT_EQ(ParseNamedMemory("window=50", base)->options.window_tokens, 50);
  EXPECT_EQ(ParseNamedMemory("window=50", base)->options.regions.selected, 0);
  EXPECT_THAT(ParseNamedMemory("window=5x", base), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'5x'")));
  EXPECT_THAT(ParseNamedMemory("window=-1", base), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'-1'")));
  EXPECT_EQ(ParseNamedMemory("regions", base)->options.regions, base.regions);
  const NamedMemory memory = *ParseNamedMemory("pool=7", base);
  EXPECT_EQ(memory.name, "pool=7");
  EXPECT_EQ(memory.options.window_tokens, 100);
  EXPECT_EQ(memory.options.regions.selected, 5);
  EXPECT_EQ(memory.options.regions.pool_regions, 7);
  EXPECT_THAT(ParseNamedMemory("pools=7", base), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'pools'")));
}

TEST(Stream, PlotHasALineForEachMemory) {
  const std::string svg = PlotPerplexity({Made("window", {20, 21, 22}), Made("regions", {20, 20, 20})});
  std::size_t lines = 0;
  for (std::size_t at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1)) ++lines;
  EXPECT_EQ(lines, 4u) << "perplexity, and the difference to the first";
  EXPECT_THAT(svg, HasSubstr(">window</text>"));
  EXPECT_THAT(svg, ::testing::Not(HasSubstr("nan")));
  EXPECT_THAT(PlotPerplexity({}), HasSubstr("</svg>"));
}

}  // namespace
}  // namespace tome
